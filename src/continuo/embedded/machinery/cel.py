"""The validation rules of CRDs (`x-kubernetes-validations`), on Google's CEL runtime.

`CompiledRules.compile` reads every rule below a schema once; `validate` walks a value along the schema and evaluates each
rule where it stands. Rules that mention `oldSelf` compare with the former value, found through list keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.machinery.cel_nodes import Node, compile_node
from continuo.embedded.machinery.fields import FieldError


class InvalidRules(Exception):
    """Rules that do not compile; `errors` names each."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(error.message() for error in errors))
        self.errors = errors


class CompiledRules:
    """All rules of one schema."""

    def __init__(self, root: Node | None) -> None:
        self._root = root

    def __bool__(self) -> bool:
        """Whether there is any rule."""
        return self._root is not None

    @classmethod
    def compile(cls, schema: Mapping[str, Any], path: str = "spec.validation.openAPIV3Schema") -> CompiledRules:
        """Compile every rule; raises InvalidRules naming those that do not compile."""
        errors: list[FieldError] = []
        root = compile_node(schema, path, errors, root=True)
        if errors:
            raise InvalidRules(errors)
        return cls(root)

    def validate(self, value: Any, old: Any = None) -> list[FieldError]:
        """What the rules say against the value, with `old` also against the change."""
        errors: list[FieldError] = []
        if self._root is not None:
            self._root.check(value, old, "", errors)
        return errors
