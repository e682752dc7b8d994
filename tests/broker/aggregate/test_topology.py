"""Places inside an aggregate: critical replicas apart, talkative pods together, and why."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.broker.aggregate.topology import Placed, Spot, Wishes, rank, score, spot_of, wishes_of
from continuo.resources import kinds

A1, A2 = Spot("a1", "a", "z1", "eu"), Spot("a2", "a", "z2", "eu")
B1, B2 = Spot("b1", "b", "z1", "eu"), Spot("b2", "b", "z2", "eu")
C = Spot("c", "c", "z1", "us")
SPOTS = {spot.node: spot for spot in (A1, A2, B1, B2, C)}
CRITICAL, CHATTY = Wishes("web", critical=True), Wishes("web", talks_to=frozenset({"db"}))


def placed(latency: dict[tuple[str, str], float] | None = None, **pods: dict[str, int]) -> Placed:
    return Placed(pods, SPOTS, latency or {})


def order(wishes: Wishes, where: Placed) -> list[str]:
    return [each.spot.node for each in rank(wishes, SPOTS.values(), where)]


def test_replicas_go_to_other_providers_then_other_zones() -> None:
    assert order(CRITICAL, placed(web={"a1": 1})) == ["b2", "c", "b1", "a2", "a1"]


def test_many_replicas_are_spread_evenly() -> None:
    where: dict[str, int] = {}
    for _ in range(9):
        best = rank(CRITICAL, (A1, B1, C), placed(web=where))[0].spot.node
        where[best] = where.get(best, 0) + 1
    assert where == {"a1": 3, "b1": 3, "c": 3}


def test_those_that_talk_stay_together() -> None:
    assert order(CHATTY, placed(db={"b1": 1})) == ["b1", "b2", "a1", "a2", "c"]


def test_measured_latency_beats_names() -> None:
    near = placed({("c", "b"): 1.0, ("a", "b"): 80.0}, db={"b1": 1})
    assert order(CHATTY, near) == ["b1", "b2", "c", "a1", "a2"]


def test_both_wishes_are_weighed() -> None:
    both = Wishes("web", True, frozenset({"db"}))
    where = placed(web={"b1": 1}, db={"b1": 1})
    assert rank(both, SPOTS.values(), where, {"spread": 5.0})[0].spot.provider != "b"
    assert rank(both, SPOTS.values(), where, {"together": 5.0})[0].spot.node == "b1"
    assert set(score(both, B1, where).parts) == {"spread", "together"}


@pytest.mark.parametrize("wishes", [Wishes("web"), CRITICAL, CHATTY])
def test_without_anything_placed_all_are_alike(wishes: Wishes) -> None:
    assert order(wishes, placed()) == sorted(SPOTS)
    assert {score(wishes, spot, placed()).total for spot in SPOTS.values()} == {1.0}


def test_a_place_that_is_gone_says_nothing() -> None:
    assert score(CHATTY, A1, placed(db={"vanished": 2})).parts == {"together": 0.0}
    assert score(CRITICAL, A1, placed(web={"vanished": 2})).parts == {"spread": 1.0}


def test_annotations_and_labels_are_read() -> None:
    marks = {"continuo.dev/critical": "true", "continuo.dev/talks-to": "db, cache,,"}
    pod = kinds.POD.new("p", "x", metadata={"annotations": marks})
    assert wishes_of(pod, "web") == Wishes("web", True, frozenset({"db", "cache"}))
    assert wishes_of(kinds.POD.new("p", "x"), "web") == Wishes("web")
    labels = {"topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/region": "eu"}
    assert spot_of(kinds.NODE.new("a1", metadata={"labels": labels}), "a") == A1


_COUNTS = st.dictionaries(st.sampled_from([*SPOTS, "gone"]), st.integers(0, 5))


@settings(max_examples=50)
@given(_COUNTS, _COUNTS, st.booleans(), st.booleans())
def test_scores_are_between_nothing_and_one(
    web: dict[str, int], db: dict[str, int], critical: bool, talks: bool
) -> None:
    wishes = Wishes("web", critical, frozenset({"db"} if talks else ()))
    for each in rank(wishes, SPOTS.values(), placed(web=web, db=db)):
        assert 0.0 <= each.total <= 1.0 and all(0.0 <= part <= 1.0 for part in each.parts.values())
