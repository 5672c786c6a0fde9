#!/bin/sh
# SPDX-License-Identifier: MIT
# dependencies.sh TOOLCHAIN_FILE DIRECTORY [CMAKE_ARGUMENT...]: builds libtommath and libtomcrypt, static, with a CMake
# tool chain and installs them to DIRECTORY/deps. Does nothing where that has been done.
set -eu
cd "$(dirname "$0")/../../.."
toolchain=$1
directory=$2
shift 2
recipe=$(cat ref/platforms/cross/* "$toolchain" | cksum)
[ "$(cat "$directory/deps/stamp" 2>/dev/null)" != "$recipe" ] || exit 0

ref/platforms/cross/sources.sh
rm -rf "$directory/deps" "$directory/deps-build"
mkdir -p "$directory"
log=$directory/deps.log
{
    cmake -G Ninja -S ref/platforms/cross -B "$directory/deps-build" -DCMAKE_TOOLCHAIN_FILE="$PWD/$toolchain" \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$PWD/$directory/deps" -DCMAKE_INSTALL_LIBDIR=lib \
        -DSOURCES="$PWD/build/cross/source" "$@" &&
        cmake --build "$directory/deps-build" -j 2 && cmake --install "$directory/deps-build"
} >"$log" 2>&1 || {
    tail -30 "$log"
    exit 1
}
rm -rf "$directory/deps-build"
echo "$recipe" >"$directory/deps/stamp"
