"""Exact amounts: Kubernetes quantities and prices, refused in one sentence where they are not."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from continuo.federation.quantities import quantity as read_quantity

_QUANTITY = re.compile(r"[0-9]{1,24}(\.[0-9]{1,9})?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?")
_PRICE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


class BadAmount(ValueError):
    """Not a quantity or not a price; `str()` ends a sentence that begins with what it was for."""


def quantity(value: object) -> Fraction:
    """The exact value of `2G`, `500m`, `1Ti` or a whole number."""
    text = str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _QUANTITY.fullmatch(text):
        raise BadAmount(f"must be a Kubernetes quantity such as 500m, 4 or 16Gi, not {brief(value)}")
    return read_quantity(text)


def price(value: object) -> str:
    """A price as exact decimal text, as it was written; `Decimal` of it is its value."""
    text = str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _PRICE.fullmatch(text):
        raise BadAmount(f'must be a decimal from 0 with at most 9 places, such as "2.50", not {brief(value)}')
    return text


def brief(value: object) -> str:
    """A value as a sentence can carry it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str) else str(value)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return text if len(text) <= 60 else f"{text[:57]}..."
