"""What a CRD's structural schema demands: validation, pruning and defaulting, in Kubernetes' words.

A schema is compiled once (`rules_of`) and then walks values without looking at JSON Schema again. Places are spelled
out only for errors, so a correct object costs one pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.machinery.defaulting import apply_defaults
from continuo.embedded.machinery.fields import BLOCKING, NOT_CHECKED, FieldError
from continuo.embedded.machinery.pruning import prune
from continuo.embedded.machinery.structural import check_structural
from continuo.embedded.machinery.validation import rules_of

__all__ = ["BLOCKING", "NOT_CHECKED", "FieldError", "apply_defaults", "check_structural", "prune", "validate"]


def validate(schema: Mapping[str, Any], value: Any, *, path: str = "", old: Any = None) -> list[FieldError]:
    """Every field that breaks the schema. With `old`, what is the very same there was accepted and is not looked at."""
    errors: list[FieldError] = []
    if value is not old or value is None:
        rules_of(schema).check(value, path, errors)
    return errors
