"""Arithmetic of exact amounts: read from and written as Kubernetes quantities, never negative, never rounded up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from continuo.broker.offers.amounts import BadAmount
from continuo.broker.offers.amounts import quantity as checked
from continuo.broker.readers.port import Resources
from continuo.federation.quantities import canonical
from continuo.federation.quantities import quantity as plain

ZERO = Fraction(0)
_BYTES = ("memory", "storage", "ephemeral-storage")


@lru_cache(maxsize=8192)
def amount(text: str) -> Fraction:
    """The value of a quantity that an API server has accepted."""
    return plain(text)


def accepted(quantities: Mapping[str, Any] | None) -> dict[str, Fraction]:
    """Amounts of an object of an API server, which has checked their spelling."""
    return {name: amount(str(text)) for name, text in (quantities or {}).items()}


def parse(quantities: Mapping[str, object]) -> dict[str, Fraction]:
    """Amounts that somebody else wrote; BadAmount names the resource and says what it must be."""
    found = {}
    for name, text in quantities.items():
        try:
            found[name] = checked(text)
        except BadAmount as error:
            raise BadAmount(f"resource {name} {error}") from None
    return found


def spell(resources: Resources) -> dict[str, str]:
    """As Kubernetes would write them, rounded down to what it can count; sorted by name."""
    return {name: _spell(name, max(value, ZERO)) for name, value in sorted(resources.items())}


def _spell(name: str, value: Fraction) -> str:
    if name == "cpu":
        return canonical(name, Fraction(int(value * 1000), 1000))
    is_bytes = name in _BYTES or name.startswith("hugepages-")
    return canonical("memory" if is_bytes else name, Fraction(int(value)))


def plus(left: Resources, right: Resources) -> dict[str, Fraction]:
    """The sum."""
    return {name: left.get(name, ZERO) + right.get(name, ZERO) for name in left.keys() | right.keys()}


def total(all_of: Iterable[Resources]) -> dict[str, Fraction]:
    """The sum of many."""
    found: dict[str, Fraction] = {}
    for resources in all_of:
        for name, value in resources.items():
            found[name] = found.get(name, ZERO) + value
    return found


def at_most(resources: Resources, caps: Resources) -> dict[str, Fraction]:
    """Each resource no more than its cap, where it has one."""
    return {name: min(value, caps[name]) if name in caps else value for name, value in resources.items()}
