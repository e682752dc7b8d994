"""SPIFFE IDs: what is one, what is none, and whom an authorization covers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.trust.ids import Authorized, BadId, TrustDomain, device_id, gateway_id, parse_domain, parse_id

GOOD = (
    "spiffe://a.example/cp/rear",
    "spiffe://a.example/led/STWINBX1-0123456789abcdef01234567",
    "spiffe://a_b-c.9/x",
    "spiffe://10.0.0.1/ns/default/sa/x..y",
    "spiffe://a.example/" + "x" * 2000,
)
BAD = {
    "": "is no SPIFFE ID",
    "a.example/x": "spiffe://",
    "https://a.example/x": "spiffe://",
    "spiffe:/a.example/x": "spiffe://",
    "spiffe:///x": "empty",
    "spiffe://a.example": "a workload has a path",
    "spiffe://a.example/": "empty segments",
    "spiffe://a.example/x/": "empty segments",
    "spiffe://a.example//x": "empty segments",
    "spiffe://a.example/./x": "not allowed",
    "spiffe://a.example/../x": "not allowed",
    "spiffe://a.example/x%20y": "invalid character",
    "spiffe://a.example/x?y": "invalid character",
    "spiffe://a.example/x#y": "invalid character",
    "spiffe://a.example/x y": "invalid character",
    "spiffe://a.example:443/x": "disallowed characters",
    "spiffe://user@a.example/x": "disallowed characters",
    "spiffe://a%2eexample/x": "disallowed characters",
    "spiffe://a.example/x\n": "printable",
    "spiffe://a.example\n/x": "printable",
    "spiffe://\u212aube.example/x": "printable",
    "spiffe://a.example/\u00e4": "printable",
    "spiffe://a.example/x\x00": "printable",
    "spiffe://a.example/" + "x" * 2048: "at most 2048",
    "spiffe://" + "a" * 256 + "/x": "longer than 255",
}


@pytest.mark.parametrize("text", GOOD)
def test_an_id_is_read_and_written_as_it_was(text: str) -> None:
    assert str(parse_id(text)) == text


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_no_id_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(BadId, match=BAD[text]):
        parse_id(text)


def test_a_trust_domain_is_the_same_in_capitals_and_a_path_is_not() -> None:
    assert parse_id("spiffe://A.Example/x") == parse_id("spiffe://a.example/x")
    assert parse_id("spiffe://a.example/X") != parse_id("spiffe://a.example/x")


@pytest.mark.parametrize("text", ["", "a b", "a.example/x", "a:1", "\u212a", "a\n", "a" * 256, "spiffe://"])
def test_what_is_no_trust_domain_is_refused(text: str) -> None:
    with pytest.raises(BadId):
        parse_domain(text)


def test_devices_and_gateways_have_the_agreed_names() -> None:
    domain = TrustDomain("edge.example")
    assert str(device_id(domain, "stwin", "00aa")) == "spiffe://edge.example/led/stwin-00aa"
    assert str(gateway_id(domain, "7")) == "spiffe://edge.example/gw/7"


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("spiffe://a.example/cp/rear", True),
        ("spiffe://a.example/cp/rear2", False),
        ("spiffe://a.example/cp", False),
        ("spiffe://b.example/cp/rear", False),
        ("spiffe://a.example/gw/1", True),
        ("spiffe://a.example/gw/1/2", True),
        ("spiffe://a.example/gw", False),
        ("spiffe://a.example/gwx/1", False),
        ("spiffe://b.example/gw/1", False),
        ("spiffe://c.example/whatever", True),
    ],
)
def test_authorization_covers_ids_whole_segments_and_domains(text: str, may: bool) -> None:
    may_who = Authorized.of(ids=["spiffe://a.example/cp/rear"], below=["spiffe://a.example/gw/"], domains=["c.example"])
    assert may_who(parse_id(text)) is may


def test_nobody_is_authorized_by_default() -> None:
    assert not Authorized()(parse_id("spiffe://a.example/x"))


@given(st.text(max_size=60), st.sampled_from(["", "spiffe://", "spiffe://a.example/", "spiffe://a"]))
def test_any_text_is_an_id_or_a_sentence(text: str, before: str) -> None:
    try:
        found = parse_id(before + text)
    except BadId as error:
        assert str(error)
    else:
        assert parse_id(str(found)) == found and found.path
