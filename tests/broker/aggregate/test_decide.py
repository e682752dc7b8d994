"""What consumers are shown: by example, and properties that hold for all pictures."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.broker.aggregate.decide import decide
from continuo.broker.aggregate.model import Offer, Picture, Pool, Want, selected, want_of
from continuo.broker.readers.amounts import parse, spell
from continuo.resources.broker import AGGREGATE, PROVIDER, Selector
from continuo.resources.selectors import Operator, Requirement

ALL = ("milan", "turin")


def want(name: str = "a", consumer: str = "rome", providers: tuple[str, ...] = ALL, **more: object) -> Want:
    return Want(name, consumer, providers, **more)  # type: ignore[arg-type]


def pools(**cpu: str) -> dict[str, Pool]:
    return {name: Pool(parse({"cpu": value})) for name, value in cpu.items()}


def cpu(offers: dict[str, Offer], name: str = "a") -> str:
    return spell(offers[name].capacity)["cpu"]


def test_one_node_is_the_sum() -> None:
    offer = decide(Picture((want(),), pools(milan="4", turin="2500m")))["a"]
    assert spell(offer.capacity) == {"cpu": "6500m"}
    assert {name: spell(share) for name, share in offer.shares.items()} == {
        "milan": {"cpu": "4"}, "turin": {"cpu": "2500m"},
    }  # fmt: skip
    assert offer.answering == ALL


def test_own_use_is_not_subtracted_and_others_is() -> None:
    used = {"rome": parse({"cpu": "1"}), "oslo": parse({"cpu": "2"})}
    picture = Picture((want(), want("b", "oslo")), {"milan": Pool(parse({"cpu": "4"}), used)})
    offers = decide(picture)
    assert (cpu(offers, "a"), cpu(offers, "b")) == ("2", "3")


def test_our_own_pods_are_somebody_elses() -> None:
    picture = Picture((want(),), {"milan": Pool(parse({"cpu": "4"}), {"": parse({"cpu": "1"})})})
    assert cpu(decide(picture)) == "3"


def test_a_promise_is_subtracted_for_all_others() -> None:
    wants = (want("a", "rome"), want("b", "oslo", quota=parse({"cpu": "5"}), created="2"))
    offers = decide(Picture(wants, pools(milan="4", turin="4")))
    assert (cpu(offers, "b"), cpu(offers, "a")) == ("5", "3")


def test_the_oldest_promise_is_kept_first_and_what_lacks_is_told() -> None:
    quota = parse({"cpu": "5"})
    wants = (want("young", "oslo", quota=quota, created="2026-02"), want("old", "rome", quota=quota, created="2026-01"))
    offers = decide(Picture(wants, pools(milan="8")))
    assert (cpu(offers, "old"), cpu(offers, "young")) == ("5", "3")
    assert spell(offers["young"].short) == {"cpu": "2"} and not offers["old"].short


def test_what_is_in_use_comes_before_promises() -> None:
    wants = (want("a", "rome", quota=parse({"cpu": "8"}), created="1"), want("b", "oslo", created="2"))
    offers = decide(Picture(wants, {"milan": Pool(parse({"cpu": "8"}), {"oslo": parse({"cpu": "3"})})}))
    assert (cpu(offers, "a"), cpu(offers, "b")) == ("5", "3")


def test_a_promise_is_set_aside_where_it_hurts_least() -> None:
    wants = (
        want("wide", "rome", ("milan", "turin"), quota=parse({"cpu": "4"}), created="1"),
        want("narrow", "oslo", ("milan",), quota=parse({"cpu": "4"}), created="2"),
    )
    offers = decide(Picture(wants, pools(milan="4", turin="4")))
    assert not offers["narrow"].short and not offers["wide"].short


def test_oversubscription_shows_more_than_it_takes() -> None:
    wants = (want("a", "rome", quota=parse({"cpu": "8"}), factor=Fraction(2), created="1"), want("b", "oslo"))
    offers = decide(Picture(wants, pools(milan="8")))
    assert (cpu(offers, "a"), cpu(offers, "b")) == ("8", "4")
    assert cpu(decide(Picture((want(factor=Fraction(3, 2)),), pools(milan="3")))) == "4500m"


def test_quotas_of_one_provider() -> None:
    limited = want(provider_quota=parse({"cpu": "3"}))
    assert cpu(decide(Picture((limited,), pools(milan="8", turin="2")))) == "5"


def test_resources_without_a_quota_pass() -> None:
    picture = Picture((want(quota=parse({"cpu": "1"})),), {"milan": Pool(parse({"cpu": "4", "pods": "10"}))})
    assert spell(decide(picture)["a"].capacity) == {"cpu": "1", "pods": "10"}


def test_who_does_not_answer_adds_nothing_and_says_why() -> None:
    offer = decide(Picture((want(),), {"milan": Pool(why="node milan is NotReady"), **pools(turin="1")}))["a"]
    assert spell(offer.capacity) == {"cpu": "1"} and offer.answering == ("turin",)
    assert offer.silent == {"milan": "node milan is NotReady"}
    nobody = decide(Picture((want(),), {}))["a"]
    assert nobody.capacity == {} and nobody.silent["turin"] == "provider turin does not answer"


def test_two_nodes_of_one_consumer_do_not_show_the_same_twice() -> None:
    offers = decide(Picture((want("a", created="1"), want("b", created="2")), pools(milan="4")))
    assert (cpu(offers, "a"), cpu(offers, "b")) == ("4", "0")
    quota = parse({"cpu": "3"})
    offers = decide(Picture((want("a", quota=quota), want("b", quota=quota)), pools(milan="4")))
    assert (cpu(offers, "a"), cpu(offers, "b")) == ("3", "1")


def test_a_provider_that_lost_nodes_offers_nothing_and_not_less() -> None:
    used = {"oslo": parse({"cpu": "6"})}
    assert cpu(decide(Picture((want(),), {"milan": Pool(parse({"cpu": "4"}), used)}))) == "0"


NAMES, CONSUMERS, RESOURCES = ("p1", "p2", "p3"), ("rome", "oslo", "bern"), ("cpu", "pods")
_SOME = st.sampled_from([Fraction(n, d) for n in (0, 1, 2, 5, 9) for d in (1, 3)])
_AMOUNTS = st.dictionaries(st.sampled_from(RESOURCES), _SOME)


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    made = {}
    for name in NAMES:
        used = draw(st.dictionaries(st.sampled_from((*CONSUMERS, "")), _AMOUNTS, max_size=3))
        free = draw(st.fixed_dictionaries({"cpu": _SOME, "pods": _SOME}))
        has = {r: free[r] + sum((by.get(r, Fraction(0)) for by in used.values()), Fraction(0)) for r in RESOURCES}
        made[name] = Pool(has if draw(st.integers(0, 5)) else None, used)
    wants = tuple(
        Want(
            f"a{number}", draw(st.sampled_from(CONSUMERS)), tuple(draw(st.sets(st.sampled_from(NAMES)))),
            str(draw(st.integers(0, 2))), draw(_AMOUNTS), draw(_AMOUNTS), draw(st.sampled_from([1, 2, Fraction(3, 2)])),
        )  # type: ignore[arg-type]
        for number in range(draw(st.integers(0, 5)))
    )  # fmt: skip
    return Picture(wants, made)


@settings(max_examples=40)
@given(pictures())
def test_never_negative_never_more_than_allowed(picture: Picture) -> None:
    for want, offer in ((want, decide(picture)[want.name]) for want in picture.wants):
        for resource, amount in offer.capacity.items():
            assert 0 <= amount <= want.quota.get(resource, amount)
            assert amount == sum((share.get(resource, Fraction(0)) for share in offer.shares.values()), Fraction(0))
        for share in offer.shares.values():
            assert all(0 <= amount <= want.provider_quota.get(resource, amount) for resource, amount in share.items())
        assert set(offer.shares) <= set(want.providers)


@settings(max_examples=40)
@given(pictures())
def test_what_is_used_and_promised_fits_into_every_pool(picture: Picture) -> None:
    offers = decide(picture)
    for name, pool in picture.pools.items():
        for resource in RESOURCES if pool.has is not None else ():
            held = Fraction(0)
            for consumer in (*CONSUMERS, ""):
                promised = sum(
                    (offers[want.name].shares.get(name, {}).get(resource, Fraction(0)) / want.factor
                     for want in picture.wants if want.consumer == consumer and resource in want.quota),
                    Fraction(0),
                )  # fmt: skip
                held += max(promised, pool.used.get(consumer, {}).get(resource, Fraction(0)))
            assert held <= pool.has[resource]


@settings(max_examples=40)
@given(pictures(), st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_told_does_not_matter(picture: Picture, rng: random.Random) -> None:
    wants, named = list(picture.wants), list(picture.pools.items())
    rng.shuffle(wants)
    rng.shuffle(named)
    assert decide(Picture(tuple(wants), dict(named))) == decide(picture)


def test_an_aggregate_is_read_with_all_its_fields() -> None:
    spec = {"consumer": "r", "quota": {"cpu": "2"}, "providerQuota": {"cpu": "1500m"}, "oversubscription": 1.1}
    made = want_of(AGGREGATE.new("a", spec=spec), "rome", ("milan",))
    assert made == Want("a", "rome", ("milan",), "", parse({"cpu": "2"}), parse({"cpu": "1500m"}), Fraction(11, 10))


@pytest.mark.parametrize(
    ("selector", "means"),
    [
        (Selector(), True),
        (Selector(names=("milan",)), True),
        (Selector(names=("turin",)), False),
        (Selector(match_labels={"tier": "gold"}), True),
        (Selector(match_labels={"tier": "lead"}), False),
        (Selector(match_expressions=(Requirement(key="tier", operator=Operator.IN, values=("gold",)),)), True),
        (Selector(match_expressions=(Requirement(key="tier", operator=Operator.NOT_IN, values=("gold",)),)), False),
        (Selector(match_expressions=(Requirement(key="tier", operator=Operator.EXISTS),)), True),
        (Selector(match_expressions=(Requirement(key="x", operator=Operator.DOES_NOT_EXIST),)), True),
        (Selector(names=("milan",), match_labels={"tier": "lead"}), False),
    ],
)
def test_selectors(selector: Selector, means: bool) -> None:
    assert selected(selector, PROVIDER.new("milan", metadata={"labels": {"tier": "gold"}})) is means
