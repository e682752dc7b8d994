"""Routes say whose readings they are, where the Flavor does; contracts say why readings are not delivered."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.edge.discovery.devices import DEVICE_ID
from continuo.edge.relay.model import Delivered, Heard, RouteStatus
from continuo.edge.router.bought import bought
from continuo.edge.router.delivery import delivery_of, is_news, report
from continuo.resources.meta import Object

from .edge_cluster import contract, flavor

DEVICE = "spiffe://p.example/led/board-00aa11bb22cc"


def noted(made: Object) -> Object:
    return {**made, "metadata": {**made["metadata"], "annotations": {DEVICE_ID: DEVICE}}}


def devices(sold: Object, live: dict[str, Object]) -> list[str]:
    return [flow.device for flow in bought(sold, live.get, "default").flows]


def test_a_flow_names_the_device_of_its_flavor() -> None:
    sold = contract("a", "s1", ["https://b.example/in"], sensors=["s1", "s2"])
    assert devices(sold, {"s1": flavor("s1"), "s2": noted(flavor("s2"))}) == ["", DEVICE]
    gone = contract("a", "s1", ["https://b.example/in"])
    gone["spec"]["flavor"] = noted(gone["spec"]["flavor"])
    assert devices(gone, {}) == [DEVICE]  # as it was sold
    assert devices(gone, {"s1": flavor("s1")}) == [""]  # as it is now


def status(*troubles: str, **more: Any) -> RouteStatus:
    heard = tuple(
        Heard(sensor=f"s{number}", received=3, unproven=3 if trouble else 0, trouble=trouble)
        for number, trouble in enumerate(troubles)
    )
    target = Delivered(url="https://b.example/in", delivered=2, bytes=9, failed=0, dead=0, queued=0, dropped=0)
    trouble = next(filter(None, troubles), "")
    return RouteStatus(name="a", received=6, last_received="x", flows=heard, targets=(target,), trouble=trouble, **more)


@pytest.mark.parametrize(
    ("troubles", "state"), [(("", ""), "Active"), (("", "no proof"), "Active"), (("no proof", "no proof"), "Error")]
)
def test_a_contract_says_why_its_readings_do_not_come(troubles: tuple[str, ...], state: str) -> None:
    told = report(status(*troubles))
    assert told.state == state and ("no proof" in told.message) is any(troubles)


def test_delivery_tells_of_what_was_not_delivered() -> None:
    assert "unproven" not in delivery_of(status("")) and "trouble" not in delivery_of(status(""))
    told = delivery_of(status("no proof", unproven=3))
    assert (told["unproven"], told["trouble"]) == (3, "no proof")
    assert is_news(status(""), status("no proof")) and is_news(status("no proof"), status(""))
    assert not is_news(status("no proof"), status("no proof"))
