"""Usage records: what a contract cost from when to when, exact, ready for whoever writes bills."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from continuo.broker.catalog.entries import instant
from continuo.broker.offers.model import Resources

SECONDS = {"hour": 3_600, "day": 86_400, "month": 30 * 86_400}
"""A month is thirty days, so that the same use costs the same in every month."""
_PLACES = Decimal("0.000000001")

COLUMNS = (
    "contract", "sequence", "buyer", "provider", "offer", "plan", "from", "to", "seconds", "cost",
    "currency", "unit", "amount",
)  # fmt: skip


class Usage(msgspec.Struct, frozen=True):
    """One period of one contract. Periods of a contract follow each other without gap or overlap."""

    contract: str
    sequence: int
    buyer: str
    provider: str
    offer: str
    plan: str
    started: int
    """Milliseconds since 1970, as is `ended`: whole numbers add up exactly."""
    ended: int
    cost: str
    currency: str
    unit: str
    resources: Resources

    @property
    def amount(self) -> Decimal:
        """What this period costs, exact to a thousand millionth."""
        share = Decimal(self.ended - self.started) / Decimal(1000 * SECONDS[self.unit])
        return (Decimal(self.cost) * share).quantize(_PLACES, ROUND_HALF_EVEN)

    def told(self) -> dict[str, object]:
        """The record as it is exported."""
        seconds = Decimal(self.ended - self.started) / 1000
        return {
            "contract": self.contract, "sequence": self.sequence, "buyer": self.buyer, "provider": self.provider,
            "offer": self.offer, "plan": self.plan, "from": instant(self.started / 1000), "to": instant(self.ended / 1000),
            "seconds": f"{seconds:f}", "cost": self.cost, "currency": self.currency, "unit": self.unit,
            "amount": f"{self.amount:f}", "resources": self.resources,
        }  # fmt: skip


def as_lines(records: Iterable[Usage]) -> bytes:
    """One JSON object for each line."""
    return b"".join(msgspec.json.encode(record.told()) + b"\n" for record in records)


def as_csv(records: Iterable[Usage]) -> bytes:
    """A table with a header. Texts that a spreadsheet would take for a formula begin with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        told = record.told()
        writer.writerow([_plain(told[name]) for name in COLUMNS])
    return out.getvalue().encode()


def _plain(value: object) -> str:
    text = str(value)
    return f"'{text}" if text[:1] in "=+-@\t" and text else text
