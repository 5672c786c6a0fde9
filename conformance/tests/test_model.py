# SPDX-License-Identifier: MIT
"""Goal: the oracle of the generated tier knows what may come of every operation, open or not, sealed or plain, for
both roles. Method: no implementation and no performer; the model is asked."""

import pytest
from goipc_conformance.generated import operations as ops
from goipc_conformance.generated.model import CLOSED, ECHOED, IGNORED, OPEN, SERVED, TURNED_AWAY, Model

BOTH = (True, False)


def model(encrypted=True, role="server", *, is_open=True):
    one = Model(ops.Knobs(role, encrypted))
    if is_open:
        one.happened(OPEN)
    return one


@pytest.mark.parametrize("encrypted", BOTH)
@pytest.mark.parametrize("kind", ops.KINDS.values())
def test_what_needs_a_connection_means_nothing_without_and_the_other_way_round(kind, encrypted):
    makes_one = kind in (ops.Connect, ops.BadHandshake)
    assert bool(model(encrypted, is_open=False).allowed(kind())) == makes_one
    assert not (makes_one and model(encrypted).allowed(kind()))


@pytest.mark.parametrize("encrypted", BOTH)
def test_what_ends_a_connection_may_do_nothing_else(encrypted):
    for kind in ops.KINDS.values():
        if kind.ends and kind not in (ops.BadHandshake, ops.BadSeal):
            assert model(encrypted).allowed(kind()) == (CLOSED,)
    assert model(encrypted).allowed(ops.BadSeal()) == ((CLOSED,) if encrypted else ())


def test_what_is_valid_comes_back():
    for operation in (ops.Messages(), ops.Pause(), ops.Rearrange("swap"), ops.Rearrange("drop")):
        assert model().allowed(operation) == (ECHOED,)
    assert model().allowed(ops.Control()) == (IGNORED,)


def test_a_nonce_that_comes_again_may_be_refused_and_a_plain_frame_may_not():
    for operation in (ops.Resend(), ops.Rearrange("duplicate")):
        for encrypted, allowed in ((True, (ECHOED, CLOSED)), (False, (ECHOED,))):
            one = model(encrypted)
            one.owes([(1, b"x")])
            assert one.allowed(operation) == allowed
    assert model(False).allowed(ops.Rearrange("same-nonce")) == ()
    assert model().allowed(ops.Resend()) == (), "nothing has been sent that could be sent again"


def test_a_second_peer_is_for_servers():
    assert model().allowed(ops.Beside()) == (SERVED, TURNED_AWAY)
    assert model(role="client").allowed(ops.Beside()) == ()


def test_messages_come_back_in_order_once_and_as_they_were():
    one = model()
    one.owes([(1, b"a"), (2, b"b")])
    assert one.arrives((2, b"b")) == "out-of-order"
    assert one.arrives((1, b"A")) == "altered"
    assert one.arrives((1, b"a")) is None
    assert one.arrives((2, b"b")) is None
    assert one.arrives((2, b"b")) == "delivered"


def test_a_new_connection_owes_nothing_of_the_old():
    one = model()
    one.owes([(1, b"a")])
    one.happened(CLOSED)
    assert not one.open and not one.owed and one.allowed(ops.Connect()) == (OPEN,)
    one.happened(OPEN)
    assert one.open and one.allowed(ops.Resend()) == ()
