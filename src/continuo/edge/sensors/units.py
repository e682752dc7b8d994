"""Numbers with units, exactly: `14`, `14 ms`, `"0.9mW"`, `1 kHz`, or a period where a rate is meant.

Latency comes out in ms, consumption in mW, rates in Hz. Nothing here is a float, so 0.1 is 0.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType

from continuo.federation.quantities import quantity

_NUMBER = re.compile(
    r"\s*([+-]?(?:[0-9]{1,24}(?:\.[0-9]{0,24})?|\.[0-9]{1,24})(?:[eE][+-]?[0-9]{1,2})?)\s*(.*?)\s*", re.S
)
_EXACT = Context(prec=60)
_DIGITS = Context(prec=28)
_TIMES = {
    "ns": "0.000001", "us": "0.001", "ms": "1", "s": "1000", "min": "60000", "microseconds": "0.001", "microsecond": "0.001",
    "usec": "0.001", "milliseconds": "1", "millisecond": "1", "msec": "1", "seconds": "1000", "second": "1000",
    "sec": "1000", "minutes": "60000", "minute": "60000",
}  # fmt: skip
_POWERS = {
    "nw": "0.000001", "uw": "0.001", "mw": "1", "w": "1000", "microwatt": "0.001", "microwatts": "0.001",
    "milliwatt": "1", "milliwatts": "1", "watt": "1000", "watts": "1000",
}  # fmt: skip
_RATES = {
    "mhz": "0.001", "hz": "1", "khz": "1000", "sps": "1", "/s": "1", "1/s": "1", "hertz": "1", "/min": "1/60",
    "per second": "1",
}  # fmt: skip
_CURRENTS = frozenset({"na", "ua", "ma", "a", "microampere", "milliampere", "ampere"})
"""Data sheets give these for consumption; without the voltage they are no power."""


class BadNumber(ValueError):
    """No number with a unit that fits; `str()` ends a sentence that begins with what it is for."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """What a number can be of: its units, as factors to the one that is compared in."""

    name: str
    unit: str
    factors: Mapping[str, Fraction]
    example: str
    periods: Mapping[str, Fraction] | None = None
    """Units of which the number is the inverse: 100 ms are 10 Hz."""


def _factors(table: dict[str, str]) -> Mapping[str, Fraction]:
    return MappingProxyType({unit: Fraction(factor) for unit, factor in table.items()})


LATENCY = Dimension("a time", "ms", _factors(_TIMES), "14ms")
CONSUMPTION = Dimension("a power", "mW", _factors(_POWERS), "0.9mW")
RATE = Dimension("a rate", "Hz", _factors(_RATES), "10Hz", _factors(_TIMES))
_NAMED = {dimension.name: dimension for dimension in (LATENCY, CONSUMPTION, RATE)}


@dataclass(frozen=True, slots=True)
class Read:
    """A number in the unit of its dimension; `inverse`: it was written as a period, so more of it is less."""

    value: Decimal
    inverse: bool = False


def split(value: object) -> tuple[Decimal, str]:
    """The number and what stands behind it; raises BadNumber."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadNumber(f"must be a number, perhaps with a unit, not {brief(value)}")
    text = value if isinstance(value, str) else str(value)
    found = _NUMBER.fullmatch(text) if len(text) <= 100 else None
    if found is None:
        raise BadNumber(f"must be a number, perhaps with a unit, not {brief(value)}")
    number = Decimal(found[1])
    if number < 0:
        raise BadNumber(f"must not be negative, and is {brief(value)}")
    return number, found[2]


def read(value: object, dimension: Dimension, unit: str = "") -> Read:
    """A number of a dimension; `unit` is what it is in where its text does not say. Raises BadNumber."""
    return _read(value, dimension.name, unit) if isinstance(value, str) else _computed(value, dimension, unit)


@lru_cache(maxsize=8192)
def _read(value: str, dimension: str, unit: str) -> Read:
    return _computed(value, _NAMED[dimension], unit)


def _computed(value: object, dimension: Dimension, unit: str) -> Read:
    number, own = split(value)
    name = own or unit or dimension.unit
    if dimension is RATE and name.strip() == "MHz":
        return Read(_decimal(Fraction(number) * 10**6))
    spelled = _spelled(name)
    if spelled in dimension.factors:
        return Read(_decimal(Fraction(number) * dimension.factors[spelled]))
    if dimension.periods is not None and spelled in dimension.periods:
        return _rate(number, dimension.periods[spelled], name)
    raise BadNumber(f"is {dimension.name} such as {dimension.example}; {brief(name)} is no unit of it")


def _rate(number: Decimal, factor: Fraction, unit: str) -> Read:
    if number == 0:
        raise BadNumber(f"is a period of 0 {unit}, which is no rate; give one above 0, or a rate such as 10Hz")
    return Read(_decimal(1000 / (Fraction(number) * factor)), inverse=True)


def is_current(unit: str) -> bool:
    """Whether a unit is one of electric current."""
    return _spelled(unit) in _CURRENTS


def amount(value: object) -> Decimal:
    """A Kubernetes quantity such as 500m or 16Gi, exactly; raises BadNumber."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal) or len(str(value)) > 60:
        raise BadNumber(f"must be a Kubernetes quantity such as 500m, 4 or 16Gi, not {brief(value)}")
    text = str(value).strip()
    if not re.fullmatch(r"[0-9]{1,24}(\.[0-9]{0,12})?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?", text):
        raise BadNumber(f"must be a Kubernetes quantity such as 500m, 4 or 16Gi, not {brief(value)}")
    return _decimal(quantity(text))


def plain(value: Decimal) -> str:
    """A number as people write it: no exponent, no zeros behind the point that say nothing."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def brief(value: object) -> str:
    """A value as a sentence can carry it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _spelled(unit: str) -> str:
    """One spelling for each unit: both Greek letters that look like mu, and all cases."""
    return unit.strip().replace("\u00b5", "u").replace("\u03bc", "u").lower()


def _decimal(value: Fraction) -> Decimal:
    """Exact where the decimal ends; else 28 digits. One spelling for each value."""
    exact = _EXACT.divide(Decimal(value.numerator), Decimal(value.denominator))
    made = exact if len(exact.as_tuple().digits) < 40 else _DIGITS.divide(Decimal(value.numerator), value.denominator)
    whole = made.to_integral_value()
    return whole if whole == made else made.normalize(_EXACT)
