"""Policies x consumer x provider x what was measured of it, now -> allowed or not, and why. Pure, with a memory.

What a rule says is kept under nothing but what the rule asks for: one about regions is evaluated once for each provider and
not once for each consumer, and a new latency leaves the answers about uptime alone. An answer that rests on measured values
knows when they will be too old.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from continuo.broker.policies.compiled import COMPLIANCE, PERFORMANCE, Policy, Rule
from continuo.broker.policies.facts import ConsumerFacts, Measurement, PodFacts, ProviderFacts
from continuo.expressions.program import CannotEvaluate
from continuo.resources.broker import Missing

FUTURE = 60.0
"""A value that was measured later than this many seconds from now was not measured."""
REMEMBERED = 100_000
"""Answers that are kept; beyond it all are forgotten and found anew."""
MEASURED, CLAIMED, TOO_OLD, ABSENT = "measured", "claimed", "too old", "missing"


@dataclass(frozen=True, slots=True)
class Datum:
    """One value that a rule asked for, as it was found."""

    name: str
    source: str
    value: float | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule says; it holds until `until`."""

    holds: bool
    why: str = ""
    data: tuple[Datum, ...] = ()
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Removal:
    """Why a provider is out: one rule of one policy, on this data."""

    policy: str
    side: str
    rule: str
    why: str
    data: tuple[Datum, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a provider may run the pods of a consumer."""

    provider: str
    removals: tuple[Removal, ...]
    policies: tuple[str, ...] = ()
    """Those that cover it, with their generations: `eu@3`."""
    score: float | None = None
    """The sum of what policies rank it with; None where one of them could not."""
    until: float = math.inf

    @property
    def allowed(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.removals

    @property
    def hard(self) -> bool:
        """Whether it is out for more than a measured value."""
        return any(removal.side != PERFORMANCE for removal in self.removals)

    @property
    def order(self) -> tuple[bool, float]:
        """Smaller is better: those with a score first, the largest of them first."""
        return self.score is None, -(self.score or 0.0)

    def same_effect(self, other: Verdict) -> bool:
        """Whether nothing follows from the difference, apart from the wording."""
        return (self.allowed, self.hard, self.score) == (other.allowed, other.hard, other.score)


_Pair: TypeAlias = tuple[str, str]


class Judge:
    """A set of policies, and what it found out already. A changed set is a new Judge that takes over what still holds."""

    def __init__(self, policies: Iterable[Policy], before: Judge | None = None) -> None:
        self.policies = tuple(sorted(policies, key=lambda policy: policy.name))
        self.evaluations = 0
        """How often an expression was evaluated; for benchmarks and tests."""
        kept = {rule for policy in self.policies for rule in _rules_of(policy)}
        self._outcomes: dict[Rule, dict[Hashable, Any]] = {
            rule: answers for rule, answers in (before._outcomes if before else {}).items() if rule in kept
        }
        self._covering: dict[_Pair, tuple[ConsumerFacts, ProviderFacts, tuple[Policy, ...], bool]] = {}
        self._verdicts: dict[tuple[str, str, PodFacts | None], tuple[ConsumerFacts, ProviderFacts, Verdict]] = {}

    def asks_for_pods(self, consumer: ConsumerFacts, provider: ProviderFacts) -> bool:
        """Whether the verdict on the pair depends on the pod."""
        return self._covers(consumer, provider)[1]

    def covering(self, consumer: ConsumerFacts, provider: ProviderFacts) -> tuple[Policy, ...]:
        """The policies that are about the pair, whatever the pod."""
        return self._covers(consumer, provider)[0]

    def verdict(self, consumer: ConsumerFacts, provider: ProviderFacts, pod: PodFacts | None, now: float) -> Verdict:
        """May the provider run this pod of the consumer? Without a pod, only policies for all pods are asked."""
        covering, asks = self._covers(consumer, provider)
        key = (consumer.name, provider.name, pod if asks else None)
        known = self._verdicts.get(key)
        if known is not None and known[0] is consumer and known[1] is provider and now < known[2].until:
            return known[2]
        if len(self._verdicts) >= REMEMBERED:
            self._verdicts.clear()
        found = self._judge(covering, consumer, provider, pod, now)
        self._verdicts[key] = (consumer, provider, found)
        return found

    def forget(self, name: str) -> None:
        """A consumer or provider of that name is gone."""
        self._verdicts = {key: kept for key, kept in self._verdicts.items() if name not in key[:2]}
        self._covering = {key: kept for key, kept in self._covering.items() if name not in key}

    def _covers(self, consumer: ConsumerFacts, provider: ProviderFacts) -> tuple[tuple[Policy, ...], bool]:
        key = (consumer.name, provider.name)
        known = self._covering.get(key)
        if known is not None and known[0] is consumer and known[1] is provider:
            return known[2], known[3]
        covering = tuple(policy for policy in self.policies if policy.covers(consumer, provider))
        asks = any(policy.asks_for_pods for policy in covering)
        self._covering[key] = (consumer, provider, covering, asks)
        return covering, asks

    def _judge(
        self, covering: Sequence[Policy], consumer: ConsumerFacts, provider: ProviderFacts, pod: PodFacts | None,
        now: float,
    ) -> Verdict:  # fmt: skip
        about = [policy for policy in covering if pod is None or policy.covers_pod(pod)]
        names = tuple(f"{policy.name}@{policy.generation}" for policy in about)
        if not about:
            nobody = Removal("", COMPLIANCE, "", "no policy covers it, and what no policy allows is denied")
            return Verdict(provider.name, (nobody,))
        removals: list[Removal] = []
        score: float | None = 0.0
        until = math.inf
        for policy in about:
            if policy.problem is not None:
                why = f"the policy cannot be used: {policy.problem}"
                removals.append(Removal(policy.name, COMPLIANCE, "", why))
                continue
            for rule in policy.rules:
                outcome = self._outcome(rule, consumer, provider, pod, now)
                until = min(until, outcome.until)
                if not outcome.holds:
                    removals.append(Removal(policy.name, rule.side, rule.name, outcome.why, outcome.data))
            if policy.rank is not None:
                ranked = self._score(policy.rank, consumer, provider, pod)
                score = None if score is None or ranked is None else score + ranked
        return Verdict(provider.name, tuple(removals), names, score, until)

    def _outcome(
        self, rule: Rule, consumer: ConsumerFacts, provider: ProviderFacts, pod: PodFacts | None, now: float
    ) -> Outcome:
        answers = self._outcomes.setdefault(rule, {})
        key = _asked(rule, consumer, provider, pod)
        known: Outcome | None = answers.get(key)
        if known is not None and now < known.until:
            return known
        self.evaluations += 1
        if len(answers) >= REMEMBERED:
            answers.clear()
        found = answers[key] = judge_rule(rule, consumer, provider, pod, now)
        return found

    def _score(
        self, rule: Rule, consumer: ConsumerFacts, provider: ProviderFacts, pod: PodFacts | None
    ) -> float | None:
        answers = self._outcomes.setdefault(rule, {})
        key = _asked(rule, consumer, provider, pod)
        if key not in answers:
            self.evaluations += 1
            if len(answers) >= REMEMBERED:
                answers.clear()
            answers[key] = _number(rule, consumer, provider, pod)
        score: float | None = answers[key]
        return score


def _rules_of(policy: Policy) -> tuple[Rule, ...]:
    return (*policy.rules, policy.rank) if policy.rank is not None else policy.rules


def _asked(rule: Rule, consumer: ConsumerFacts, provider: ProviderFacts, pod: PodFacts | None) -> Hashable:
    """Everything that the rule's answer rests on, but the time. What is measured is of one provider in any case."""
    measures = "measured" in rule.asks
    return (
        consumer.identity if "consumer" in rule.asks else None,
        provider.identity if "provider" in rule.asks or measures else None,
        pod if "pod" in rule.asks else None,
        _measured_key(rule, provider.measured) if measures else None,
    )


def _measured_key(rule: Rule, measured: Mapping[str, Measurement]) -> Hashable:
    names = sorted(measured) if rule.keys is None else sorted(rule.keys)
    return tuple((name, measured.get(name)) for name in names)


def judge_rule(
    rule: Rule, consumer: ConsumerFacts, provider: ProviderFacts, pod: PodFacts | None, now: float
) -> Outcome:
    """What one rule says now. What cannot be evaluated is not fulfilled; pure."""
    data, values, until = _found(rule, provider, now)
    try:
        if rule.program.condition(_activation(consumer, provider, pod, values)):
            return Outcome(True, data=data, until=until)
        said = rule.message or f"{rule.program.text} is not true"
        return Outcome(False, _told(said, data), data, until)
    except CannotEvaluate as error:
        absent = {datum.name for datum in data if datum.source in (TOO_OLD, ABSENT)}
        if rule.missing is Missing.ALLOW and error.missing in absent:
            return Outcome(True, data=data, until=until)
        if error.missing in absent:
            return Outcome(
                False, _told(rule.message or f"{rule.program.text} needs what is not known", data), data, until
            )
        return Outcome(False, f"{rule.program.text} cannot be evaluated: {error}", data, until)


def _found(rule: Rule, provider: ProviderFacts, now: float) -> tuple[tuple[Datum, ...], dict[str, float], float]:
    """The data that a rule asks for, the values that it gets, and until when that holds."""
    if "measured" not in rule.asks:
        return (), {}, math.inf
    names = provider.measured.keys() | provider.claims.keys() if rule.keys is None else rule.keys
    data, values, until = [], {}, math.inf
    for name in sorted(names):
        one = provider.measured.get(name)
        if one is not None and one.at - FUTURE <= now < one.at + rule.max_age:
            data.append(Datum(name, MEASURED, one.value, one.at))
            values[name] = one.value
            until = min(until, one.at + rule.max_age)
            continue
        if one is not None and one.at - FUTURE > now:
            until = min(until, one.at - FUTURE)
        if rule.missing is Missing.CLAIM and name in provider.claims:
            data.append(Datum(name, CLAIMED, provider.claims[name]))
            values[name] = provider.claims[name]
        elif one is not None:
            data.append(Datum(name, TOO_OLD, one.value, one.at))
        else:
            data.append(Datum(name, ABSENT))
    return tuple(data), values, until


def _activation(
    consumer: ConsumerFacts, provider: ProviderFacts, pod: PodFacts | None, measured: Mapping[str, float]
) -> dict[str, Any]:
    asked = pod.values() if pod is not None else {}
    return {"consumer": consumer.values, "provider": provider.values, "pod": asked, "measured": measured}


def _number(rule: Rule, consumer: ConsumerFacts, provider: ProviderFacts, pod: PodFacts | None) -> float | None:
    """What a provider is ranked with: measured values of any age before claims; None where there is no number."""
    values = {**provider.claims, **{name: one.value for name, one in provider.measured.items()}}
    try:
        return rule.program.number(_activation(consumer, provider, pod, values))
    except CannotEvaluate:
        return None


def _told(said: str, data: Sequence[Datum]) -> str:
    parts = [f"{datum.name} is {'' if datum.value is None else f'{datum.value:g}, '}{datum.source}" for datum in data]
    return f"{said} ({'; '.join(parts)})" if parts else said
