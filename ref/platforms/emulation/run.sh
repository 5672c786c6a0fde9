#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh TARGET COMMAND...: builds the libraries and the tests of the core for another machine, then runs the command.
# i686 has 32-bit sizes and runs on an x86-64 kernel as it is; s390x is big-endian and runs under qemu's user mode; msan
# is this machine with MemorySanitizer.
set -eu
target=$1
shift
mkdir -p "build/cross/$target"
if [ "$target" = msan ]; then
    # What msan.cmake links to every program.
    clang -O1 -c ref/platforms/emulation/msan_random.c -o build/cross/msan/random.o
fi
ref/platforms/cross/dependencies.sh "ref/platforms/emulation/$target.cmake" "build/cross/$target"
tools/checks/build.sh "$target" core_tests
exec "$@"
