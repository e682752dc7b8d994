"""What the pages for readers say, taken apart: code blocks, commands, links, headings, and the table of requirements."""

from __future__ import annotations

import ast
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
REQUIREMENTS = ROOT / "docs" / "requirements.md"

_FENCE = re.compile(r"^ *```(?P<language>\S*)[^\n]*\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s\[\]]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_SEPARATORS = {"|", "||", "&&", ";", "&", "(", ")"}


@dataclass(frozen=True)
class Block:
    """A fenced block, and where it begins."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return place(self.page, self.line)


@dataclass(frozen=True)
class Command:
    """One simple command of a console block: its words, without redirections."""

    place: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.place}: {shlex.join(self.words)}"


def place(page: Path, line: int) -> str:
    return f"{page.relative_to(ROOT) if page.is_relative_to(ROOT) else page}:{line}"


@cache
def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[Block]:
    """The fenced blocks of one language, in order."""
    text = _text(page)
    return [
        Block(page, text.count("\n", 0, found.start()) + 2, language, found["text"])
        for found in _FENCE.finditer(text)
        if found["language"] == language
    ]


def prose(page: Path) -> str:
    """The page without its fenced blocks; lines stay where they are."""
    return _FENCE.sub(lambda found: "\n" * found[0].count("\n"), _text(page))


def commands(page: Path) -> list[Command]:
    """Every simple command behind a `$` of a console block."""
    return [
        Command(place(page, block.line + number), words)
        for block in blocks(page, "console")
        for number, line in _prompts(block.text)
        for words in simple_commands(line)
    ]


def _prompts(text: str) -> Iterator[tuple[int, str]]:
    """Command lines with their numbers; lines that end with a backslash are one with the next."""
    lines = enumerate(text.splitlines())
    for number, line in lines:
        if not line.startswith("$ "):
            continue
        whole = line[2:]
        while whole.endswith("\\"):
            whole = whole[:-1] + next(lines)[1]
        yield number, whole


def simple_commands(line: str) -> list[tuple[str, ...]]:
    """The commands between pipes and the like; `#` begins a comment, redirections go with their file."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    tokens = iter(lexer)
    for token in tokens:
        if token in _SEPARATORS:
            found.append([])
        elif token.startswith((">", "<")):
            next(tokens)
            if found[-1][-1:] == ["2"]:  # a descriptor, as in 2>/dev/null
                found[-1].pop()
        else:
            found[-1].append(token)
    return [tuple(words) for words in found if words]


def inline_commands(page: Path) -> list[Command]:
    """Commands named in a sentence (`continuo ...`); they may leave arguments and values to the reader."""
    text = prose(page)
    return [
        Command(place(page, text.count("\n", 0, found.start()) + 1), tuple(shlex.split(found[1])))
        for found in _INLINE.finditer(text)
        if found[1].startswith("continuo ")
    ]


def links(page: Path) -> list[tuple[int, str]]:
    """Links to files or headings of ours, with their lines."""
    text = _INLINE.sub("", prose(page))
    found = ((text.count("\n", 0, link.start()) + 1, link[1]) for link in _LINK.finditer(text))
    return [(line, target) for line, target in found if "://" not in target and not target.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the page's headings."""
    seen: Counter[str] = Counter()
    names: set[str] = set()
    for found in _HEADING.finditer(prose(page)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", found[1]).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        names.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return names


@dataclass(frozen=True)
class Requirement:
    """A row of the table: what it is called, and the code and the tests that it names."""

    id: str
    code: tuple[str, ...]
    tests: tuple[str, ...]


def requirements() -> list[Requirement]:
    rows = (line.strip("| ").split(" | ") for line in _text(REQUIREMENTS).splitlines() if re.match(r"\| [A-Z]", line))
    return [Requirement(row[0], _paths(row[2]), _paths(row[3])) for row in rows]


def _paths(cell: str) -> tuple[str, ...]:
    return tuple(word for word in _INLINE.findall(cell) if "/" in word or ".py" in word)


@cache
def definitions(file: Path) -> frozenset[str]:
    """Functions, classes and methods (`Class::method`) that a module defines."""
    found: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found.update(f"{node.name}::{part.name}" for part in node.body if hasattr(part, "name"))
    return frozenset(found)


def missing(root: Path, path: str) -> str:
    """What is wrong with `folder/`, `file.py` or `file.py::name` below `root`; empty when it is there."""
    name, _, symbol = path.partition("::")
    if not (root / name).exists():
        return f"there is no {name} in {root.relative_to(ROOT)}"
    if symbol and symbol not in definitions(root / name):
        return f"{name} has no {symbol}"
    return ""
