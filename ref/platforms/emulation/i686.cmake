# SPDX-License-Identifier: MIT
# 32-bit x86: size_t and long have 32 bits. Static, so that the programs run on a 64-bit kernel without more.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR i686)
set(CMAKE_C_COMPILER i686-linux-gnu-gcc)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(target i686)
include(${CMAKE_CURRENT_LIST_DIR}/roots.cmake)
