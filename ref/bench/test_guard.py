# SPDX-License-Identifier: MIT
"""The parts of guard.py that need neither valgrind nor strace."""

from __future__ import annotations

import pytest
from guard import Case, Cost, judge, judge_growth, parse_callgrind, parse_strace, per_message

PROFILE = """\
version: 1
events: Ir
ob=/somewhere/bench_count
fl=a.c
fn=goipc_client_write
12 100
13 20
cfi=b.c
cob=/lib/libc.so.6
cfn=malloc
calls=7 100
13 5000
14 3
ob=/lib/libc.so.6
fn=malloc
100 4000
cfn=_int_malloc
calls=7 200
101 900
ob=/somewhere/bench_count
fn=main
20 1000
cfn=realloc
calls=2 300
21 77
"""

STRACE = """\
    calls syscall
--------- ----------------
     1200 sendto
       37 recvfrom
--------- ----------------
     1237 total
"""


def test_only_instructions_of_the_program_count() -> None:
    instructions, _ = parse_callgrind(PROFILE, "bench_count")
    assert instructions == 100 + 20 + 3 + 1000


def test_calls_of_the_allocator_count_once() -> None:
    assert parse_callgrind(PROFILE, "bench_count")[1] == 7 + 2


def test_system_calls_without_the_total() -> None:
    assert parse_strace(STRACE) == 1237


def test_cost_is_the_difference_of_two_runs() -> None:
    assert per_message([1000, 3000], (10, 110)) == 20


@pytest.mark.parametrize(
    ("cost", "word"),
    [
        (Cost(104, 1, 0), "instructions"),
        (Cost(100, 1.02, 0), "system calls"),
        (Cost(100, 1, 0.02), "allocations"),
        (Cost(100, 1, 0, 85), "bytes moved"),
    ],
)
def test_each_excess_is_named(cost: Cost, word: str) -> None:
    (wrong,) = judge(cost, Cost(100, 1, 0, 80), 0.03, True)
    assert word in wrong


def test_within_the_tolerance_nothing_is_wrong() -> None:
    assert judge(Cost(102.9, 1.005, 0.005), Cost(100, 1, 0), 0.03, True) == []


@pytest.mark.parametrize(
    ("large", "word"),
    [(Cost(1200, 0, 0, 1000), "instructions"), (Cost(1000, 0, 0, 1200), "bytes moved"), (Cost(1000, 0, 0, 1000), "")],
)
def test_a_byte_of_a_large_message_costs_no_more(large: Cost, word: str) -> None:
    wrong = judge_growth(Cost(100, 0, 0, 100), 10, large, 100)
    assert [word] == [word for one in wrong if word in one] if word else wrong == []


def test_system_calls_do_not_count_where_nothing_can_be_traced() -> None:
    assert judge(Cost(100, 0, 0), Cost(100, 1, 0), 0.03, False) == []


def test_names_of_cases_differ_by_piece() -> None:
    names = {Case("pieces", "plain", 64, (1, 2), piece).name for piece in (1, 4096)}
    assert names == {"pieces-1-plain-64", "pieces-4096-plain-64"}
    assert Case("roundtrip", "plain", 64, (1, 2), idle_count=9).name == "roundtrip-plain-64-idle-9"
