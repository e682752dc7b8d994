"""An offer and its plans. An offer is what a provider sells; a plan is one purchasable size of it."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

Resources: TypeAlias = dict[str, str | bool]
"""Quantities as they were written, by resource name; `true` for what is there or not (`brokering.liqo.io/redis`)."""


class Plan(msgspec.Struct, frozen=True, gc=False):
    """One purchasable size."""

    id: str
    name: str
    cost: str
    resources: Resources


class Offer(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a provider sells, as it is stored and told."""

    id: str
    provider: str
    name: str
    type: str
    plans: tuple[Plan, ...]
    description: str = ""
    region: str = ""
    currency: str = "EUR"
    unit: str = "hour"
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    claims: dict[str, float] = msgspec.field(default_factory=dict)
    """What the provider says of itself, under the names that measured values have."""

    def plan(self, plan_id: str) -> Plan | None:
        """The plan of that id."""
        return next((plan for plan in self.plans if plan.id == plan_id), None)


def thesis_form(offer: Offer) -> dict[str, object]:
    """The JSON that the first catalog spoke: plans by key, in the spelling of most of its example."""
    plans = {
        plan.id: {"planName": plan.name, "planID": plan.id, "cost": plan.cost, "resources": plan.resources}
        for plan in offer.plans
    }
    form: dict[str, object] = {"id": offer.id, "name": offer.name, "type": offer.type, "description": offer.description}
    optional = (("region", offer.region), ("labels", offer.labels), ("claims", offer.claims))
    more = {key: value for key, value in optional if value}
    return {**form, **more, "plans": plans}
