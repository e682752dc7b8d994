"""Offers flattened for filters and ranking: one tuple for each plan, numbers as floats, made once per version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from continuo.broker.measurements.effective import claims_of
from continuo.broker.offers.amounts import quantity
from continuo.broker.offers.model import Offer, Plan

Row: TypeAlias = tuple[Any, ...]

FIELDS = (
    "offer", "plan", "provider", "region", "kind", "name", "currency", "unit", "price", "resources", "labels", "measured",
    "claimed", "effective",
)  # fmt: skip
PRICE, RESOURCES, MEASURED = FIELDS.index("price"), FIELDS.index("resources"), FIELDS.index("measured")
CLAIMED = FIELDS.index("claimed")


def rows_of(offer: Offer, measured: Mapping[str, float]) -> tuple[Row, ...]:
    """The rows of an offer, in the order of FIELDS. What is measured takes the place of what is only claimed."""
    claimed = claims_of(offer)
    effective = {**claimed, **measured}
    return tuple(
        (
            offer.id, plan.id, offer.provider, offer.region, offer.type, offer.name, offer.currency, offer.unit,
            float(plan.cost), _numbers(plan), offer.labels, measured,
            claimed, effective,
        )
        for plan in offer.plans
    )  # fmt: skip


def _numbers(plan: Plan) -> dict[str, float]:
    return {name: 1.0 if amount is True else float(quantity(amount)) for name, amount in plan.resources.items()}
