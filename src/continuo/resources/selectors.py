"""Label selectors, as everywhere in Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.orchestration_types import doc, many

MAX_LABELS, MAX_VALUES, MAX_TERMS = 64, 256, 16

LabelKey = Annotated[str, Meta(min_length=1, max_length=317)]
LabelValue = Annotated[str, Meta(max_length=63)]


class Operator(StrEnum):
    """How a selector compares a label."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class Requirement(Struct, frozen=True, kw_only=True, rename="camel"):
    """One demand on a label."""

    key: Annotated[LabelKey, doc("The label.")]
    operator: Annotated[Operator, doc("How it is compared.")]
    values: Annotated[tuple[LabelValue, ...], many("What it may be, or may not be.", MAX_VALUES)] = ()


class LabelSelector(Struct, frozen=True, kw_only=True, rename="camel"):
    """Objects whose labels fulfil everything that is said here; an empty selector means all."""

    match_labels: Annotated[dict[LabelKey, LabelValue], many("Labels and their values.", MAX_LABELS)] = {}
    match_expressions: Annotated[
        tuple[Requirement, ...], many("Demands on labels, all of which must be fulfilled.", MAX_TERMS)
    ] = ()


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether labels fulfil everything that a selector says."""
    same = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return same and all(_holds(term, labels) for term in selector.match_expressions)


def _holds(term: Requirement, labels: Mapping[str, str]) -> bool:
    if term.operator is Operator.EXISTS:
        return term.key in labels
    if term.operator is Operator.DOES_NOT_EXIST:
        return term.key not in labels
    held = term.key in labels and labels[term.key] in term.values
    return held if term.operator is Operator.IN else not held
