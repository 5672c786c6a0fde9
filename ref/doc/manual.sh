#!/bin/sh
# SPDX-License-Identifier: MIT
# The commands and options of goipc(1) are those of the program: `goipc --manual` prints them.
# Usage: manual.sh PROGRAM [--update]
set -eu
page=$(dirname "$0")/goipc.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed '/^\.SH COMMANDS$/,$d' "$page" >"$work/page"
"$1" --manual >>"$work/page"
sed -n '/^\.SH EXIT STATUS$/,$p' "$page" >>"$work/page"
if [ "${2:-}" = --update ]; then
    cat "$work/page" >"$page"
elif ! diff "$page" "$work/page" >&2; then
    echo "goipc.1 differs from the options of the program: $0 $1 --update" >&2
    exit 1
fi
echo "ok 1 checks"
