"""TOSCA scalar units, exact: sizes in bytes, times in milliseconds, rates in bits per second."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([A-Za-z]{1,6})\Z")
_PREFIXES = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def _table(suffix: str, factor: int, kilo: str) -> dict[str, Fraction]:
    """Every prefix before one suffix; `kilo` is how TOSCA spells ten to the third there."""
    return {(kilo if prefix == "k" else prefix) + suffix: Fraction(size * factor) for prefix, size in _PREFIXES.items()}


SIZES: Mapping[str, Fraction] = _table("B", 1, "k")
RATES: Mapping[str, Fraction] = _table("bps", 1, "K") | _table("Bps", 8, "K")
TIMES: Mapping[str, Fraction] = {
    "d": Fraction(86_400_000),
    "h": Fraction(3_600_000),
    "m": Fraction(60_000),
    "s": Fraction(1000),
    "ms": Fraction(1),
    "us": Fraction(1, 10**3),
    "ns": Fraction(1, 10**6),
}
BY_TYPE: Mapping[str, Mapping[str, Fraction]] = {
    "scalar-unit.size": SIZES,
    "scalar-unit.time": TIMES,
    "scalar-unit.bitrate": RATES,
}
EXAMPLES: Mapping[str, str] = {
    "scalar-unit.size": "512 MB",
    "scalar-unit.time": "20 ms",
    "scalar-unit.bitrate": "8 Mbps",
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit taken out; `read_as` is set when the unit was written in another case."""

    value: Fraction
    read_as: str = ""


def quantity(text: str, type_: str) -> Quantity | None:
    """The quantity that `text` means for a scalar-unit type, or None.

    A unit in the wrong case is accepted when only one unit can be meant: `mb` is MB, but `mbps` may be Mbps or MBps.
    """
    found = _QUANTITY.match(text.strip())
    if found is None:
        return None
    amount, unit = Fraction(found[1]), found[2]
    units = BY_TYPE[type_]
    if unit in units:
        return Quantity(amount * units[unit])
    same = [known for known in units if known.lower() == unit.lower()]
    return Quantity(amount * units[same[0]], read_as=same[0]) if len(same) == 1 else None


def plain_number(value: Fraction) -> int | float:
    """An int when it is one, so that JSON shows 50 and not 50.0."""
    return value.numerator if value.denominator == 1 else float(value)


def bytes_text(value: Fraction) -> str:
    """A Kubernetes quantity in whole bytes, rounded up."""
    return str(-(-value.numerator // value.denominator))


def cpu_text(value: Fraction) -> str:
    """A Kubernetes CPU quantity: whole cores, or millicores rounded up."""
    if value.denominator == 1:
        return str(value.numerator)
    return f"{-(-(value * 1000).numerator // (value * 1000).denominator)}m"
