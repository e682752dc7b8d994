"""Two stages of translation where every cluster uses 10.0.0.0/16: a table, and what holds for all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.broker.aggregate.addresses import Mapped, NoWay, Relay, View, inward, outward
from continuo.federation.reflection.places import Atlas, Place

OWN = "10.0.0.0/16"
RELAY = Relay("broker", {"milan": Mapped(OWN, "10.1.0.0/16"), "turin": Mapped(OWN, "10.2.0.0/16")}, "10.70.0.0/16")
VIEW = View(Mapped(OWN, "10.71.0.0/16"), Mapped("10.70.0.0/16", "10.72.0.0/16"))


def published(*places: Place) -> Relay:
    one_by_one = RELAY
    for place in places:
        one_by_one = one_by_one.publish(place)
    assert RELAY.publish(*places) == one_by_one
    return one_by_one


@pytest.mark.parametrize(
    ("place", "broker", "consumer"),
    [
        (Place("milan", "10.0.3.4"), "10.1.3.4", "10.72.0.1"),
        (Place("turin", "10.0.3.4"), "10.2.3.4", "10.72.0.2"),
        (Place("turin", "10.0.255.255"), "10.2.255.255", "10.72.0.3"),
        (Place("broker", "10.0.3.4"), "10.0.3.4", "10.71.3.4"),
    ],
)
def test_the_table(place: Place, broker: str, consumer: str) -> None:
    relay = published(Place("milan", "10.0.3.4"), Place("turin", "10.0.3.4"), Place("turin", "10.0.255.255"))
    assert relay.sees(place) == broker
    assert outward(place, relay, VIEW) == consumer
    assert inward(consumer, relay, VIEW) == place


def test_an_address_is_kept_and_a_withdrawn_one_given_again() -> None:
    first, second, third = (Place("milan", f"10.0.0.{number}") for number in (1, 2, 3))
    relay = published(first, second)
    assert relay.publish(first) is relay
    before = outward(second, relay, VIEW)
    relay = relay.withdraw(first).publish(third)
    assert outward(second, relay, VIEW) == before
    assert inward("10.72.0.1", relay, VIEW) == third
    with pytest.raises(NoWay, match=r"has not published 10\.0\.0\.1 of cluster milan"):
        outward(first, relay, VIEW)


def test_what_has_no_way_says_so() -> None:
    with pytest.raises(NoWay, match="no network to cluster oslo"):
        RELAY.publish(Place("oslo", "10.0.0.1"))
    with pytest.raises(NoWay, match="is not in network"):
        RELAY.publish(Place("milan", "192.0.2.1"))
    with pytest.raises(NoWay, match="publishes nothing as"):
        inward("10.72.0.9", RELAY, VIEW)
    with pytest.raises(NoWay, match="is full"):
        Relay("b", RELAY.providers, "10.70.0.0/31").publish(Place("milan", "10.0.0.1"))


def test_maps_that_cannot_work_are_refused() -> None:
    with pytest.raises(NoWay, match="equally large"):
        Mapped(OWN, "10.1.0.0/24")
    with pytest.raises(NoWay, match="must not overlap"):
        Relay("b", {"milan": Mapped(OWN, "10.1.0.0/16"), "turin": Mapped(OWN, "10.1.0.0/16")}, "10.70.0.0/16")
    with pytest.raises(NoWay, match="must not overlap"):
        Relay("b", {"milan": Mapped(OWN, "10.70.0.0/16")}, "10.70.0.0/16")
    with pytest.raises(NoWay, match="both seen under"):
        View(Mapped(OWN, "10.71.0.0/16"), Mapped("10.70.0.0/16", "10.71.0.0/16"))


_PLACES = st.builds(
    Place, st.sampled_from(["milan", "turin", "broker"]),
    st.integers(0, 2**16 - 1).map(lambda n: f"10.0.{n >> 8}.{n & 255}"),
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(_PLACES, unique=True, max_size=30))
def test_there_and_back_without_collisions(places: list[Place]) -> None:
    relay = published(*places)
    seen = [outward(place, relay, VIEW) for place in places]
    assert len(set(seen)) == len(places)
    assert [inward(ip, relay, VIEW) for ip in seen] == places


@settings(max_examples=40)
@given(_PLACES)
def test_reflections_map_says_the_same(place: Place) -> None:
    relay = published(place)
    here = Atlas("rome", {"broker": VIEW.pods.seen}, {"broker": VIEW.external.seen}, flat=False)
    beyond = Atlas("broker", {name: each.seen for name, each in relay.providers.items()}, pods=OWN,
                   published=relay.published, flat=False)  # fmt: skip
    hop = Place("broker", relay.sees(place))
    assert here.seen(place, hop, beyond) == outward(place, relay, VIEW)
