"""The one place that touches the CEL runtime: environments, compiled programs, evaluation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_encoders, ext_math, ext_optional, ext_strings


class RuleFailure(Exception):
    """An expression does not compile, or cannot be evaluated on this value."""


class Program:
    """One compiled expression."""

    __slots__ = ("_expression",)

    def __init__(self, expression: Any) -> None:
        self._expression = expression

    def holds(self, data: dict[str, Any], optional_old: bool) -> bool:
        """Whether the rule is true; raises RuleFailure when it cannot be evaluated."""
        return self._evaluate(data, optional_old) is True

    def text_of(self, data: dict[str, Any], optional_old: bool) -> str:
        """The text of a message expression; empty when it cannot be had."""
        try:
            value = self._evaluate(data, optional_old)
        except RuleFailure:
            return ""
        return value.strip() if isinstance(value, str) and "\n" not in value else ""

    def _evaluate(self, data: dict[str, Any], optional_old: bool) -> Any:
        result = self._expression.eval(data=data)
        if result.type() == cel.Type.ERROR:
            raise RuleFailure(str(result.value()))
        return result.value()


@lru_cache(maxsize=1)
def _environment() -> Any:
    return cel.NewEnv(
        variables={"self": cel.Type.DYN, "oldSelf": cel.Type.DYN},
        extensions=[ext_strings.ExtStrings(), ext_optional.ExtOptional(), ext_math.ExtMath(), ext_encoders.ExtEncoders()],
    )


@lru_cache(maxsize=4096)
def compile_program(text: str, optional_old: bool) -> Program:
    """Compile an expression; raises RuleFailure with the runtime's words."""
    try:
        return Program(_environment().compile(text))
    except RuntimeError as error:
        raise RuleFailure(str(error).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")) from error
