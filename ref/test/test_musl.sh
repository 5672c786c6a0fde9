#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: the library and the program build and run with musl, linked without any shared library, and consumers find them.
# Usage: test_musl.sh SCRATCH, in the root of the project; the libraries come from ref/platforms/cross.
set -eu
scratch=$1
source=$PWD
GOIPC_TEST_NAME=t-musl-$$
export GOIPC_TEST_NAME
toolchain=ref/cmake/musl-toolchain.cmake
rm -rf "$scratch"
mkdir -p "$scratch"

run() { # quiet unless it fails
    "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; echo "test_musl: $*" >&2; exit 1; }
}

command -v musl-gcc >/dev/null || { echo "SKIP ref.musl: musl-gcc is not installed"; exit 77; }
ref/platforms/cross/dependencies.sh $toolchain build/musl
set -- -G Ninja "-DCMAKE_TOOLCHAIN_FILE=$source/$toolchain" "-DGOIPC_MUSL_DEPENDENCIES=$source/build/musl/deps" \
    -DCMAKE_BUILD_TYPE=Release
run cmake -S . -B "$scratch/build" "$@" -DBUILD_TESTING=OFF -DGOIPC_SHARED=OFF -DGOIPC_DOCS=OFF -DCMAKE_INSTALL_LIBDIR=lib
run cmake --build "$scratch/build" -j2
run cmake --install "$scratch/build" --prefix "$scratch/prefix"
if readelf -l "$scratch/prefix/bin/goipc" | grep -q INTERP; then
    echo "test_musl: the program loads shared libraries" >&2
    exit 1
fi
run "$scratch/prefix/bin/goipc" version
run ref/test/test_program.py "$scratch/prefix/bin/goipc"

run cmake -S ref/test/consumer -B "$scratch/consumer" "$@" -DLANGUAGES=C -DCOMPONENTS=static -DSTATIC=ON \
    "-DGOIPC_MUSL_DEPENDENCIES=$scratch/prefix;$source/build/musl/deps"
run cmake --build "$scratch/consumer"
(cd "$scratch/consumer" && run ctest --no-tests=error)
mkdir "$scratch/make"
run env PKG_CONFIG_LIBDIR="$scratch/prefix/lib/pkgconfig" make -C ref/test/consumer/make OUT="$scratch/make" CC=musl-gcc \
    MODULE="--static goipc" LDFLAGS="-static -L$source/build/musl/deps/lib"
run "$scratch/make/consumer" "make-$GOIPC_TEST_NAME"
echo "ok 5 checks"
