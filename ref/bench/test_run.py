# SPDX-License-Identifier: MIT
"""The bench's own arithmetic: medians, ratios, targets, rows."""

from __future__ import annotations

import pytest
import run
from run import KIB, MIB, Contestant, Figures, Measurement, Target, Workload

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
    "syscalls_per_message",
    "rss_kib",
    "ratio_to_limit",
}


def measurement(
    name: str, seconds: list[float], kind: str = "oneway", size: int = 64, clients: int = 0, **more: float
) -> Measurement:
    runs = [
        {"messages": 100, "seconds": one, "cpu_client_s": one / 2, "cpu_server_s": one / 4, **more} for one in seconds
    ]
    return Measurement(Workload(kind, size, (name,), clients), Contestant(name, "program"), 100, runs)


def test_the_median_ignores_one_bad_round() -> None:
    assert measurement("goipc", [1, 2, 900]).seconds_per_message == 0.02


def test_cpu_is_that_of_the_busier_side() -> None:
    assert measurement("goipc", [2]).cpu_us_per_message == pytest.approx(1 / 100 * 1e6)


def test_a_row_has_all_that_readers_rely_on() -> None:
    row = measurement("goipc", [2]).row(measurement("socket", [1]))
    assert set(row) >= ROW_KEYS
    assert row["messages_per_s"] == 50
    assert row["ratio_to_limit"] == pytest.approx(0.5)
    assert row["clients"] == 1


def test_without_a_limit_there_is_no_ratio() -> None:
    assert measurement("socket", [1]).row(None)["ratio_to_limit"] is None


def test_ratios_go_both_ways() -> None:
    figures = Figures([measurement("goipc", [1]), measurement("golang-ipc", [100])])
    assert figures.time_ratio("oneway", 64, "golang-ipc", "goipc") == pytest.approx(100)
    assert figures.rate_ratio("oneway", 64, "goipc", "golang-ipc") == pytest.approx(100)
    assert figures.rate_ratio("oneway", 64, "goipc", "nng") is None


def test_round_trips_are_compared_by_their_median() -> None:
    mine = measurement("goipc", [9], "roundtrip", p50_us=11)
    figures = Figures([mine, measurement("socket", [1], "roundtrip", p50_us=10)])
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
    judged = run.targets(Figures([]))
    assert len(judged) >= 16
    assert not any(target.met for target in judged)


def test_memory_of_an_idle_client() -> None:
    figures = Figures(
        [
            measurement("goipc", [1], "roundtrip", rss_server_kib=3000),
            measurement("goipc", [1], "roundtrip", clients=1000, rss_server_kib=5000),
        ]
    )
    assert run.idle_client_kib(figures, "goipc") == 2


def test_the_cipher_is_the_limit_where_it_is_slower_than_the_socket() -> None:
    figures = Figures(
        [
            measurement("goipc openssl", [4], size=MIB),
            measurement("socket sealed", [1], size=MIB),
            measurement("evp", [9], size=MIB, seal_s=2, open_s=3),
        ]
    )
    assert run.large_encrypted(figures) == pytest.approx(0.75)


@pytest.mark.parametrize(("size", "text"), [(64, "64 B"), (KIB, "1 KiB"), (3 * MIB, "3 MiB"), (KIB + 1, "1025 B")])
def test_sizes(size: int, text: str) -> None:
    assert run.size_text(size) == text


def test_a_plot_names_every_contestant(tmp_path) -> None:
    rows = [
        measurement(name, [seconds], size=size).row(None)
        for name, seconds in (("goipc", 1), ("socket", 2))
        for size in (64, KIB, MIB)
    ]
    picture = tmp_path / "plot.svg"
    run.plot(rows, picture)
    text = picture.read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert ">goipc<" in text and ">socket<" in text
