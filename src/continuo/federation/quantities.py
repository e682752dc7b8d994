"""Kubernetes quantities as exact numbers: to add up what a cluster lends, and to see that 1000m is 1."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from continuo.federation import names
from continuo.resources.meta import Object, labels_of

_SUFFIXES: dict[str, Fraction] = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12),
    "P": Fraction(10**15), "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40),
    "Pi": Fraction(2**50), "Ei": Fraction(2**60),
}  # fmt: skip


def quantity(text: str | int | float) -> Fraction:
    """The exact value of `500m`, `8Gi`, `1e3` or a plain number; ValueError when it is none."""
    value = str(text).strip()
    number = value.rstrip("numkKMGTPEi") or value
    suffix = value[len(number) :]
    if suffix not in _SUFFIXES:
        raise ValueError(f"quantity {value!r} ends in an unknown suffix {suffix!r}; use one of m, k, M, G, Ki, Mi, Gi")
    try:
        return Fraction(number) * _SUFFIXES[suffix]
    except ValueError as problem:
        raise ValueError(f"quantity {value!r} does not start with a number") from problem


def canonical(resource: str, value: Fraction) -> str:
    """The spelling Kubernetes itself would choose: `1500m` of cpu, `8Gi` of memory, else plain counts."""
    if resource == "memory":
        whole = int(value)
        for suffix in ("Ti", "Gi", "Mi", "Ki"):
            if whole and whole % _SUFFIXES[suffix] == 0:
                return f"{whole // int(_SUFFIXES[suffix])}{suffix}"
        return str(whole)
    return str(value.numerator) if value.denominator == 1 else f"{int(value * 1000)}m"


def same_quantity(left: object, right: object) -> bool:
    """Whether two spellings mean the same amount."""
    if left == right:
        return True
    try:
        return quantity(str(left)) == quantity(str(right))
    except ValueError:
        return False


def capacity(nodes: Iterable[Object]) -> dict[str, str]:
    """What the real nodes of a cluster can run together (cpu, memory, pods); virtual nodes do not count."""
    total: dict[str, Fraction] = {}
    for node in nodes:
        if labels_of(node).get(names.TYPE) == names.VIRTUAL_NODE_TYPE:
            continue
        for resource, amount in ((node.get("status") or {}).get("allocatable") or {}).items():
            if resource in ("cpu", "memory", "pods"):
                total[resource] = total.get(resource, Fraction(0)) + quantity(amount)
    return {resource: canonical(resource, amount) for resource, amount in sorted(total.items())}
