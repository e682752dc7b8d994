"""The one place that touches the CEL runtime: environments, compiled programs, evaluation."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]
from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings  # type: ignore[import-untyped]

from continuo.embedded.machinery.cel_functions import kubernetes_functions

_OPTIONAL_OLD = "cel.bind(oldSelf, former == null ? optional.none() : optional.of(former), {})"
"""How a rule sees `oldSelf` as an optional."""

_KEY = re.compile(r'Key not found in map : "(.*)"')
_INDEX = re.compile(r"Index error: index=(-?\d+)")
_CODE = re.compile(r"^[A-Z_]+: ")


class RuleFailure(Exception):
    """An expression does not compile, or cannot be evaluated on this value."""


class Program:
    """One compiled expression."""

    __slots__ = ("_expression", "returns")

    def __init__(self, expression: Any) -> None:
        self._expression = expression
        self.returns: str = expression.return_type().name().lower()
        """`bool`, `string`, ... or `dyn` where only the value can tell."""

    def holds(self, value: Any, former: Any) -> bool:
        """Whether the rule is true; raises RuleFailure when it cannot be evaluated."""
        return self._evaluate(value, former) is True

    def text_of(self, value: Any, former: Any) -> str:
        """The text of a message expression; empty when it cannot be had."""
        try:
            text = self._evaluate(value, former)
        except RuleFailure:
            return ""
        return text.strip() if isinstance(text, str) and "\n" not in text.strip() else ""

    def _evaluate(self, value: Any, former: Any) -> Any:
        old = value if former is None else former
        if isinstance(value, datetime | timedelta):
            result = self._expression.eval(data={"self": value, "oldSelf": old})
        else:
            result = self._expression.eval(data={"self": value, "oldSelf": former, "former": former})
        if result.type() == cel.Type.ERROR:
            raise RuleFailure(_reworded(str(result.value())))
        return result.value()


def _reworded(error: str) -> str:
    """The runtime's error as API servers word it."""
    if found := _KEY.search(error):
        return f"no such key: {found[1]}"
    if found := _INDEX.search(error):
        return f"index out of bounds: {found[1]}"
    if "No matching overloads" in error:
        return "no such overload"
    return _CODE.sub("", error).replace("divide by zero", "division by zero")


_KINDS = {"": cel.Type.DYN, "timestamp": cel.Type.TIMESTAMP, "duration": cel.Type.DURATION}


@lru_cache(maxsize=len(_KINDS))
def _environment(kind: str) -> Any:
    """The runtime takes times and durations only in variables that are declared as such."""
    return cel.NewEnv(
        variables={"self": _KINDS[kind], "oldSelf": _KINDS[kind], "former": cel.Type.DYN},
        extensions=[
            ext_strings.ExtStrings(),
            ext_optional.ExtOptional(),
            ext_math.ExtMath(),
            ext_encoders.ExtEncoders(),
            ext_bindings.ExtBindings(),
            kubernetes_functions(),
        ],
    )


@lru_cache(maxsize=8192)
def compile_program(text: str, optional_old: bool, kind: str = "") -> Program:
    """Compile an expression on values of a kind (`timestamp`, `duration` or any); raises RuleFailure."""
    environment = _environment("" if optional_old else kind)
    try:
        program = Program(environment.compile(text))
        return Program(environment.compile(_OPTIONAL_OLD.format(text))) if optional_old else program
    except RuntimeError as error:
        words = str(error).removeprefix("INVALID_ARGUMENT: ").removesuffix(" [INVALID_ARGUMENT]")
        raise RuleFailure(f"compilation failed: {words}") from error
