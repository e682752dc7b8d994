"""Kubernetes quantities (`1500m`, `2Gi`) as exact numbers."""

from __future__ import annotations

import re
from fractions import Fraction

_QUANTITY = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d+)?$")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def parse_quantity(text: str) -> Fraction:
    """The number that a quantity stands for; ValueError for anything else."""
    found = _QUANTITY.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no quantity: write it like 500m, 2 or 1Gi")
    number, unit = Fraction(found[1]), found[2] or ""
    if unit in _BINARY:
        return number * (1 << _BINARY[unit])
    exponent = _DECIMAL[unit] if unit in _DECIMAL else int(unit[1:] or 0) if unit else 0
    return number * Fraction(10) ** exponent


def spell_quantity(number: Fraction) -> str:
    """One spelling for equal quantities."""
    if number.denominator == 1:
        return str(number.numerator)
    return f"{(number * 10**9).__round__()}n"
