"""The words that the brokers' kinds share: references, selectors, expressions, measured values."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from continuo.resources.orchestration_types import ObjectName, Word, doc, many
from continuo.resources.selectors import LabelSelector

MAX_RULES, MAX_STANDARDS, MAX_NUMBERS, MAX_NAMES, MAX_TERMS, MAX_MOVING = 32, 32, 64, 256, 16, 200
LONGEST_EXPRESSION = 2048

Expression = Annotated[str, Meta(min_length=1, max_length=LONGEST_EXPRESSION)]
RuleName = Annotated[
    str,
    Meta(
        min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        extra={"says": "must be lower-case letters, digits and dashes, beginning and ending with a letter or digit"},
    ),
]  # fmt: skip
MetricName = Annotated[
    str,
    Meta(
        min_length=1, max_length=63, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$",
        extra={"says": "must be letters, digits and underscores, so that measured.NAME names it"},
    ),
]  # fmt: skip
Seconds = Annotated[int, Meta(ge=0, le=31_536_000, extra={"format": "int32"})]
Attribute = Annotated[str, Meta(max_length=1024)]
Time = Annotated[str, Meta(max_length=40, extra={"format": "date-time"})]
Names: TypeAlias = tuple[ObjectName, ...]


class SecretRef(Struct, frozen=True, kw_only=True, rename="camel"):
    """One key of a Secret in the broker's cluster."""

    name: Annotated[ObjectName, doc("The Secret's name.")]
    namespace: Annotated[ObjectName, doc("Its namespace.")] = "continuo-system"
    key: Annotated[Word, doc("The key in it that holds the kubeconfig.")] = "value"


class Selector(LabelSelector, frozen=True, kw_only=True, rename="camel"):
    """Which objects are meant: those that fulfil everything that is said here; an empty selector means all."""

    names: Annotated[Names, many("Only objects of these names.", MAX_NAMES, list_type="set")] = ()


class Measured(Struct, frozen=True, kw_only=True, rename="camel"):
    """One measured value."""

    name: Annotated[MetricName, doc("What was measured, such as `latency`; policies say `measured.latency`.")]
    value: Annotated[float, doc("The number, in the unit that the broker's policies and offers agree on.")]
    at: Annotated[Time, doc("When it was measured.")]
    by: Annotated[Word | None, doc("Who measured it.")] = None
