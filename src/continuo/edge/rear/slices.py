"""K8Slices: what of one may be bought, and what is left then. Pure, in exact numbers."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from continuo.edge.rear.names import K8SLICE, digest
from continuo.edge.rear.refusals import Refusal, bad
from continuo.federation.quantities import canonical, quantity
from continuo.resources.meta import Object

NEEDED = ("cpu", "memory", "pods")
DIVISIBLE = (*NEEDED, "storage")
Amounts = dict[str, str]


def amounts_of(flavor: Object) -> Amounts:
    """What a flavor has."""
    has = ((flavor["spec"]["flavorType"].get("typeData")) or {}).get("characteristics") or {}
    return {name: str(has[name]) for name in DIVISIBLE if has.get(name) not in (None, "")}


def wanted(configuration: Object | None, flavor: Object) -> Amounts:
    """What a buyer asks for, all of it where he says nothing; raises Refusal naming the amount that cannot be had."""
    has = amounts_of(flavor)
    if configuration is None:
        return has
    if configuration["type"] != K8SLICE:
        raise bad(f"configuration.type is {configuration['type']}, but the flavor is a K8Slice")
    data = configuration["data"]
    missing = [name for name in NEEDED if data.get(name) in (None, "")]
    if missing:
        raise bad(f"configuration.data lacks {', '.join(missing)}: a slice is asked for by cpu, memory and pods")
    asked = {name: _amount(data[name], f"configuration.data.{name}") for name in DIVISIBLE if data.get(name)}
    rules = ((flavor["spec"]["flavorType"].get("typeData")) or {}).get("policies") or {}
    for name, amount in asked.items():
        _check(name, amount, has, rules.get("partitionability") or {})
    return {name: canonical(name, amount) for name, amount in asked.items()}


def _amount(value: Any, where: str) -> Fraction:
    try:
        found = quantity(value if isinstance(value, str | int | float) and not isinstance(value, bool) else "")
    except ValueError as error:
        raise bad(f"{where} is no quantity: {error}") from error
    if found <= 0:
        raise bad(f"{where} is {value}: it must be above 0")
    return found


def _check(name: str, amount: Fraction, has: Mapping[str, str], rules: Mapping[str, Any]) -> None:
    most = _quantity(has.get(name))
    if amount > most:
        raise bad(f"configuration.data.{name} is {canonical(name, amount)}, but the flavor has {has.get(name, 'none')}")
    if amount == most:
        return
    least, step = _quantity(rules.get(f"{name}Min")), _quantity(rules.get(f"{name}Step"))
    if amount < least:
        raise bad(
            f"configuration.data.{name} is {canonical(name, amount)}: the least that is sold is {rules[f'{name}Min']}"
        )
    if step and (amount - least) % step:
        raise bad(
            f"configuration.data.{name} is {canonical(name, amount)}: it is sold from {rules.get(f'{name}Min', '0')} "
            f"in steps of {rules[f'{name}Step']}"
        )


def _quantity(value: Any) -> Fraction:
    try:
        return quantity(value) if value not in (None, "") else Fraction(0)
    except ValueError:
        return Fraction(0)


def rest(flavor: Object, bought: Mapping[str, str]) -> Amounts | None:
    """What is left after a purchase; None where that is nothing that could be sold."""
    has = amounts_of(flavor)
    left = {name: quantity(has[name]) - _quantity(bought.get(name)) for name in has}
    rules = ((flavor["spec"]["flavorType"].get("typeData")) or {}).get("policies") or {}
    least = rules.get("partitionability") or {}
    if not rules.get("partitionability"):
        return None  # it is sold as a whole
    if any(left.get(name, Fraction(0)) <= 0 or left[name] < _quantity(least.get(f"{name}Min")) for name in NEEDED):
        return None
    return {name: canonical(name, amount) for name, amount in left.items() if amount > 0}


def resized(flavor: Object, amounts: Mapping[str, str]) -> Object:
    """The typeData of a flavor with other amounts."""
    data: Object = flavor["spec"]["flavorType"].get("typeData") or {}
    own = {name: value for name, value in (data.get("characteristics") or {}).items() if name not in DIVISIBLE}
    return {**data, "characteristics": {**own, **amounts}}


def resizing(amounts: Mapping[str, str]) -> Object:
    """The patch of a flavor's typeData that leaves it with exactly these amounts."""
    return {"characteristics": {name: amounts.get(name) for name in DIVISIBLE}}


def together(one: Mapping[str, str], other: Mapping[str, str]) -> Amounts:
    """Two amounts as one."""
    keys = [name for name in DIVISIBLE if name in one or name in other]
    return {name: canonical(name, _quantity(one.get(name)) + _quantity(other.get(name))) for name in keys}


def rest_name(flavor: Object, transaction: str) -> str:
    """The flavor of what is left: the same whoever makes it, however often."""
    name: str = flavor["metadata"]["name"]
    head, _, _ = name.rpartition("-")
    return f"{head or name}-{digest(flavor['metadata']['uid'] + transaction, 8)}"


def whole(flavor: Object, amounts: Mapping[str, str]) -> bool:
    """Whether these are all that the flavor has."""
    has = amounts_of(flavor)
    return all(_quantity(amounts.get(name)) == quantity(has[name]) for name in NEEDED if name in has)


def refuse_type(kind: str) -> Refusal:
    """For the types that are listed and not sold."""
    return bad(f"flavors of the type {kind} are not sold here: only Sensor and K8Slice are")
