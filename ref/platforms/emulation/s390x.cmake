# SPDX-License-Identifier: MIT
# IBM Z: big-endian, 64 bits. Static, and run by qemu's user mode.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR s390x)
set(CMAKE_C_COMPILER s390x-linux-gnu-gcc)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
find_program(GOIPC_QEMU NAMES qemu-s390x qemu-s390x-static)
set(CMAKE_CROSSCOMPILING_EMULATOR ${GOIPC_QEMU})
set(target s390x)
include(${CMAKE_CURRENT_LIST_DIR}/roots.cmake)
