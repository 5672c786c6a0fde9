#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds everything that runs under Wine, from nothing: libtomcrypt, the static and the DLL build of this tree, the
# programs that use upstream golang-ipc, the relay, and a Wine prefix of its own. What is up to date is left alone.
# Ends with 77 after a SKIP line where that cannot be.
set -eu
cd "$(dirname "$0")/../../.."

# Runs a step with its output in build/log/windows-NAME.log; shows the end of it if the step fails.
quietly()
{
    log=build/log/windows-$1.log
    shift
    "$@" >"$log" 2>&1 || {
        tail -n 40 "$log"
        echo "failed: $* ($log)"
        exit 1
    }
}

build_preset()
{
    if [ ! -e "$2/build.ninja" ] || [ -n "$(find CMakePresets.json ref/cmake -newer "$2/build.ninja" 2>/dev/null)" ]; then
        quietly "configure-$1" cmake --preset "$1"
        touch "$2/build.ninja"
    fi
    quietly "build-$1" cmake --build "$2" -j 2
}

# Upstream golang-ipc for windows/amd64, from its unmodified module.
build_go()
{
    (cd "$1" && GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go build -buildvcs=false -o "$2" .)
}

make_prefix()
{
    prefix=build/windows/prefix
    if [ ! -e "$prefix/stamp" ]; then
        rm -rf "$prefix"
        mkdir -p "$prefix"
        # Neither .NET nor a browser is asked for: that would be a dialogue.
        WINEDLLOVERRIDES='mscoree,mshtml=' quietly prefix ref/platforms/windows/wine wineboot --init
        WINEPREFIX=$PWD/$prefix wineserver -w
        date >"$prefix/stamp"
    fi
    library=$prefix/drive_c/windows/system32/bcryptprimitives.dll
    if [ ! -e "$library" ] || [ -n "$(find ref/platforms/windows/bcryptprimitives.c -newer "$library")" ]; then
        quietly bcryptprimitives x86_64-w64-mingw32-gcc -std=c11 -O2 -Wall -Wextra -Werror -shared -o "$library" \
            ref/platforms/windows/bcryptprimitives.c -lbcrypt
    fi
}

machine=$(uname -m)
case $machine in
x86_64 | amd64) ;;
*)
    echo "SKIP windows: Wine runs programs for x86_64 on that processor alone, and this is $machine"
    exit 77
    ;;
esac
mkdir -p build/windows/go build/log
ref/platforms/cross/dependencies.sh ref/cmake/windows-toolchain.cmake build/windows
build_preset windows build/windows/static
build_preset windows-dll build/windows/dll
if command -v go >/dev/null 2>&1; then
    quietly go-adapter build_go conformance/adapters/go "$PWD/build/windows/go/goipc-adapter-go.exe"
fi
make_prefix
quietly relay x86_64-w64-mingw32-gcc -std=c11 -O2 -g -Wall -Wextra -Wpedantic -Werror -o build/windows/relay.exe \
    conformance/adapters/windows/relay.c -lws2_32
