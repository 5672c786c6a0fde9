#!/bin/sh
# SPDX-License-Identifier: MIT
# Goal: a program that was compiled against the frozen header runs with today's library, and with a later one that has
# more options, counters, message fields and events. Method: abi/program.c is compiled against abi/goipc.h alone. The
# later library is built from today's sources with a header in which every `reserved` has given a slot to a new field,
# and every enumeration has a value more. abidiff, where it is installed, compares both libraries.
# Usage: test_abi.sh SOURCE WORK
set -eu
source=$1
work=$2
rm -rf "$work"
mkdir -p "$work/grown" "$work/run"
work=$(cd "$work" && pwd)
chmod 700 "$work/run"

# The header of a later version.
sed -E \
    -e 's/^    (uintptr_t|uint64_t) reserved\[([0-9]+)\];.*/    \1 later; \1 reserved[\2 - 1];/' \
    -e 's/^    void \(\*reserved\[([0-9]+)\]\)\(void\);.*/    void (*later)(void); void (*reserved[\1 - 1])(void);/' \
    -e 's/^    GOIPC_EVENT_CLOSED,/    GOIPC_EVENT_CLOSED, GOIPC_EVENT_LATER,/' \
    "$source/ref/include/goipc.h" >"$work/grown/goipc.h"
fields=$(grep -c ' later;' "$work/grown/goipc.h")
frozen=$(grep -cE '^    (uintptr_t|uint64_t) reserved\[' "$source/ref/test/abi/goipc.h")
if [ "$fields" -lt "$frozen" ] || [ "$frozen" -lt 9 ]; then
    echo "expected a new field for each of at least 9 reserved ones, made $fields of $frozen"
    exit 1
fi

build() # FOLDER of the header: a shared library in the same folder of $work
{
    mkdir -p "$work/$1/build"
    cp -r "$source/ref" "$source/CMakeLists.txt" "$source/LICENSE" "$work/$1/" 2>/dev/null || cp -r "$source/ref" "$source/CMakeLists.txt" "$work/$1/"
    cp "$2" "$work/$1/ref/include/goipc.h"
    cmake -S "$work/$1" -B "$work/$1/build" -DCMAKE_BUILD_TYPE=Debug -DBUILD_SHARED_LIBS=ON -DGOIPC_TESTS=OFF \
        -DGOIPC_INSTALL=OFF -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="$work/$1" >"$work/$1/log" 2>&1 &&
        cmake --build "$work/$1/build" --target goipc >>"$work/$1/log" 2>&1 || {
        tail -n 20 "$work/$1/log"
        exit 1
    }
}
build today "$source/ref/include/goipc.h"
build grown "$work/grown/goipc.h"
${CC:-cc} -std=c11 -I"$source/ref/test/abi" "$source/ref/test/abi/program.c" -o "$work/program" \
    -L"$work/today" -lgoipc
for library in today grown; do
    if ! LD_LIBRARY_PATH=$work/$library "$work/program" "$work/run"; then
        echo "the program of the frozen header failed with the library of $library"
        exit 1
    fi
done
if command -v abidiff >/dev/null 2>&1; then
    # Bit 8: an incompatible change.
    abidiff "$(readlink -f "$work/today/libgoipc.so")" "$(readlink -f "$work/grown/libgoipc.so")" >"$work/abidiff" || code=$?
    if [ $((${code:-0} & 8)) -ne 0 ]; then
        cat "$work/abidiff"
        exit 1
    fi
else
    echo "SKIP abidiff is not installed (Debian package abigail-tools)"
fi
echo "ok"
