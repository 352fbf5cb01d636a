"""Known heads: what one request has found never changes what another gets, and it ends when it has to."""

from __future__ import annotations

import pytest
from fakes.heads import head
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.settings import Settings
from sidecar.errors import Refusal
from sidecar.gateways.gateway import Auth, Gateway, Secret
from sidecar.launch.passes import Pass
from sidecar.proxy.admission import LARGEST_HEAD, LONGEST_USER_ID, MOST_HEADS, MOST_PLANS, Admission, KnownHeads
from sidecar.wire.body import Peek
from sidecar.wire.head import LARGEST_BODY, plain_head

PIECES = [
    b"Content-Length: ",
    b"content-length: ",
    b"\r\n",
    b"1",
    b"0",
    b"12",
    b" ",
    b":",
    b"X: a",
    b"Host: x",
    b"chunked",
    b"\0",
    b"_",
    b"\n",
]


def said(found) -> object:
    """Whatever a request learns from its head, but for which object it is."""
    if found is None:
        return None
    got, length = found[0].head, found[1]
    fields = [(name, value) for name, value in got.fields if name.lower() != b"content-length"]
    names = [name for name, _ in got.fields]
    return got.method, got.raw_path, got.version, fields, names, length


def test_heads_that_differ_in_the_length_alone_are_one():
    heads = KnownHeads()
    one, _ = heads.read(head(b"Content-Length: 12", b"X: a"))
    for length in (1, 12, 345_678):
        assert heads.read(head(b"Content-Length: %d" % length, b"X: a")) == (one, length)
    for other in (
        head(b"Content-Length: 12", b"X: b"),
        head(b"Content-Length: 12", b"X: a", line=b"POST /v1/messages HTTP/1.1"),
        head(b"content-length: 12", b"X: a"),
        head(b"X: a", b"Content-Length: 12"),
    ):
        assert heads.read(other)[0] is not one


@pytest.mark.parametrize("length", [b"0", b"", b"012", b"+12", b"1 2", b"0x1", b"\x00", b"99999999999", b"12, 12"])
def test_a_length_that_is_hard_to_tell_is_never_taken_for_a_known_one(length):
    fresh = said(KnownHeads().read(head(b"Content-Length: " + length)))
    heads = KnownHeads()
    heads.read(head(b"Content-Length: 12"))
    assert said(heads.read(head(b"Content-Length: " + length))) == fresh
    heads.read(head(b"Content-Length: 0"))
    assert said(heads.read(head(b"Content-Length: " + length))) == fresh


def test_a_length_above_the_limit_is_left_to_others_also_where_the_head_is_known():
    heads = KnownHeads()
    assert heads.read(head(b"Content-Length: 5")) is not None
    assert heads.read(head(b"Content-Length: %d" % (LARGEST_BODY + 1))) is None


def test_what_is_kept_is_bounded():
    heads = KnownHeads()
    for number in range(2 * MOST_HEADS):
        heads.read(head(b"X: %d" % number))
    assert 0 < len(heads) <= MOST_HEADS


@pytest.mark.parametrize(("size", "is_kept"), [(LARGEST_HEAD, True), (LARGEST_HEAD + 1, False)])
def test_a_large_head_is_not_kept(size, is_kept):
    heads = KnownHeads()
    data = head(b"X: " + b"a" * (size - len(head(b"X: "))))
    assert len(data) == size
    assert (heads.read(data)[0] is heads.read(data)[0]) is is_kept


@given(st.lists(st.sampled_from(PIECES), max_size=6), st.integers(0, 200), st.integers(0, 6), st.integers(1, 99))
def test_a_head_says_the_same_whatever_was_read_before(put_in, at, left_out, length):
    usual = head(b"X-One: a", b"Content-Length: %d" % length, b"X-Two: b")
    at %= len(usual)
    changed = usual[:at] + b"".join(put_in) + usual[at + left_out :]
    changed = changed[: changed.find(b"\r\n\r\n") + 4] if b"\r\n\r\n" in changed else changed + b"\r\n\r\n"
    heads = KnownHeads()
    for known in (usual, head(b"X-One: a", b"Content-Length: 0", b"X-Two: b"), changed):
        heads.read(known)
    fresh = KnownHeads().read(changed)
    assert said(heads.read(changed)) == said(fresh)
    if fresh is not None:
        is_kept = heads.read(changed)[0] is heads.read(changed)[0]
        assert is_kept or heads.read(changed)[0].head.fields == fresh[0].head.fields


GATEWAY = Gateway(name="g", preset=None, base_url="https://g.example", auth=Auth("x-api-key"), credential=Secret(()))
BEARER = Pass("run-1", 1000)


def settings() -> Settings:
    return Settings({"g": GATEWAY}, gateway="g")


def admission(of: Settings, *fields: bytes) -> Admission:
    return Admission(plain_head(head(*fields))[0], of, b"key", BEARER, "somebody")


def test_an_admission_ends_with_its_settings_its_pass_key_and_its_pass():
    current = settings()
    admitted = admission(current)
    assert admitted.holds(current, b"key", 999.9)
    assert not admitted.holds(settings(), b"key", 0)
    assert not admitted.holds(current, b"another", 0)
    assert not admitted.holds(current, b"key", 1000.0)


def test_a_plan_is_made_once_for_each_model_and_user():
    admitted = admission(settings())
    one = admitted.plan(Peek("m", None, "user"))
    assert admitted.plan(Peek("m", True, "user")) is one
    other = admitted.plan(Peek("n", None, "user"))
    assert (one.there.model_requested, other.there.model_requested) == ("m", "n")
    assert admitted.plan(Peek("m", None, "user_a_account_b_session_of-a-user")).caller.session == "of-a-user"
    assert one.caller.session == "run-1"


def test_the_plans_that_are_kept_are_bounded_in_number_and_size():
    admitted = admission(settings())
    for number in range(3 * MOST_PLANS):
        admitted.plan(Peek(str(number), None, None))
    assert 0 < len(admitted._plans) <= MOST_PLANS
    for length, is_kept in ((LONGEST_USER_ID, True), (LONGEST_USER_ID + 1, False)):
        seen = Peek("m", None, "a" * length)
        assert (admitted.plan(seen) is admitted.plan(seen)) is is_kept


def test_a_refusal_is_not_kept():
    admitted = admission(settings(), b"X-Sidecar-Gateway: nowhere")
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            admitted.plan(Peek())
        assert refused.value.code == "unknown_gateway"
