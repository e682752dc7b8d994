"""Providers, consumers, pods and policies in a line each."""

from __future__ import annotations

from typing import Any

from continuo.broker.policies.compiled import Policy, compile_policy
from continuo.broker.policies.decisions import stamp
from continuo.broker.policies.facts import ConsumerFacts, PodFacts, ProviderFacts, consumer_facts, provider_facts
from continuo.resources.broker import BROKER_POLICY, CONSUMER, PROVIDER

NOW = 1_800_000_000.0
POD = PodFacts("shop", (("app", "web"),), (("cpu", 0.5),), ("img",))


def provider(
    name: str = "p1", *, measured: dict[str, float] | None = None, age: float = 0.0, labels: dict[str, str] | None = None,
    **spec: Any,
) -> ProviderFacts:  # fmt: skip
    status = [{"name": key, "value": value, "at": stamp(NOW - age)} for key, value in (measured or {}).items()]
    return provider_facts(PROVIDER.new(name, metadata={"labels": labels or {}}, spec=spec, status={"measured": status}))


def consumer(name: str = "c1", labels: dict[str, str] | None = None, **spec: Any) -> ConsumerFacts:
    return consumer_facts(CONSUMER.new(name, metadata={"labels": labels or {}}, spec=spec))


def policy(name: str = "pol", generation: int = 1, **spec: Any) -> Policy:
    return compile_policy(BROKER_POLICY.new(name, metadata={"generation": generation}, spec=spec))


def rule(expression: str, name: str = "r", **more: Any) -> list[dict[str, Any]]:
    return [{"name": name, "expression": expression, **more}]
