"""What can be wrong with a blueprint, as data: the same list serves the terminal, the HTTP faces and editors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal, Protocol

SECRET_NAME = re.compile("PASS|PWD|SECRET|TOKEN|KEY|CRED", re.IGNORECASE)
"""What variables and inputs are called whose values nobody else may see."""

Severity = Literal["error", "warning", "info"]


class Place(Protocol):
    """Anything that knows where in the file it stands; lines and columns count from 1."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: `message` is a sentence that names the thing and what would be right."""

    code: str
    severity: Severity
    message: str
    file: str
    line: int
    column: int
    node: str = ""
    """The node template (or section) concerned."""
    path: str = ""
    """Where in the document: `topology_template.node_templates.web.properties.image`."""
    hint: str = ""
    """What to write instead, when that is known."""

    def __str__(self) -> str:
        """`file:line:column: severity: message [code]`, which terminals and editors make clickable."""
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}{tail} [{self.code}]"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, without empty fields."""
        return {name: value for name, value in asdict(self).items() if value != ""}


class Problems:
    """Collects the findings of one reading or conversion."""

    def __init__(self, file: str, *, strict: bool = False) -> None:
        self.file = file
        self._strict = strict
        self._found: dict[tuple[str, int, int, str], Problem] = {}

    def add(
        self,
        code: str,
        message: str,
        at: Place,
        *,
        node: str = "",
        path: str = "",
        hint: str = "",
        severity: Severity = "error",
    ) -> None:
        """Record one finding; an identical one (an anchor used twice) is recorded once."""
        if self._strict and code == "unsupported-section":
            severity = "error"
        problem = Problem(code, severity, message, self.file, at.line, at.column, node, path, hint)
        self._found.setdefault((code, at.line, at.column, message), problem)

    @property
    def failed(self) -> bool:
        """Whether any finding is an error."""
        return any(problem.severity == "error" for problem in self._found.values())

    def sorted(self) -> tuple[Problem, ...]:
        """All findings in document order."""
        return tuple(sorted(self._found.values(), key=lambda p: (p.line, p.column, p.code, p.message)))


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Those that prevent a conversion."""
    return tuple(problem for problem in problems if problem.severity == "error")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean X?`, or the known words when none is near and they are few; may be empty."""
    words = sorted(set(known))
    near = get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(words)}" if 0 < len(words) <= 12 else ""


def listed(words: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    items = list(words)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} or {items[-1]}"


def shown(text: str, limit: int = 60) -> str:
    """A user's value for a message: on one line, and not the whole of a long one."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
