"""Policies by tables: who is allowed, who is not, on which data, and until when that holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from continuo.broker.policies.decisions import consider, explanation, sentence
from continuo.broker.policies.verdicts import Judge

from .facts_for_tests import NOW, POD, consumer, policy, provider, rule

EU = {"region": "eu-south", "standards": ["iso27001"]}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("no rules: what is covered is allowed", {}, {}, True),
    ("region", {"compliance": rule("provider.region == 'eu-south'")}, EU, True),
    ("other region", {"compliance": rule("provider.region == 'us-east'")}, EU, False),
    ("standard", {"compliance": rule("'iso27001' in provider.standards")}, EU, True),
    ("standard missing", {"compliance": rule("'gdpr' in provider.standards")}, EU, False),
    ("all rules must hold", {"compliance": [*rule("true", "a"), *rule("false", "b")]}, EU, False),
    ("a label", {"compliance": rule("provider.labels['gpu'] == 'yes'")}, {"labels": {"gpu": "yes"}}, True),
    ("a label that is not there denies", {"compliance": rule("provider.labels['gpu'] == 'yes'")}, {}, False),
    ("so does its negation", {"compliance": rule("provider.labels['gpu'] != 'yes'")}, {}, False),
    ("unless asked for", {"compliance": rule("!('gpu' in provider.labels)")}, {}, True),
    ("who may come", {"authorization": rule("consumer.organisation == 'acme'")}, {}, True),
    ("who may not", {"authorization": rule("consumer.attributes['cleared'] == 'yes'")}, {}, False),
    ("macros", {"compliance": rule("provider.standards.exists(s, s.startsWith('iso'))")}, EU, True),
    ("a pod's images", {"authorization": rule("pod.images.all(i, i != 'bad')")}, {}, True),
    ("a pod's requests", {"authorization": rule("pod.requests.cpu <= quantity('250m')")}, {}, False),
    ("a bad quantity", {"authorization": rule("pod.requests.cpu <= quantity('much')")}, {}, False),
    ("out of scope", {"providers": {"names": ["p2"]}}, {}, False),
    ("in scope by label", {"providers": {"matchLabels": {"tier": "1"}}}, {"labels": {"tier": "1"}}, True),
    ("a consumer out of scope", {"consumers": {"matchExpressions": [{"key": "gold", "operator": "Exists"}]}}, {}, False),
    ("not in", {"consumers": {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["1"]}]}}, {}, True),
    ("pods out of scope", {"pods": {"matchLabels": {"app": "db"}}}, {}, False),
    ("latency", {"performance": rule("measured.latency < 20")}, {"measured": {"latency": 12.5}}, True),
    ("too slow", {"performance": rule("measured.latency < 20")}, {"measured": {"latency": 48.0}}, False),
    ("not measured", {"performance": rule("measured.latency < 20")}, {"claims": {"latency": 1.0}}, False),
    ("claims taken", {"performance": rule("measured.latency < 20", whenMissing="Claim")}, {"claims": {"latency": 1.0}},
     True),
    ("claims lose against measurements", {"performance": rule("measured.latency < 20", whenMissing="Claim")},
     {"claims": {"latency": 1.0}, "measured": {"latency": 48.0}}, False),
    ("nothing claimed", {"performance": rule("measured.latency < 20", whenMissing="Claim")}, {}, False),
    ("missing allowed", {"performance": rule("measured.latency < 20", whenMissing="Allow")}, {}, True),
    ("missing allowed, but wrong", {"performance": rule("measured.latency * 2 < 20", whenMissing="Allow")},
     {"measured": {"latency": 1.0}}, False),
    ("too old", {"performance": rule("measured.latency < 20", maxAge=60)},
     {"measured": {"latency": 1.0}, "age": 60.0}, False),
    ("just young enough", {"performance": rule("measured.latency < 20", maxAge=60)},
     {"measured": {"latency": 1.0}, "age": 59.0}, True),
    ("from the future", {"performance": rule("measured.latency < 20")},
     {"measured": {"latency": 1.0}, "age": -3600.0}, False),
    ("every value", {"performance": rule("measured.all(k, measured[k] < 20.0)")}, {"measured": {"a": 1.0, "b": 2.0}},
     True),
    ("cannot be compiled", {"compliance": rule("provider.region ==")}, EU, False),
    ("no condition", {"compliance": rule("1 + 1")}, EU, False),
    ("measured where it is not offered", {"compliance": rule("measured.latency < 20")},
     {"measured": {"latency": 1.0}}, False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spec", "offered", "allowed"), CASES, ids=[case[0] for case in CASES])
def test_one_policy(name: str, spec: dict[str, Any], offered: dict[str, Any], allowed: bool) -> None:
    judge = Judge([policy(**spec)])
    verdict = judge.verdict(consumer(organisation="acme"), provider(**offered), POD, NOW)
    assert verdict.allowed is allowed, verdict
    assert all(removal.why for removal in verdict.removals)


def test_what_no_policy_covers_is_denied() -> None:
    verdict = Judge([]).verdict(consumer(), provider(), POD, NOW)
    assert not verdict.allowed and verdict.hard
    assert "no policy covers it" in verdict.removals[0].why


def test_every_policy_that_covers_must_allow() -> None:
    yes, no = policy("a"), policy("b", compliance=rule("provider.region == 'mars'"))
    verdict = Judge([yes, no]).verdict(consumer(), provider(), POD, NOW)
    assert [removal.policy for removal in verdict.removals] == ["b"]
    assert verdict.policies == ("a@1", "b@1")


def test_a_policy_that_does_not_compile_says_where() -> None:
    bad = policy(performance=rule("measured.latency < latency", "fast"))
    assert bad.problem is not None and "spec.performance[fast].expression" in bad.problem
    assert "latency" in bad.problem and "there are consumer, measured, pod, provider" in bad.problem
    removal = Judge([bad]).verdict(consumer(), provider(), POD, NOW).removals[0]
    assert removal.why.startswith("the policy cannot be used")


def test_an_answer_ends_when_its_data_is_too_old() -> None:
    judge = Judge([policy(performance=rule("measured.latency < 20", maxAge=60))])
    one, other = consumer(), provider(measured={"latency": 1.0}, age=20.0)
    first = judge.verdict(one, other, POD, NOW)
    assert first.allowed and first.until == NOW + 40
    assert judge.verdict(one, other, POD, NOW + 39.9).allowed
    late = judge.verdict(one, other, POD, NOW + 40)
    assert not late.allowed and not late.hard
    (datum,) = late.removals[0].data
    assert (datum.source, datum.value, datum.at) == ("too old", 1.0, NOW - 20)


def test_ten_thousand_pods_of_one_consumer_cost_lookups() -> None:
    judge = Judge([policy(compliance=rule("provider.region == 'eu-south'"), performance=rule("measured.latency < 20"))])
    here, there = consumer(), [provider(f"p{n}", region="eu-south", measured={"latency": n}) for n in range(10)]
    for _ in range(1000):
        consider(judge, here, there, POD, NOW)
    assert judge.evaluations == 20


def test_rules_are_evaluated_once_for_what_they_ask_for() -> None:
    rules = [*rule("provider.region == 'eu-south'", "a"), *rule("consumer.organisation == 'acme'", "b")]
    judge = Judge([policy(compliance=rules)])
    providers = [provider(f"p{n}", region="eu-south") for n in range(7)]
    for number in range(5):
        consider(judge, consumer(f"c{number}", organisation="acme"), providers, POD, NOW)
    assert judge.evaluations == 7 + 5
    again = Judge([policy("more"), *judge.policies], judge)
    consider(again, consumer("c1", organisation="acme"), providers, POD, NOW)
    assert again.evaluations == 0, "what still holds was taken over"


def test_a_new_latency_leaves_the_rules_about_uptime_alone() -> None:
    judge = Judge([policy(performance=[*rule("measured.latency < 20", "l"), *rule("measured.uptime > 0.9", "u")])])
    judge.verdict(consumer(), provider(measured={"latency": 1.0, "uptime": 1.0}), POD, NOW)
    judge.verdict(consumer(), provider(measured={"latency": 2.0, "uptime": 1.0}), POD, NOW)
    assert judge.evaluations == 3


def test_ranks_add_up_and_what_has_none_comes_last() -> None:
    judge = Judge([policy("a", rank="-measured.latency"), policy("b", rank="provider.region == 'eu' ? 100 : 0")])
    providers = [
        provider("slow-eu", region="eu", measured={"latency": 50.0}), provider("fast", measured={"latency": 5.0}),
        provider("unknown", region="eu"), provider("fast-eu", region="eu", measured={"latency": 4.0}),
    ]  # fmt: skip
    decision = consider(judge, consumer(), providers, POD, NOW)
    assert [v.provider for v in decision.allowed] == ["fast-eu", "slow-eu", "fast", "unknown"]


def test_the_explanation_names_the_rule_the_data_and_its_age() -> None:
    judge = Judge([policy("eu", 3, performance=rule("measured.latency < 20", "fast", message="too slow for video"))])
    decision = consider(judge, consumer(), [provider(measured={"latency": 48.5}, age=30.0), provider("p2")], POD, NOW)
    told = explanation(decision)
    assert told["removed"][0] == {
        "provider": "p1", "policies": ["eu@3"],
        "by": [{
            "why": "too slow for video (latency is 48.5, measured)", "side": "performance", "policy": "eu",
            "rule": "fast",
            "data": [{"name": "latency", "source": "measured", "value": 48.5, "at": "2027-01-15T07:59:30Z"}],
        }],
    }  # fmt: skip
    assert sentence(decision) == (
        "none of 2 providers can take this pod of consumer c1: 2 refused by policy eu, performance rule fast"
    )
    assert sentence(consider(judge, consumer(), [], POD, NOW)).endswith("the broker has none")


def test_a_long_explanation_is_cut_and_says_so() -> None:
    judge = Judge([policy(compliance=rule("provider.region == 'eu'", message="x" * 250))])
    told = explanation(consider(judge, consumer(), [provider(f"p{n}") for n in range(500)], POD, NOW))
    assert len(told["removed"]) + told["untold"] == 500 and len(told["removed"]) <= 32


REGIONS = st.sampled_from(["eu", "us", "ap"])


@settings(max_examples=60, deadline=None)
@given(
    data=st.lists(st.tuples(REGIONS, st.one_of(st.none(), st.floats(0, 100)), st.floats(0, 200)), max_size=6),
    wanted=REGIONS, bound=st.integers(1, 99), max_age=st.integers(1, 199),
)  # fmt: skip
def test_allowed_is_exactly_what_the_rules_say(
    data: list[tuple[str, float | None, float]], wanted: str, bound: int, max_age: int
) -> None:
    made = policy(
        compliance=rule(f"provider.region == '{wanted}'"), performance=rule(f"measured.l < {bound}", maxAge=max_age)
    )
    providers = [
        provider(f"p{n}", region=region, measured={} if value is None else {"l": value}, age=float(int(age)))
        for n, (region, value, age) in enumerate(data)
    ]
    judge = Judge([made])
    for _ in range(2):  # the second time from memory
        decision = consider(judge, consumer(), providers, POD, NOW)
        expected = {
            f"p{n}"
            for n, (region, value, age) in enumerate(data)
            if region == wanted and value is not None and value < bound and int(age) < max_age
        }
        assert {v.provider for v in decision.allowed} == expected
        assert {v.provider for v in decision.removed} == {f"p{n}" for n in range(len(data))} - expected
        assert all(v.removals for v in decision.removed)
