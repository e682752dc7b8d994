"""Regular expressions from strangers, in time linear in the text: RE2's syntax, which is Go's, judged by CEL's runtime.

Python's own engine backtracks, so it judges only those that have nothing to go back over: one repetition of one character
at most. That is what most are, and it is twenty times as fast.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]

from continuo.expressions.tree import BadExpression

LONGEST = 256
_REMEMBERED = 16384
_ATOM = r"(?:[A-Za-z0-9 _/:,;=@~%&<>!\"'#-]|\\[.^$*+?()\[\]{}|\\/-]|\.|\[\^?[A-Za-z0-9_. -]+\])"
_PLAIN = re.compile(rf"\^?{_ATOM}*(?:{_ATOM}[*+?]{_ATOM}*)?\$?")


def pattern(text: str) -> Callable[[Any], bool]:
    """A test whether a text has a match somewhere, whatever its case; raises BadExpression.

    What is no text but has a method `matching` is asked that with the test.
    """
    found = _of_text(text)

    def test(value: Any) -> bool:
        return found(value) if isinstance(value, str) else bool(getattr(value, "matching", _never)(found))

    return test


def _never(_: object) -> bool:
    return False


@lru_cache(maxsize=64)
def _of_text(text: str) -> Callable[[str], bool]:
    if len(text) > LONGEST:
        raise BadExpression(f"the pattern has {len(text)} characters; at most {LONGEST} are allowed")
    judge = _Judge(text)
    if not _PLAIN.fullmatch(text):
        return judge
    end = text[:-1] + r"\Z" if text.endswith("$") and not text.endswith("\\$") else text
    compiled = re.compile(end, re.IGNORECASE | re.ASCII)
    return lambda value: compiled.search(value) is not None


class _Judge:
    """Asks the runtime, once for each text."""

    def __init__(self, text: str) -> None:
        self._pattern = f"(?i){text}"
        self._known: dict[str, bool] = {}
        self._expression = _expression()
        self(text="")

    def __call__(self, text: str) -> bool:
        known = self._known.get(text)
        if known is None:
            result = self._expression.eval(data={"t": text, "p": self._pattern})
            if result.type() == cel.Type.ERROR:
                raise BadExpression(
                    f"the pattern {self._pattern.removeprefix('(?i)')!r} is none: {_why(result.value())}"
                )
            known = bool(result.value())
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[text] = known
        return known


def _why(error: object) -> str:
    return str(error).rpartition("invalid regular expression: ")[2].replace("(?i)", "") or "it cannot be read"


@lru_cache(maxsize=1)
def _expression() -> Any:
    return cel.NewEnv(variables={"t": cel.Type.STRING, "p": cel.Type.STRING}).compile("t.matches(p)")
