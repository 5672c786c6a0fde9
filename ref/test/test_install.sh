#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: what `cmake --install` leaves can be found and linked in every promised way, static and shared,
# and the shared library exports exactly what goipc.h declares. Method: real consumer projects.
# Usage: test_install.sh SOURCE SCRATCH
set -eu
source=$1
scratch=$2
checks=0
name="t-install-$$"
generator=$(command -v ninja >/dev/null 2>&1 && echo Ninja || echo "Unix Makefiles")
rm -rf "$scratch"
mkdir -p "$scratch"

fail() {
    echo "test_install: $*" >&2
    exit 1
}

run() { # quiet unless it fails
    "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "$*"; }
}

consume() { # DIRECTORY with built consumers
    for program in consumer_c99 consumer_c11 consumer_cxx17; do
        LD_LIBRARY_PATH=${libraries:-} "$1/$program" "$name" || fail "$1/$program ended with $?"
        checks=$((checks + 1))
    done
    "$1/consumer_core" || fail "$1/consumer_core ended with $?"
    checks=$((checks + 1))
}

for kind in OFF ON; do
    prefix=$scratch/prefix-$kind
    run cmake -G "$generator" -S "$source" -B "$scratch/build-$kind" -DCMAKE_BUILD_TYPE=Release \
        -DBUILD_SHARED_LIBS=$kind -DGOIPC_TESTS=OFF -DGOIPC_INSTALL=ON \
        -DCMAKE_INSTALL_LIBDIR=lib
    run cmake --build "$scratch/build-$kind" -j2
    run cmake --install "$scratch/build-$kind" --prefix "$prefix" # not where it was configured for
    libraries=$prefix/lib
    [ -f "$prefix/include/goipc.h" ] || fail "the header is not installed"
    LD_LIBRARY_PATH=$libraries "$prefix/bin/goipc" version >"$scratch/version" || fail "goipc version"

    run cmake -G "$generator" -S "$source/ref/test/consumer" -B "$scratch/find-$kind" \
        -DCMAKE_PREFIX_PATH="$prefix"
    run cmake --build "$scratch/find-$kind" -j2
    consume "$scratch/find-$kind"

    if command -v pkg-config >/dev/null 2>&1; then
        # A prefix with a blank in its path; one with an apostrophe is beyond pkgconf 1.8, whatever the file says.
        place=$(mktemp -d)
        ln -s "$prefix" "$place/a prefix"
        flags=$(PKG_CONFIG_PATH=$place/a\ prefix/lib/pkgconfig pkg-config --cflags --libs goipc) # as goipc(3) says
        eval "set -- $flags" # pkg-config quotes for a shell
        run ${CC:-cc} -std=c99 -o "$place/consumer" "$source/ref/test/consumer/consumer.c" "$@"
        LD_LIBRARY_PATH=$libraries "$place/consumer" "$name" || fail "pkg-config, shared $kind"
        rm -r "$place"
        checks=$((checks + 1))
    else
        echo "SKIP ref.install.pkg-config: pkg-config is not installed"
    fi
done

run cmake -G "$generator" -S "$source/ref/test/consumer" -B "$scratch/sub" -DGOIPC_SOURCE="$source"
run cmake --build "$scratch/sub" -j2
consume "$scratch/sub"

library=$(find "$scratch/prefix-ON/lib" -name 'libgoipc.so.*.*.*' | head -1)
if [ -n "$library" ]; then
    readelf -d "$library" | grep -q 'SONAME.*libgoipc\.so\.1\]' || fail "wrong SONAME"
    nm -D --defined-only "$library" | awk '{print $NF}' | sed 's/@.*//' | sort >"$scratch/exported"
    sed -n '/^GOIPC_API/,/[;{]/p' "$source/ref/include/goipc.h" | tr '\n' ' ' |
        grep -o 'goipc_[a-z0-9_]*(' | tr -d '(' | sort -u >"$scratch/declared"
    diff "$scratch/declared" "$scratch/exported" >&2 || fail "exported symbols differ from goipc.h"
    checks=$((checks + 2))
fi
rm -rf "$scratch"
echo "ok $checks checks"
