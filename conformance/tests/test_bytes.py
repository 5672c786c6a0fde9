# SPDX-License-Identifier: MIT
"""The suite's own codec, keys and cuts: if these were wrong, every verdict would be."""

import socket
import threading

import pytest
from goipc_conformance import codec, keys
from goipc_conformance.wire import Closed, Cuts, Log, Silent, Wire


def test_frame_and_seal_round_trip():
    key, nonce = bytes(range(32)), bytes(12)
    body = codec.seal(key, nonce, codec.message_plaintext(7, b"hi"))
    assert len(body) == 12 + 4 + 2 + 16 and codec.frame(body)[:4] == bytes([0, 0, 0, 34])
    assert codec.split_plaintext(codec.unseal(key, body)) == (7, b"hi")


def test_seal_known_answer():
    # AES-256-GCM with an all-zero key and nonce over one all-zero block: test case 14 of the GCM specification.
    body = codec.seal(bytes(32), bytes(12), bytes(16))
    assert body[12:].hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"


@pytest.mark.parametrize("at", range(0, 34, 5))
def test_unseal_refuses_any_change(at):
    body = bytearray(codec.seal(bytes(32), bytes(12), b"text text"))
    body[at] ^= 1
    with pytest.raises(codec.CodecError):
        codec.unseal(bytes(32), bytes(body))


@pytest.mark.parametrize("zeros", (0, 1, 2))
def test_redrawn_key_has_the_zeros_that_were_asked_for(zeros):
    peer = keys.PrivateKey(keys.scalar_from("peer"))
    own = keys.private_key_for_leading_zeros(peer.public, zeros, keys.scalar_from("own", zeros))
    x = own.shared_x(peer.public)
    assert len(x) == 48 and x[:zeros] == bytes(zeros) and x[zeros] != 0
    assert x == peer.shared_x(own.public)
    assert (keys.session_key(x) == keys.session_key_padded(x)) == (zeros == 0)


def test_special_points_are_points():
    assert keys.decode_point(keys.point_with_zero_x())[0] == 0
    assert keys.decode_point(keys.encode_point(keys.SMALL_Y_POINT))[1] == 1
    for wrong in (b"", b"\x04" + bytes(96), b"\x04" + b"\xff" * 96, b"\x05" + keys.point_with_zero_x()[1:]):
        with pytest.raises(keys.InvalidKey):
            keys.decode_point(wrong)


def test_key_of_nothing_is_the_hash_of_nothing():
    assert keys.session_key(bytes(48)).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def pair():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Wire(ours, Log(), 1, 2.0), theirs


@pytest.mark.parametrize(
    "cuts, sizes", [(Cuts(at=(1,)), [1, 9]), (Cuts(at=(3, 7)), [3, 4, 3]), (Cuts(every=1), [1] * 10)]
)
def test_cuts_arrive_apart(cuts, sizes):
    wire, theirs = pair()
    seen = []

    def read():
        while sum(seen) < 10:
            seen.append(len(theirs.recv(4096)))

    reader = threading.Thread(target=read)
    reader.start()
    wire.send(b"0123456789", "test", cuts)
    reader.join(5)
    assert seen == sizes and not wire.weak_cuts


def test_a_message_in_one_write_is_never_taken_for_two():
    for _ in range(200):
        wire, theirs = pair()
        threading.Thread(target=theirs.sendall, args=(bytes(97),)).start()
        assert wire.first_arrival(97) == 97
        wire.close()


def test_a_message_in_two_writes_is_noticed():
    wire, theirs = pair()
    theirs.sendall(bytes(50))
    assert wire.first_arrival(97) == 50


def test_end_and_silence_are_told_apart():
    wire, theirs = pair()
    wire.timeout = 0.05
    theirs.sendall(b"ab")
    with pytest.raises(Silent) as silent:
        wire.receive(3, "three bytes")
    assert silent.value.partial == b"ab"
    theirs.close()
    with pytest.raises(Closed) as closed:
        wire.receive(3, "three bytes")
    assert closed.value.partial == b"ab"


def test_a_reset_is_an_end():
    wire, theirs = pair()
    wire.send(b"unread", "test")
    theirs.close()  # with unread data: the system reports a reset
    with pytest.raises(Closed) as closed:
        wire.receive(1, "anything")
    assert closed.value.how == "reset"


def test_writing_to_a_peer_that_has_gone_is_the_same_end():
    wire, theirs = pair()
    theirs.close()
    with pytest.raises(Closed) as closed:
        wire.send(b"broken pipe", "test")
    assert closed.value.how == "reset"
