#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs the examples and the command line tool against each other. Usage: test_examples.sh EXAMPLES CLI
set -eu
examples=$1
cli=$2
name="t-examples-$$"
work=$(mktemp -d)
server=
checks=0

finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work" "/tmp/$name.sock"
}
trap finish EXIT

expect() { # WHAT EXPECTED ACTUAL
    if [ "$2" != "$3" ]; then
        printf '%s: expected "%s", got "%s"\n' "$1" "$2" "$3" >&2
        exit 1
    fi
    checks=$((checks + 1))
}

stop_server() {
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
    rm -f "/tmp/$name.sock" # the examples do not catch signals
}

expect session_on_pipes "over a pair of pipes" "$("$examples/session_on_pipes" "over a pair of pipes")"

"$examples/echo_server" "$name" >"$work/server" &
server=$!
expect echo_client "hello there" "$("$examples/echo_client" "$name" "hello there")"
expect connect "68656c6c6f" "$(printf '68656c6c6f\n' | "$cli" connect "$name" -q -x --linger 2000)"
if [ -x "$examples/libuv_client" ]; then
    expect libuv_client "$(printf 'Connecting\nConnected\ntick\ntick')" "$("$examples/libuv_client" "$name" 2)"
else
    echo "SKIP ref.examples.libuv: libuv was not found"
fi
stop_server

mkfifo "$work/in"
"$examples/eventloop" "$name" <"$work/in" >"$work/server" &
server=$!
exec 3>"$work/in"
printf 'from a client\n' | "$cli" connect "$name" -q --linger 500
echo "nobody is there" >&3
"$cli" connect "$name" -q --linger 20000 </dev/null >"$work/heard" &
listener=$!
until grep -q 'client 2: Connected' "$work/server"; do kill -0 "$listener" || exit 1; done
printf 'one\ntwo\n' >&3 # one write; both are sent before there is more
until [ "$(wc -l <"$work/heard")" -eq 2 ]; do kill -0 "$listener" || exit 1; done
kill "$listener"
wait "$listener"
expect "two lines at once" "$(printf 'one\ntwo')" "$(cat "$work/heard")"
exec 3>&-
wait "$server"
server=
expect eventloop "$(printf 'client 1: Connected\nclient 1: from a client\nclient 1: Disconnected')" \
    "$(grep 'client 1' "$work/server")"

if [ -x "$examples/libuv_client" ]; then
    "$cli" serve "$name" --encryption off -q &
    server=$!
    if "$examples/libuv_client" "$name" >"$work/heard" 2>"$work/error"; then
        expect "libuv_client without encryption" fails succeeded
    fi
    expect "libuv_client says why" 1 "$(grep -c "encrypt" "$work/error")"
    kill "$server"
    wait "$server"
fi

"$cli" serve "$name" --echo -q &
server=$!
expect echo "0102" "$(printf '0102\n' | "$cli" connect "$name" -q -x --linger 1000)"
expect type "$(printf '77\tx')" "$(printf 'x\n' | "$cli" connect "$name" -q -T -t 77 --linger 1000)"
if "$cli" serve "$name" -q 2>"$work/error"; then
    expect "second server" fails succeeded
fi
expect "second server" 1 "$(grep -c "a live server already listens" "$work/error")"
kill "$server"
wait "$server"
server=
expect "socket removed" no "$([ -e "/tmp/$name.sock" ] && echo yes || echo no)"
if "$cli" connect "$name" -q --timeout 50 2>"$work/error"; then
    expect "connect to nobody" fails succeeded
fi
expect "connect to nobody" 1 "$(grep -c "gave up on /tmp/$name.sock" "$work/error")"

expect decode "type 5, 2 bytes of data \"hi\"" \
    "$(echo '0200 00000004 00300000 00000006 00000005 6869' | "$cli" decode - --from server |
        tail -1 | cut -c11-)"
"$cli" serve "$name" --echo -q &
server=$!
until [ -S "/tmp/$name.sock" ]; do :; done
"$cli" tap "$name" -q >"$work/tapped" 2>"$work/error" &
tap=$!
until grep -q tapping "$work/error"; do kill -0 "$tap" || exit 1; done
expect "through the tap" "hi" "$(echo hi | "$cli" connect "$name" -q --linger 1000)"
kill "$tap"
wait "$tap"
expect "tapped both ways" 2 "$(grep -c 'type 1, 2 bytes "hi"' "$work/tapped")"
expect "after the tap" "hi" "$(echo hi | "$cli" connect "$name" -q --linger 1000)"
kill "$server"
wait "$server"
server=
echo "ok $checks checks"
