"""Kubernetes quantities (`500m`, `8Gi`) as exact numbers."""

from __future__ import annotations

from fractions import Fraction

SUFFIXES: dict[str, Fraction] = {
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
    if suffix not in SUFFIXES:
        raise ValueError(f"quantity {value!r} ends in an unknown suffix {suffix!r}; use one of m, k, M, G, Ki, Mi, Gi")
    try:
        return Fraction(number) * SUFFIXES[suffix]
    except ValueError as problem:
        raise ValueError(f"quantity {value!r} does not start with a number") from problem
