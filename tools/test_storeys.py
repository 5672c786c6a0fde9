# SPDX-License-Identifier: MIT
"""Each thing that storeys.py promises is broken once, in a tree that stands only here."""

import pytest
import storeys

FILES = {
    "core/system.h": "/* goipci_prose */ void goipci_random(void);",
    "endpoint/clock.h": '#include "core/system.h"\nlong goipci_clock(void);',
    "endpoint/lock.h": "",
    "endpoint/transport.h": "",
}
ORDER = ["core/wire.c", "core/session.c", "endpoint/send.c", "endpoint/server.c"]
DEFINED = {
    "core/wire.c": {"goipc_wire"},
    "core/session.c": {"goipc_session"},
    "endpoint/send.c": {"goipci_send"},
    "endpoint/server.c": {"goipc_server"},
    "platform/unix/system.c": {"goipci_random", "goipci_clock", "goipci_private"},
}


@pytest.mark.parametrize(
    ("file", "header"),
    [
        ("core/wire.c", "goipc.h"),
        ("core/wire.c", "core/internal.h"),
        ("endpoint/server.c", "core/session.h"),
        ("endpoint/server.c", "endpoint/send.h"),
        ("platform/unix/poller.c", "platform/unix/socket.h"),
        ("platform/unix/poller.c", "endpoint/transport.h"),
        ("platform/unix/poller.c", "core/internal.h"),
    ],
)
def test_arrows_that_point_down(file, header):
    assert storeys.check_includes({file: f'#include "{header}"\n'}) == []


@pytest.mark.parametrize(
    ("file", "header"),
    [
        ("core/wire.c", "endpoint/server.h"),
        ("core/wire.c", "platform/unix/socket.h"),
        ("core/wire.c", "internal.h"),
        ("endpoint/server.c", "platform/unix/socket.h"),
        ("platform/unix/poller.c", "endpoint/server.h"),
        ("platform/unix/poller.c", "platform/windows/pipe.h"),
    ],
)
def test_arrows_that_point_up_or_aside(file, header):
    assert storeys.check_includes({file: f'#include "{header}"\n'}) == [f"{file} includes {header}"]


def calls(**called: str) -> list[str]:
    """`core_wire="name"`: core/wire.c calls this."""
    found = {key.replace("_", "/", 1) + ".c": {name} for key, name in called.items()}
    return storeys.check_calls(DEFINED, found, ORDER, storeys.contract_names(FILES))


@pytest.mark.parametrize(
    "called",
    [
        {"core_session": "goipc_wire"},
        {"core_wire": "goipci_random"},
        {"endpoint_send": "goipci_random"},
        {"endpoint_send": "goipci_clock"},
        {"endpoint_server": "goipci_send"},
        {"endpoint_server": "goipc_session"},
        {"endpoint_server": "poll"},
        {"core_wire": "memcpy"},
    ],
)
def test_calls_that_are_allowed(called):
    assert calls(**called) == []


@pytest.mark.parametrize(
    ("called", "why"),
    [
        ({"core_wire": "goipc_session"}, "comes after it"),
        ({"endpoint_send": "goipc_server"}, "comes after it"),
        ({"core_wire": "goipci_send"}, "a storey above"),
        ({"core_wire": "goipci_clock"}, "a storey above"),
        ({"core_wire": "goipci_private"}, "a storey above"),
        ({"endpoint_send": "goipci_private"}, "a storey above"),
        ({"core_wire": "poll"}, "no business of the core"),
        ({"core_wire": "pthread_create"}, "no business of the core"),
        ({"core_session": "clock_gettime"}, "no business of the core"),
    ],
)
def test_calls_that_are_refused(called, why):
    (found,) = calls(**called)
    assert why in found


def test_a_file_that_is_too_long():
    assert storeys.check_lengths({"core/wire.c": "\n" * 700}) == []
    assert storeys.check_lengths({"core/wire.c": "\n" * 701}) == ["core/wire.c has 701 lines, 700 allowed"]


def test_the_files_of_the_build_are_all_in_order():
    """A file that CMakeLists.txt names in another way would escape the order."""
    names = {file for file in storeys.read_files() if file.endswith(".c") and not file.startswith("platform/")}
    assert names == set(storeys.build_order())
