# SPDX-License-Identifier: MIT
# This machine under MemorySanitizer, which needs every library instrumented: so the crypto libraries are built anew,
# and the other back ends are left out.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${CMAKE_HOST_SYSTEM_PROCESSOR})
set(CMAKE_C_COMPILER clang)
set(CMAKE_C_FLAGS_INIT "-fsanitize=memory -fsanitize-memory-track-origins -fno-omit-frame-pointer -g -O1")
set(target msan)
include(${CMAKE_CURRENT_LIST_DIR}/roots.cmake)
# run.sh has compiled it from msan_random.c.
set(CMAKE_C_STANDARD_LIBRARIES_INIT ${CMAKE_CURRENT_LIST_DIR}/../../../build/cross/msan/random.o)
