"""Whose readings may pass, by what was proved and when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from continuo.edge.relay.gate import Gate
from continuo.trust.bundles import Bundles
from continuo.trust.delegation import BadDelegation, Delegation, Level
from continuo.trust.ids import TrustDomain, parse_id

DEVICE, OTHER = "spiffe://a.example/led/x-00aa", "spiffe://a.example/led/y-00bb"
CLAIM = b"ce-device: spiffe://a.example/led/x-00aa\r\nce-devicelevel: L0\r\nce-gateway: spiffe://a.example/gw/1\r\n"


class Now:
    at = 1000.0

    def __call__(self) -> float:
        return self.at


def proof(
    until: float, device: str = DEVICE, gateway: str = "1", level: Level = Level.L0, key: str = "k"
) -> Delegation:
    who = parse_id(f"spiffe://a.example/gw/{gateway}")
    return Delegation(parse_id(device), who, level, datetime.fromtimestamp(until, UTC), key)


def test_readings_pass_as_long_as_a_delegation_holds() -> None:
    now = Now()
    gate = Gate(now, required=True)
    assert gate.claim(DEVICE) is None and "no gateway has proved that it speaks for" in gate.trouble(DEVICE)
    assert gate.take(proof(1300)) and gate.claim(DEVICE) == CLAIM and gate.trouble(DEVICE) == ""
    assert gate.claim(OTHER) is None
    now.at = 1299.9
    assert gate.claim(DEVICE) == CLAIM and not gate.take(proof(1600))
    now.at = 1300.0
    assert gate.claim(DEVICE) == CLAIM and len(gate) == 1
    now.at = 1600.0
    assert gate.claim(DEVICE) is None and gate.trouble(DEVICE) and len(gate) == 0 and gate.all() == []


def test_without_the_requirement_everything_passes_and_only_proofs_are_claimed() -> None:
    gate = Gate(Now())
    gate.take(proof(1300, level=Level.L1))
    assert gate.claim(DEVICE) == CLAIM.replace(b"L0", b"L1")
    assert gate.claim(OTHER) == gate.claim("") == b"" and gate.trouble(OTHER) == gate.trouble("") == ""


def test_a_sensor_without_a_device_does_not_pass_where_proofs_are_required() -> None:
    gate = Gate(Now(), required=True)
    assert gate.claim("") is None and "names no device" in gate.trouble("")


@pytest.mark.parametrize("required", [True, False])
def test_a_denied_device_never_passes(required: bool) -> None:
    gate = Gate(Now(), required=required, denied=[DEVICE])
    with pytest.raises(BadDelegation, match="deny list"):
        gate.take(proof(1300))
    assert gate.claim(DEVICE) is None and "deny list" in gate.trouble(DEVICE) and len(gate) == 0


def test_a_device_that_moves_is_the_later_gateways() -> None:
    gate = Gate(Now(), required=True)
    gate.take(proof(1300))
    assert gate.take(proof(1400, gateway="2")) and b"gw/2" in (gate.claim(DEVICE) or b"")
    with pytest.raises(BadDelegation, match=r"later delegation for .* by spiffe://a.example/gw/2"):
        gate.take(proof(1300))
    with pytest.raises(BadDelegation, match="expired"):
        gate.take(proof(1000, device=OTHER))
    assert b"gw/2" in (gate.claim(DEVICE) or b"")


def test_what_one_gateway_and_all_may_fill_is_bounded_and_freed_again() -> None:
    now = Now()
    gate = Gate(now, per_gateway=2, most=3)
    for number, gateway in enumerate(("1", "1", "2")):
        gate.take(proof(1300, device=f"spiffe://a.example/led/d{number}", gateway=gateway))
    with pytest.raises(BadDelegation, match="speaks for 2 devices already"):
        gate.take(proof(1300))
    with pytest.raises(BadDelegation, match="no room"):
        gate.take(proof(1300, gateway="2"))
    gate.take(proof(1301, device="spiffe://a.example/led/d0"))  # a renewal takes no room
    now.at = 1300.5
    gate.take(proof(1400))
    assert sorted(str(held.delegation.device) for held in gate.all()) == ["spiffe://a.example/led/d0", DEVICE]


def test_a_thousand_renewals_leave_nothing_behind() -> None:
    gate = Gate(Now())
    for number in range(1000):
        gate.take(proof(2000 + number))
    assert len(gate) == 1 and len(gate._ends) < 100


def test_what_a_withdrawn_key_has_signed_is_let_go() -> None:
    gate = Gate(Now(), required=True)
    gate.take(proof(1300))
    gate.take(proof(1300, device=OTHER, key="new"))
    left = Bundles(jwt={TrustDomain("a.example"): {"new": object()}, TrustDomain("b.example"): {"k": object()}})
    assert gate.keep(left) == [DEVICE] and gate.claim(DEVICE) is None and gate.claim(OTHER)
    assert gate.keep(Bundles()) == [OTHER] and len(gate) == 0
