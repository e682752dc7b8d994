"""CEL text -> a program that Google's runtime evaluates: all of CEL, macros included, at some 10 us a value.

For conditions that are asked seldom, or whose answers are kept. Filters over ten thousand values compile `tree` instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]
from cel_expr_python.ext import ext_math, ext_strings  # type: ignore[import-untyped]

from continuo.expressions.tree import LONGEST, BadExpression, sentence_of

_MISSING_KEY = re.compile(r'Key not found in map : "(.*)"')
_CODE = re.compile(r"^[A-Z_]+: ")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
CONDITION, NUMBER = "a condition", "a number"
_RETURNS = {CONDITION: ("BOOL", "DYN"), NUMBER: ("INT", "UINT", "DOUBLE", "DYN")}


class CannotEvaluate(Exception):
    """The expression has no value on this data; `missing` is the key that was not there, where that is why."""

    def __init__(self, why: str, missing: str | None = None) -> None:
        super().__init__(why)
        self.missing = missing


class Program:
    """One compiled expression."""

    __slots__ = ("_expression", "text")

    def __init__(self, text: str, expression: Any) -> None:
        self.text = text
        self._expression = expression

    def mentions(self, variable: str) -> bool:
        """Whether the expression may depend on the variable; True in doubt."""
        return re.search(rf"\b{variable}\b", self.text) is not None

    def keys_of(self, variable: str) -> frozenset[str] | None:
        """The keys of a map that the expression may ask for; None: any. Errs on the side of too many."""
        found: set[str] = set()
        for match in re.finditer(
            rf"\b{variable}\b(\.([A-Za-z_]\w*)(?!\w*\()|\[\s*({_QUOTED.pattern})\s*\])?", self.text
        ):
            key = match[2] or (match[3][1:-1] if match[3] else None)
            if key is None:
                return None
            found.add(key)
        return frozenset(found)

    def evaluate(self, data: Mapping[str, Any]) -> Any:
        """The value; raises CannotEvaluate."""
        result = self._expression.eval(data=data)
        if result.type() != cel.Type.ERROR:
            return result.value()
        said = str(result.value())
        if found := _MISSING_KEY.search(said):
            raise CannotEvaluate(f"{found[1]} is not there", found[1])
        if "No matching overloads" in said:
            operator = said.partition(" : ")[2] or "an operator"
            raise CannotEvaluate(f"{operator} cannot be used on values of these types; write numbers as 2.0, not 2")
        raise CannotEvaluate(_CODE.sub("", said))

    def condition(self, data: Mapping[str, Any]) -> bool:
        """The value of a condition; raises CannotEvaluate, also where it is none."""
        value = self.evaluate(data)
        if isinstance(value, bool):
            return value
        raise CannotEvaluate("it is neither true nor false")

    def number(self, data: Mapping[str, Any]) -> float:
        """The value of a number; raises CannotEvaluate, also where it is none."""
        value = self.evaluate(data)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise CannotEvaluate("it is not a number")
        return float(value)


def compile_program(
    text: str,
    variables: Sequence[str],
    wanted: str,
    functions: Mapping[str, Callable[[str], float]] | None = None,
) -> Program:
    """Compile a `CONDITION` or a `NUMBER` over these variables, whose types are left open; raises BadExpression.

    `functions` make a number of a text each.
    """
    if len(text) > LONGEST:
        raise BadExpression(f"the expression has {len(text)} characters; at most {LONGEST} are allowed")
    try:
        compiled = _environment(tuple(variables), tuple((functions or {}).items())).compile(text)
    except (RuntimeError, UnicodeError) as error:
        raise BadExpression(sentence_of(str(error), variables)) from error
    returns = compiled.return_type().name()
    if returns not in _RETURNS[wanted]:
        raise BadExpression(f"the expression is {returns.lower()}, and it must be {wanted}")
    return Program(text, compiled)


@lru_cache(maxsize=16)
def _environment(variables: tuple[str, ...], functions: tuple[tuple[str, Callable[[str], float]], ...]) -> Any:
    declared = [
        cel.FunctionDecl(name, [cel.Overload(f"{name}_string", cel.Type.DYN, [cel.Type.STRING], False, function)])
        for name, function in functions
    ]
    extensions = [ext_strings.ExtStrings(), ext_math.ExtMath(), cel.CelExtension("continuo", declared)]
    return cel.NewEnv(variables=dict.fromkeys(variables, cel.Type.DYN), extensions=extensions)
