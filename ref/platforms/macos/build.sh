#!/bin/sh
# SPDX-License-Identifier: MIT
# Compiles and links everything for macOS, x86_64 and arm64, warnings as errors, with Zig's compiler, which comes as a
# Python package and brings the system's headers. What is up to date is left alone. Ends with 77 after a SKIP line
# where something cannot be had.
set -eu
cd "$(dirname "$0")/../../.."
mkdir -p build/cross build/log
venv=$PWD/build/cross/venv
zig='ziglang~=0.17.1'

if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$zig" ]; then
    rm -rf "$venv"
    python=$(command -v "${PYTHON:-python3}") || {
        echo "SKIP macos: python3 is not here"
        exit 77
    }
    { "$python" -m venv "$venv" && "$venv/bin/python" -m pip install --quiet "$zig"; } >build/log/macos-zig.log 2>&1 || {
        tail -n 5 build/log/macos-zig.log
        echo "SKIP macos: the Python package ziglang could not be installed"
        exit 77
    }
    echo "$zig" >"$venv/stamp"
fi
GOIPC_ZIG=$("$venv/bin/python" -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))')
ZIG_GLOBAL_CACHE_DIR=$PWD/build/cross/zig-cache
ZIG_LOCAL_CACHE_DIR=$ZIG_GLOBAL_CACHE_DIR
export GOIPC_ZIG ZIG_GLOBAL_CACHE_DIR ZIG_LOCAL_CACHE_DIR

status=0
for architecture in x86_64 arm64; do
    zig_name=$architecture
    [ "$architecture" = x86_64 ] || zig_name=aarch64
    directory=build/macos/$zig_name
    ref/platforms/cross/dependencies.sh ref/cmake/macos-toolchain.cmake "$directory" -DGOIPC_ZIG="$GOIPC_ZIG" \
        -DGOIPC_MACOS_ARCHITECTURE="$zig_name" || exit $?
    log=build/log/macos-$architecture.log
    if { cmake --preset "macos-$architecture" && cmake --build "$directory/build" -j 2 -- -k 0; } >"$log" 2>&1; then
        echo "ok   macos $architecture"
    else
        grep -E 'error|warning|FAILED' "$log" | head -n 40
        echo "FAIL macos $architecture ($log)"
        status=1
    fi
done
exit "$status"
