#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh PRESET [TARGET...]: configures a preset and builds it, or these targets of it.
set -eu
preset=$1
shift
cmake --preset "$preset"
[ $# -eq 0 ] || set -- --target "$@"
exec cmake --build "build/$preset" -j "${GOIPC_JOBS:-$(getconf _NPROCESSORS_ONLN)}" "$@" -- -k 0
