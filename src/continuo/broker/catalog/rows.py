"""Offers flattened for filters and ranking: one row for each plan, numbers as floats, made once per version."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from continuo.broker.measurements.effective import claims_of
from continuo.broker.offers.amounts import quantity
from continuo.broker.offers.model import Offer, Plan


class Row(msgspec.Struct, gc=False, eq=False):
    """One plan of one offer. The collector of cycles need not look at it: nothing in it points back."""

    offer: str
    plan: str
    provider: str
    region: str
    kind: str
    name: str
    currency: str
    unit: str
    price: float
    resources: Mapping[str, float]
    labels: Mapping[str, str]
    measured: Mapping[str, float]
    claimed: Mapping[str, float]
    effective: Mapping[str, float]


FIELDS: tuple[str, ...] = Row.__struct_fields__


def rows_of(offer: Offer, measured: Mapping[str, float]) -> tuple[Row, ...]:
    """The rows of an offer. What is measured takes the place of what is only claimed."""
    claimed = claims_of(offer)
    effective = {**claimed, **measured} if claimed else measured
    return tuple(
        Row(
            offer.id, plan.id, offer.provider, offer.region, offer.type, offer.name, offer.currency, offer.unit,
            float(plan.cost), _numbers(plan), offer.labels, measured,
            claimed, effective,
        )
        for plan in offer.plans
    )  # fmt: skip


def _numbers(plan: Plan) -> dict[str, float]:
    return {name: 1.0 if amount is True else float(quantity(amount)) for name, amount in plan.resources.items()}
