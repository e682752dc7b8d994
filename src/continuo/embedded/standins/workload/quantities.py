"""Kubernetes quantities as integers: CPU in millicores, everything else in its unit."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import lru_cache

from continuo.resources.meta import Object

_UNITS = {
    "m": Decimal("0.001"), "k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "E": Decimal(10) ** 18, "n": Decimal("1e-9"), "u": Decimal("1e-6"),
    "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30, "Ti": Decimal(2) ** 40,
    "Pi": Decimal(2) ** 50, "Ei": Decimal(2) ** 60,
}  # fmt: skip


@lru_cache(maxsize=4096)
def _value(text: str) -> Decimal:
    number, unit = text, Decimal(1)
    for name in (text[-2:], text[-1:]):
        if name in _UNITS:
            number, unit = text[: -len(name)], _UNITS[name]
            break
    try:
        return Decimal(number) * unit
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a quantity; it should look like 500m, 2 or 1.5Gi.") from None


@lru_cache(maxsize=4096)
def amount(resource: str, quantity: str | int | float) -> int:
    """The quantity in the scheduler's unit (millicores for cpu), rounded up."""
    value = _value(str(quantity))
    if resource == "cpu":
        value *= 1000
    return int(value.to_integral_value(rounding="ROUND_CEILING"))


def requests_of(spec: Object) -> dict[str, int]:
    """What a pod asks for: the sum over containers, at least the largest init container, plus overhead."""
    total: dict[str, int] = {}
    for container in spec.get("containers") or ():
        asked = (container.get("resources") or {}).get("requests")
        if asked:
            for resource, quantity in asked.items():
                total[resource] = total.get(resource, 0) + amount(resource, quantity)
    for container in spec.get("initContainers") or ():
        asked = (container.get("resources") or {}).get("requests") or {}
        for resource, quantity in asked.items():
            total[resource] = max(total.get(resource, 0), amount(resource, quantity))
    for resource, quantity in (spec.get("overhead") or {}).items():
        total[resource] = total.get(resource, 0) + amount(resource, quantity)
    return total
