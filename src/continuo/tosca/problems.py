"""What can be wrong with a blueprint, as data: the same list serves the terminal, the HTTP faces and editors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal, Protocol

SECRET_NAME = re.compile("PASS|PWD|SECRET|TOKEN|KEY|CRED", re.IGNORECASE)
"""What variables and inputs are called whose values nobody else may see."""

MAX_PROBLEMS = 500
MAX_KNOWN = 300
MAX_MESSAGE = 600

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


class TooMany(Exception):
    """Nobody reads so many findings, and looking for more costs time: the reading ends here."""


class Problems:
    """Collects the findings of one reading or conversion; raises TooMany after `MAX_PROBLEMS` of them."""

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
        """Record one finding; an identical one (an anchor used twice) is recorded once, error or not."""
        if self._strict and code == "unsupported-section":
            severity = "error"
        text = shown(message, MAX_MESSAGE)
        key = (code, at.line, at.column, text)
        if key in self._found:
            return
        found = Problem(
            code, severity, text, self.file, at.line, at.column, shown(node), shown(path, 300), shown(hint, 300)
        )
        self._found[key] = found
        if len(self._found) == MAX_PROBLEMS:
            self.add(
                "too-many-problems", f"There are more than {MAX_PROBLEMS} findings; the rest is not looked for.", at
            )
            raise TooMany

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
    near = get_close_matches(word, words, n=1, cutoff=0.6) if len(word) < 100 and len(words) <= MAX_KNOWN else []
    if near:
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(words)}" if 0 < len(words) <= 12 else ""


def listed(words: Iterable[str], most: int = 12) -> str:
    """`a`, `a or b`, `a, b or c`; of very many only the first ones."""
    items = list(words)
    if len(items) > most:
        items = [*items[:most], "others"]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} or {items[-1]}"


def shown(text: str, limit: int = 60) -> str:
    """A user's text for a message: printable, on one line, and not the whole of a long one."""
    if len(text) > 4 * limit:
        text = text[: 4 * limit]
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split()) if not text.isprintable() else text
    return line if len(line) <= limit else line[: limit - 3] + "..."
