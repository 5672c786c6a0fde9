# SPDX-License-Identifier: MIT
"""The bench's own arithmetic: medians, ratios, targets, rows."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path

import growth
import judge
import measure
import plan
import pytest
import report
import run
from judge import Figures, Target
from measure import Bench, ContestantError, Measurement
from plan import KIB, MIB, Contestant, Workload
from rich.progress import Progress

ROW_KEYS = {
    "workload",
    "contestant",
    "crypto",
    "encrypted",
    "size",
    "clients",
    "messages_per_s",
    "bytes_per_s",
    "round_trip_us_p50",
    "round_trip_us_p99",
    "cpu_us_per_message",
    "cpu_us_per_message_both",
    "seal_us",
    "open_us",
    "rounds",
    "syscalls_per_message",
    "rss_kib",
    "ratio_to_limit",
}


def measurement(
    name: str, seconds: list[float], kind: str = "oneway", size: int = 64, clients: int = 1, **more: float
) -> Measurement:
    runs = [
        {"messages": 100, "seconds": one, "cpu_client_s": one / 2, "cpu_server_s": one / 4, **more} for one in seconds
    ]
    return Measurement(Workload(kind, size, (name,), clients), Contestant(name, "program"), 100, runs)


def figures_of(*measurements: Measurement) -> Figures:
    return Figures([one.row(None) for one in measurements])


def test_the_median_ignores_one_bad_round() -> None:
    assert measurement("goipc", [1, 2, 900]).seconds_per_message == 0.02


def test_cpu_is_that_of_the_busier_side() -> None:
    row = measurement("goipc", [2]).row(None)
    assert row["cpu_us_per_message"] == pytest.approx(1 / 100 * 1e6)
    assert row["cpu_us_per_message_both"] == pytest.approx(1.5 / 100 * 1e6)


def test_what_a_contestant_cannot_tell_is_no_figure() -> None:
    silent = Measurement(
        Workload("handshake", 0, ("evp",)), Contestant("evp", "program"), 1, [{"messages": 1, "seconds": 1}]
    )
    nulls = measurement("goipc", [2], switches_client=3, switches_server=None, rss_server_kib=None)
    for row in (silent.row(None), nulls.row(None)):
        assert row["switches_per_message"] is None and row["rss_kib"] is None
    assert silent.row(None)["cpu_us_per_message"] is None


def test_a_row_has_all_that_readers_rely_on() -> None:
    row = measurement("goipc", [2]).row(0.01)
    assert set(row) >= ROW_KEYS
    assert row["messages_per_s"] == 50
    assert row["ratio_to_limit"] == pytest.approx(0.5)
    assert row["clients"] == 1


def test_without_a_limit_there_is_no_ratio() -> None:
    assert measurement("socket", [1]).row(None)["ratio_to_limit"] is None


def test_ratios_go_both_ways() -> None:
    figures = figures_of(measurement("goipc", [1]), measurement("golang-ipc", [100]))
    assert figures.time_ratio("oneway", 64, "golang-ipc", "goipc") == pytest.approx(100)
    assert figures.rate_ratio("oneway", 64, "goipc", "golang-ipc") == pytest.approx(100)
    assert figures.rate_ratio("oneway", 64, "goipc", "nng") is None


def test_round_trips_are_compared_by_their_median() -> None:
    mine = measurement("goipc", [9], "roundtrip", p50_us=11)
    figures = figures_of(mine, measurement("socket", [1], "roundtrip", p50_us=10))
    assert figures.time_ratio("roundtrip", 64, "goipc", "socket") == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("measured", "at_most", "met"),
    [
        (1.1, True, True),
        (1.11, True, False),
        (1.1, False, True),
        (1.09, False, False),
        (None, True, False),
    ],
)
def test_targets(measured: float | None, at_most: bool, met: bool) -> None:
    assert Target("text", 1.1, measured, at_most).met is met


def test_what_was_not_measured_is_not_met() -> None:
    judged = judge.targets(Figures([]), [])
    assert len(judged) >= 16
    assert not any(target.met for target in judged)


def test_an_idle_client_costs_what_the_server_grew_by() -> None:
    one = measurement(
        "goipc", [1], "idle", clients=100, rss_server_before_kib=3000, rss_server_kib=3200, idle_cpu_s=0.003, idle_s=0.3
    )
    row = one.row(None)
    assert row["idle_client_kib"] == 2 and row["idle_cpu_us_per_s"] == pytest.approx(10_000)
    assert judge.idle_client_kib(figures_of(one), "goipc") == 2
    assert measurement("goipc", [1], rss_server_before_kib=1, rss_server_kib=2).row(None)["idle_client_kib"] is None


# --- growth ----------------------------------------------------------------------------------------

FLAT = [(10, 1.0), (100, 1.1), (1000, 1.0), (10000, 1.1)]


@pytest.mark.parametrize(
    ("points", "met"),
    [
        (FLAT, True),
        ([(x, 5 + x / 1000) for x, _ in FLAT], False),  # something for each of them is kept
        ([(10, 9.0), (100, 1.0), (1000, 2.0), (10000, 4.0)], False),  # a slow start hides nothing
        ([(10, 2.0), (100, 1.0), (1000, 1.0), (10000, 1.0)], True),
    ],
)
def test_growth_is_judged(points: list[tuple[float, float]], met: bool) -> None:
    (last,) = judge.targets(Figures([]), [growth.fit("time", points, 0.1)])[-1:]
    assert last.text == "growth, exponent: time" and last.met is met


def test_growth_measures_time_and_memory_of_each_quantity(monkeypatch) -> None:
    told = {"seconds": 1.0, "messages": 1, "p50_us": 5.0, "rss_server_kib": 3000}
    monkeypatch.setattr(growth, "execute", lambda _: told)
    steps: list[str] = []
    made = growth.growth({name: Contestant(name, name) for name in ("goipc", "goipc batch")}, 0.05, steps.append)
    assert len(steps) == growth.STEPS
    assert len(made) == 6 and sum("of the server" in one["text"] for one in made) == 3
    assert [len(one["points"]) for one in made] == [4, 4, 4, 4, 3, 2]


def test_memory_of_each_is_what_is_there_without_any_taken_away() -> None:
    linear = growth.each([(10, 5000.0), (100, 5000.0 + 2 * 90), (1000, 5000.0 + 2 * 990)])
    assert [y for _, y in linear] == pytest.approx([2, 2])
    assert growth.slope(growth.each([(x, 5000.0 + x * x) for x in (10, 100, 1000)])) > 0.9


# --- limits ----------------------------------------------------------------------------------------


def every_contestant(tmp_path: Path) -> dict[str, Contestant]:
    for program in ("socket", "goipc", "go", "zmq", "nng", "crypto", "python", "node"):
        (tmp_path / f"bench_{program}").touch()
    return plan.contestants(tmp_path)


@pytest.mark.parametrize("quick", [False, True])
def test_whoever_has_a_limit_has_a_ratio(tmp_path, quick: bool) -> None:
    known = every_contestant(tmp_path)
    runs = [{"messages": 1, "seconds": 1, "seal_s": 0.5, "open_s": 0.5}]
    every = [
        Measurement(one, known[name], 1, runs)
        for workload in plan.workloads(quick)
        for one in (workload, *workload.beside)
        for name in one.contestants
    ]
    assert len(every) > 40
    lacking = [
        (one.workload.label, one.contestant.name)
        for one in every
        if one.contestant.limit
        and one.workload.kind != "idle"
        and (one.workload.kind, one.contestant.name)
        not in (("turns", "socket epoll"), ("turns", "socket sealed epoll"))
        and one.row(measure.limit_s(one, every))["ratio_to_limit"] is None
    ]
    assert lacking == []


def limited(kind: str, seal_s: float) -> float | None:
    known = {
        "socket sealed batch": Contestant("socket sealed batch", ""),
        "socket sealed": Contestant("socket sealed", ""),
        "evp": Contestant("evp", ""),
        "mine": Contestant("mine", "", limit="socket sealed batch", cipher="evp"),
    }
    workload = Workload(kind, 64, tuple(known))
    run_of_one = {"messages": 1, "seal_s": seal_s, "open_s": 1, "seconds": 1 + seal_s}
    every = [
        Measurement(workload, one, 1, [{**run_of_one, "seconds": run_of_one["seconds"] if name == "evp" else 2}])
        for name, one in known.items()
    ]
    return measure.limit_s(every[-1], every)


def test_the_limit_of_the_encrypted_is_the_busier_side_or_the_socket() -> None:
    assert limited("oneway", seal_s=3) == 3  # not the 4 of seal and open together
    assert limited("oneway", seal_s=1.5) == 2
    assert limited("roundtrip", seal_s=3) == 2 + 4  # one after the other


def test_the_cipher_is_the_limit_where_it_is_slower_than_the_socket() -> None:
    figures = figures_of(
        measurement("goipc openssl", [4], size=MIB),
        measurement("socket sealed", [1], size=MIB),
        measurement("evp", [9], size=MIB, seal_s=2, open_s=3),
    )
    assert judge.large_encrypted(figures) == pytest.approx(0.75)
    # Seal, open, and 1/2 + 1/4 of a second of the socket's both sides, on two processors.
    assert judge.large_encrypted_possible(figures, 2) == pytest.approx(3 / (5.75 / 2))


def test_the_bound_of_small_sealed_messages_is_cipher_and_socket_of_one_side() -> None:
    known = [
        measurement("evp", [9], seal_s=2, open_s=3),
        measurement("socket sealed batch", [1]),
        measurement("golang-ipc encrypted", [70]),
    ]
    # 3 seconds to open, and half a second of the socket's busier side.
    assert judge.small_encrypted_possible(figures_of(*known)) == pytest.approx(70 / 3.5)
    assert "at best 20.0 times" in judge.bounds(figures_of(*known), 2)[0]
    assert judge.bounds(figures_of(*known[:2]), 2) == []


@pytest.fixture(scope="module")
def binaries() -> Path:
    """The contestants as they are now."""
    build = run.ROOT / "build/release"
    if not (build / "CMakeCache.txt").exists():
        pytest.skip("build/release is not configured (cmake --preset release)")
    run.build(build / "ref/bench")
    return build / "ref/bench"


def test_a_handshake_tells_what_the_server_spent_and_leaves_no_socket(binaries) -> None:
    process = subprocess.Popen([binaries / "bench_socket", "handshake", "0", "200"], stdout=subprocess.PIPE, text=True)
    told = json.loads(process.communicate(timeout=60)[0])
    assert told["cpu_server_s"] > 0 and told["switches_server"] > 0 and told["rss_server_kib"] > 100
    assert not list(Path("/tmp").glob(f"goipc-bench-{process.pid}.*"))


@pytest.mark.parametrize(("size", "text"), [(64, "64 B"), (KIB, "1 KiB"), (3 * MIB, "3 MiB"), (KIB + 1, "1025 B")])
def test_sizes(size: int, text: str) -> None:
    assert plan.size_text(size) == text


def test_a_plot_names_every_contestant(tmp_path) -> None:
    rows = [
        measurement(name, [seconds], size=size).row(None)
        for name, seconds in (("goipc", 1), ("socket", 2))
        for size in (64, KIB, MIB)
    ]
    picture = tmp_path / "plot.svg"
    report.plot(rows, picture)
    text = picture.read_text(encoding="utf-8")
    assert "<svg" in text
    assert ">goipc<" in text and ">socket<" in text


# --- contestants that do not play along ------------------------------------------------------------


def a_program(tmp_path: Path, name: str, text: str) -> Contestant:
    program = tmp_path / name
    program.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    program.chmod(0o755)
    return Contestant(name, str(program))


WORKS = """echo '{"messages": 10, "seconds": 1, "cpu_client_s": 1, "cpu_server_s": 1}'\n"""


def test_a_contestant_that_hangs_is_named_and_left_behind_by_nobody(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(measure, "TIMEOUT_S", 0.5)
    left = str(tmp_path / "left")
    held = tmp_path / "held"  # by the program's child, for as long as it lives
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    hanging = a_program(
        tmp_path,
        "hanging",
        f"touch /tmp/goipc-bench-$$.bare; echo /tmp/goipc-bench-$$.bare > {left}\nsleep 1000 > {held} &\nwait\n",
    )
    with pytest.raises(ContestantError, match="hanging oneway 64 5 clients=10: no end after 1.1 s"):
        measure.execute(hanging.command("oneway", 64, 5, 10))
    assert not Path((tmp_path / "left").read_text(encoding="utf-8").strip()).exists()
    assert select.select([reader], [], [], 10)[0] and os.read(reader, 1) == b""
    os.close(reader)


def test_the_run_goes_on_without_who_fails(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(measure, "count_syscalls", lambda *_: None)
    known = {
        "good": a_program(tmp_path, "good", WORKS),
        "crashing": a_program(tmp_path, "crashing", "echo no such thing >&2; exit 3\n"),
        "late": a_program(tmp_path, "late", f"test -e {tmp_path}/once && exit 4; touch {tmp_path}/once\n" + WORKS),
    }
    with Progress(disable=True) as progress:
        bench = Bench(known, 4, 0.1, 60, progress)
        made = bench.measure([Workload("oneway", 64, ("good", "crashing", "late", "missing"))])
    assert [(one.contestant.name, len(one.runs)) for one in made] == [("good", 4)]
    assert len(bench.troubles) == 2 and "no such thing" in bench.troubles[0]
    assert bench.troubles[1].startswith("late, one way 64 B: ") and "exit status 4" in bench.troubles[1]


@pytest.mark.parametrize(("quick", "runs"), [(False, 2), (True, None)])
def test_who_fails_at_first_is_asked_again(tmp_path, monkeypatch, quick, runs) -> None:
    monkeypatch.setattr(measure, "count_syscalls", lambda *_: None)
    late = a_program(tmp_path, "late", f"test -e {tmp_path}/once || {{ touch {tmp_path}/once; exit 4; }}\n" + WORKS)
    with Progress(disable=True) as progress:
        bench = Bench({"late": late}, 2, 0.1, 60, progress, quick)
        made = bench.measure([Workload("oneway", 64, ("late",))])
    assert [len(one.runs) for one in made] == ([] if runs is None else [runs])
    what = "left out" if quick else "only when begun again"
    assert bench.troubles == [f"late, one way 64 B: {what}: late oneway 64 20: exit status 4"]


@pytest.mark.parametrize(("quick", "rounds"), [(False, 5), (True, 1)])
def test_without_time_there_are_fewer_rounds_and_the_run_says_so(tmp_path, monkeypatch, quick, rounds) -> None:
    monkeypatch.setattr(measure, "count_syscalls", lambda *_: None)
    with Progress(disable=True) as progress:
        bench = Bench({"good": a_program(tmp_path, "good", WORKS)}, 9, 0.1, 0, progress, quick)
        (made,) = bench.measure([Workload("oneway", 64, ("good",))])
    assert len(made.runs) == rounds
    assert bench.troubles[0] == f"one way 64 B: {rounds} rounds of 9, for want of time"
    assert bench.troubles[1].startswith("one way 64 B: runs of 0.013 s instead of 0.1")


def test_runs_share_the_time_that_is_left() -> None:
    with Progress(disable=True) as progress:
        bench = Bench({}, 5, 0.4, 60, progress)
    assert bench.seconds_within(600, 10) == 0.4
    assert bench.seconds_within(14, 10) == pytest.approx(0.2)
    assert bench.seconds_within(-1, 10) == pytest.approx(0.05)


# --- the document -----------------------------------------------------------------------------------


def result() -> dict:
    rows = [
        measurement("goipc", [1]).row(None),
        measurement("goipc openssl", [4], size=MIB).row(None),
        measurement("socket sealed", [1], size=MIB).row(None),
        measurement("evp", [9], size=MIB, seal_s=2, open_s=3).row(None),
        measurement("goipc", [1], "roundtrip", p50_us=10, p99_us=20).row(None),
        measurement("goipc", [1], "handshake", 0).row(None),
    ]
    on = {"processor": "Some Processor", "processors": 2, "system": "Linux 6.1"}
    return {
        "machine": on,
        "rows": rows,
        "growth": [growth.fit("ns over size", FLAT, 0.1)],
        "seconds": 1.0,
        "troubles": ["nng: gone"],
    }


def test_the_document_has_every_table_and_keeps_what_stands_around(tmp_path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"# Head\n\n{report.BEGIN}\nold\n{report.END}\n\nTail\n", encoding="utf-8")
    for _ in range(2):  # a second time, it replaces what the first has written
        report.write_document(result(), path)
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# Head\n\n{report.BEGIN}\n") and text.endswith(f"{report.END}\n\nTail\n")
        assert "\nold\n" not in text and text.count(report.BEGIN) == 1
    assert "| one way 1 MiB encrypted (openssl): rate / min(socket, EVP) | >= 0.85 | 0.75 | **missed** |" in text
    assert "on 2 processors that allows at best 1.04 of the slower" in text
    assert "| 64 B: goipc | 10.0 | 20.0 | - |" in text
    assert "| goipc openssl | - | 25 |" in text
    assert "- nng: gone\n" in text


def test_a_document_without_marks_is_left_alone(tmp_path) -> None:
    path = tmp_path / "performance.md"
    path.write_text("# Head\n", encoding="utf-8")
    with pytest.raises(ValueError, match="performance.md: no"):
        report.write_document(result(), path)
    assert path.read_text(encoding="utf-8") == "# Head\n"


def test_the_real_document_has_its_marks() -> None:
    text = run.DOCUMENT.read_text(encoding="utf-8")
    assert text.count(report.BEGIN) == 1 and text.index(report.BEGIN) < text.index(report.END)
