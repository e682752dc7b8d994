"""Addresses: no two of a network alike, the same name the same one, all given back."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.iot.hub.addresses import allocate, mac_of, read_mac, vif_of
from continuo.iot.hub.refusals import Refused


@settings(max_examples=60, deadline=None)
@given(prefix=st.integers(24, 30), names=st.lists(st.text(max_size=8), unique=True, max_size=80), data=st.data())
def test_addresses_are_distinct_and_none_is_lost(prefix: int, names: list[str], data: st.DataObject) -> None:
    cidr = f"10.9.8.0/{prefix}"
    hosts = set(map(str, ipaddress.IPv4Network(cidr).hosts()))
    used: dict[str, str] = {}
    for name in names:
        if used and data.draw(st.booleans()):
            used.pop(data.draw(st.sampled_from(sorted(used))))
        if len(used) == len(hosts):
            with pytest.raises(Refused, match="are in use"):
                allocate(cidr, used.values(), name)
            continue
        address = allocate(cidr, set(used.values()), name)
        assert address in hosts and address not in used.values()
        assert allocate(cidr, set(used.values()), name) == address
        used[name] = address
    assert allocate(cidr, (), "a name") == allocate(cidr, (), "a name")


@pytest.mark.parametrize(
    ("cidr", "wanted", "sentence"),
    [
        ("10.0.0.0", None, "prefix of 32"),
        ("10.0.0.0/8", None, "between 16 and 30"),
        ("10.0.0.1/24", None, "no IPv4 network"),
        ("fd00::/64", None, "no IPv4 network"),
        ("224.0.0.0/24", None, "not for hosts"),
        ("127.0.0.0/24", None, "not for hosts"),
        ("10.0.0.0/24", "10.0.1.1", "no address of a host in"),
        ("10.0.0.0/24", "10.0.0.255", "no address of a host in"),
        ("10.0.0.0/24", "ten", "no IPv4 address"),
        ("10.0.0.0/24", "10.0.0.7", "in use"),
    ],
)
def test_what_is_no_address_is_said(cidr: str, wanted: str | None, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        allocate(cidr, {"10.0.0.7"}, "name", wanted)


def test_macs_and_interfaces() -> None:
    uuid = "3c1a7d5e-0000-4000-8000-000000000001"
    assert read_mac(mac_of(uuid), ()) == mac_of(uuid)
    assert len(vif_of(uuid)) <= 15
    for wrong in ("01:00:5e:00:00:01", "00:00:00:00:00:00", "02:00", "zz:00:00:00:00:00"):
        with pytest.raises(Refused, match="mac: "):
            read_mac(wrong, ())
