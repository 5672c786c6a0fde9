#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: what `cmake --install` leaves can be found and linked in every promised way, static and shared from one prefix,
# wherever that prefix is moved to, and the shared library exports exactly what goipc.h declares. Method: real consumer
# projects. Usage: test_install.sh SOURCE SCRATCH [all]   (all: the slower consumers, too)
set -eu
source=$1
scratch=$2
extent=${3:-}
checks=0
GOIPC_TEST_NAME=t-install-$$
export GOIPC_TEST_NAME
consumers=$source/ref/test/consumer
generator=$(command -v ninja >/dev/null 2>&1 && echo Ninja || echo "Unix Makefiles")
prefix="$scratch/moved/a prefix"
rm -rf "$scratch"
mkdir -p "$scratch/moved"

fail() {
    echo "test_install: $*" >&2
    exit 1
}

passed() {
    checks=$((checks + 1))
}

run() { # quiet unless it fails
    "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; fail "$*"; }
}

consume() { # TITLE CMAKE_ARGUMENT...: builds the consumers and runs all of them
    title=$1
    shift
    rm -rf "$scratch/consumer"
    run cmake -G "$generator" -S "$consumers" -B "$scratch/consumer" "$@"
    run cmake --build "$scratch/consumer" -j2
    (cd "$scratch/consumer" && run ctest --no-tests=error) || fail "$title"
    passed
}

linked() { # PROGRAM yes|no: whether it loads the shared library
    [ "$(readelf -d "$1" | grep -c 'NEEDED.*libgoipc' || true)" = "$([ "$2" = yes ] && echo 1 || echo 0)" ] ||
        fail "$1: loads libgoipc.so: $2 was expected"
    passed
}

makes() { # MODULE LDFLAGS: a Makefile with pkg-config; the program is left in $scratch/make
    mkdir -p "$scratch/make"
    # shellcheck disable=SC2016 # make expands it
    run make -C "$consumers/make" OUT="$scratch/make" MODULE="$1" LDFLAGS="$2"
    LD_LIBRARY_PATH=$library_path run "$scratch/make/consumer" "make-$GOIPC_TEST_NAME"
    passed
}

install_everything() { # static, shared and core from one configure, without a build type, and moved afterwards
    run cmake -G "$generator" -S "$source" -B "$scratch/build" -DBUILD_TESTING=OFF -DCMAKE_INSTALL_LIBDIR=lib
    grep -q '^CMAKE_BUILD_TYPE:STRING=Release$' "$scratch/build/CMakeCache.txt" || fail "the build type is not Release"
    grep -q '^GOIPC_TESTS:BOOL=OFF$' "$scratch/build/CMakeCache.txt" || fail "BUILD_TESTING=OFF builds tests"
    run cmake --build "$scratch/build" -j2
    run cmake --install "$scratch/build" --prefix "$scratch/prefix" # not where it was configured for
    mv "$scratch/prefix" "$prefix"
    library_path=$prefix/lib
    for file in include/goipc.h lib/libgoipc.a lib/libgoipc.so lib/libgoipc_core.a lib/pkgconfig/goipc.pc \
        share/doc/goipc/LICENSE share/doc/goipc/examples/echo_server.c share/man/man1/goipc.1 share/man/man3/goipc.3 \
        share/man/man3/goipc_server_start.3 share/bash-completion/completions/goipc share/zsh/site-functions/_goipc \
        share/fish/vendor_completions.d/goipc.fish; do
        [ -s "$prefix/$file" ] || fail "$file is not installed"
    done
    if command -v doxygen >/dev/null; then
        [ -s "$prefix/share/doc/goipc/api/index.html" ] || fail "the manual of the library is not installed"
    else
        echo "SKIP ref.install.api: doxygen is not installed"
    fi
    if grep -rnE "(^|[^}.])(/usr|/opt|/home|/tmp|$scratch|$source)" "$prefix/lib/cmake" "$prefix/lib/pkgconfig" >&2; then
        fail "a package file holds an absolute path"
    fi
    passed
}

programs_start() { # without LD_LIBRARY_PATH
    run "$prefix/bin/goipc" version
    run cmake -S "$source" -B "$scratch/build" -DGOIPC_STATIC=OFF -DGOIPC_DOCS=OFF
    run cmake --build "$scratch/build" -j2
    run cmake --install "$scratch/build" --prefix "$scratch/shared"
    linked "$scratch/shared/bin/goipc" yes
    run "$scratch/shared/bin/goipc" version
    passed
}

exports_are_declared() {
    library=$(find "$prefix/lib" -name 'libgoipc.so.*.*.*' | head -1)
    readelf -d "$library" | grep -q 'SONAME.*libgoipc\.so\.1\]' || fail "wrong SONAME"
    nm -D --defined-only "$library" | awk '{print $NF}' | sed 's/@.*//' | sort >"$scratch/exported"
    sed -n '/^GOIPC_API/,/[;{]/p' "$source/ref/include/goipc.h" | tr '\n' ' ' |
        grep -o 'goipc_[a-z0-9_]*(' | tr -d '(' | sort -u >"$scratch/declared"
    diff "$scratch/declared" "$scratch/exported" >&2 || fail "exported symbols differ from goipc.h"
    passed
}

found_by_cmake() {
    consume "find_package" -DCMAKE_PREFIX_PATH="$prefix"
    linked "$scratch/consumer/c11_goipc__goipc" yes
    consume "find_package, archive wanted" -DCMAKE_PREFIX_PATH="$prefix" -DBUILD_SHARED_LIBS=OFF -DLANGUAGES=C
    linked "$scratch/consumer/c11_goipc__goipc" no
    consume "everything in one project" -DCMAKE_PREFIX_PATH="$prefix" "-DCOMPONENTS=static;shared;core"
    linked "$scratch/consumer/c11_goipc__static" no
    linked "$scratch/consumer/c11_goipc__shared" yes
    consume "find_package from C++ alone" -DCMAKE_PREFIX_PATH="$prefix" -DLANGUAGES=CXX "-DCOMPONENTS=static;shared"
    if cmake -S "$consumers" -B "$scratch/none" -DCMAKE_PREFIX_PATH="$prefix" -DCOMPONENTS=tea >"$scratch/log" 2>&1; then
        fail "a component that there is not was found"
    fi
    passed
}

found_by_pkg_config() {
    if ! command -v pkg-config >/dev/null; then
        echo "SKIP ref.install.pkg-config: pkg-config is not installed"
        return
    fi
    # A prefix with a blank is beyond a Makefile's $(...), as for every other package.
    mv "$prefix" "$scratch/plain"
    prefix=$scratch/plain
    library_path=$prefix/lib
    PKG_CONFIG_PATH=$prefix/lib/pkgconfig
    export PKG_CONFIG_PATH
    makes goipc ""
    linked "$scratch/make/consumer" yes
    makes goipc-static ""
    linked "$scratch/make/consumer" no
    makes "--static goipc" -static
    if command -v meson >/dev/null; then
        for module in goipc goipc-static; do
            run meson setup "$scratch/meson-$module" "$consumers/meson" -Dmodule=$module -Dname="$GOIPC_TEST_NAME"
            run env LD_LIBRARY_PATH="$library_path" meson test -C "$scratch/meson-$module"
            passed
        done
    else
        echo "SKIP ref.install.meson: meson is not installed"
    fi
}

# A place with a blank and an apostrophe, as in the home of o'brien, for what quotes its paths.
read_with_odd_path() {
    place="$scratch/o'brien's place"
    mkdir "$place"
    ln -s "$prefix" "$place/prefix"
    consume "find_package, odd path" -DCMAKE_PREFIX_PATH="$place/prefix" -DLANGUAGES=C
}

slower_consumers() {
    consume "a program without shared libraries" -DCMAKE_PREFIX_PATH="$prefix" -DCOMPONENTS=static -DSTATIC=ON
    consume "add_subdirectory" -DHOW=add_subdirectory -DGOIPC_SOURCE="$source" -DCMAKE_UNITY_BUILD=ON
    [ ! -e "$scratch/consumer/goipc/ref/cli/goipc" ] || fail "add_subdirectory builds the program"
    consume "add_subdirectory, shared" -DHOW=add_subdirectory -DGOIPC_SOURCE="$source" -DBUILD_SHARED_LIBS=ON -DLANGUAGES=C
    linked "$scratch/consumer/c11_goipc__goipc" yes
    consume "FetchContent" -DHOW=FetchContent -DGOIPC_SOURCE="$scratch/goipc.tar" -DLANGUAGES=C
    for back_end in OPENSSL TOMCRYPT NETTLE; do
        if ! cmake -G "$generator" -S "$source" -B "$scratch/$back_end" -DBUILD_TESTING=OFF -DGOIPC_IPO=OFF \
            -DGOIPC_DOCS=OFF -DGOIPC_SHARED=OFF -DGOIPC_OPENSSL=OFF -DGOIPC_TOMCRYPT=OFF -DGOIPC_NETTLE=OFF \
            -DGOIPC_IPSEC_MB=OFF -DGOIPC_$back_end=ON -DCMAKE_INSTALL_LIBDIR=lib >"$scratch/log" 2>&1; then
            grep -q "no crypto library is found" "$scratch/log" || fail "configuring with $back_end alone"
            echo "SKIP ref.install.$back_end: the library is not installed"
            continue
        fi
        run cmake --build "$scratch/$back_end" -j2
        run cmake --install "$scratch/$back_end" --prefix "$scratch/prefix-$back_end"
        consume "$back_end alone" -DCMAKE_PREFIX_PATH="$scratch/prefix-$back_end" -DLANGUAGES=C
    done
}

install_everything
programs_start
exports_are_declared
found_by_cmake
consume "add_subdirectory from C++ alone" -DHOW=add_subdirectory -DGOIPC_SOURCE="$source" -DLANGUAGES=CXX
read_with_odd_path
if [ "$extent" = all ]; then
    (cd "$source" && tar -cf "$scratch/goipc.tar" --exclude=./build --exclude=./.git .)
    slower_consumers
fi
found_by_pkg_config
rm -rf "$scratch"
echo "ok $checks checks"
