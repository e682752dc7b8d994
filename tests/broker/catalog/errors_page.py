"""docs/reference/catalog-errors.md, made of what the catalog answers to the bad requests, and of the codes in its source."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from continuo.broker.catalog import contracts
from continuo.broker.catalog.catalog import Refused
from continuo.server import catalog_face

assert contracts.NoSuchContract.code, "its refusals are among the subclasses below"
REWRITE = bool(os.environ.get("CONTINUO_REWRITE"))
ROOT = Path(__file__).parent.parent.parent.parent
PAGE = ROOT / "docs" / "reference" / "catalog-errors.md"
HOW = "stale: CONTINUO_REWRITE=1 python -m pytest tests/broker/catalog/test_bad_input.py"
_SOURCES = ("catalog_*.py", "routes/catalog_*.py", "limits.py", "failures.py")

_HEAD = """\
# What the catalog refuses

Made from the source, and from what the catalog answered to the bad requests of the tests
(`tests/broker/catalog/test_bad_input.py`); every row below the codes is tested, on SQLite and on PostgreSQL.

Every refusal is `application/problem+json`: `status`, `code`, and the sentence in `detail`; where there are several problems
at once, all are in `problems`.

## Codes
"""


def codes() -> dict[str, tuple[int, str]]:
    """Every code: its status, and what stands in the source about it."""
    found: dict[str, tuple[int, str]] = {}
    for kind in _refusals(Refused):
        about = (kind.__doc__ or "").strip().rstrip(".")
        found[kind.code] = catalog_face._STATUS.get(kind.code, 409), about
    for pattern in _SOURCES:
        for path in sorted((ROOT / "src" / "continuo" / "server").glob(pattern)):
            for status, code, about in _problems(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault(code, (status, about))
    return found


def _refusals(kind: type[Refused]) -> Iterator[type[Refused]]:
    for each in kind.__subclasses__():
        yield each
        yield from _refusals(each)


def _problems(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Each `Problem(status, "code", sentence)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Problem":
            status, code, detail = node.args[:3]
            if isinstance(status, ast.Constant) and isinstance(code, ast.Constant):
                yield int(str(status.value)), str(code.value), _sentence(detail)


def _sentence(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):  # a sentence that is trimmed
        return _sentence(node.func.value)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def page(answers: list[tuple[str, str, Any, dict[str, Any]]], frames: list[tuple[str, str]]) -> str:
    """The whole page: of method, path, body and problem for each bad request, and frame and sentence for each bad frame."""
    examples: dict[str, str] = {}
    known = codes()
    for _, _, _, problem in answers:
        examples.setdefault(problem["code"], problem["detail"])
        known.setdefault(problem["code"], (problem["status"], problem["detail"]))
    lines = [_HEAD, "| code | status | such as |", "|---|---|---|"]
    lines += [_row(f"`{code}`", str(at), examples.get(code) or about) for code, (at, about) in sorted(known.items())]
    lines += ["", "## Requests", "", "| request | body | status | code | sentence |", "|---|---|---|---|---|"]
    for method, path, body, problem in answers:
        said = "; ".join(problem.get("problems") or [problem["detail"]])
        lines.append(
            _row(f"`{method} {_short(path)}`", _body(body), str(problem["status"]), f"`{problem['code']}`", said)
        )
    lines += ["", "## First frames of the change stream", "", "| frame | sentence |", "|---|---|"]
    lines += [_row(f"`{text}`", said) for text, said in frames]
    return "\n".join(lines) + "\n"


def _body(body: Any) -> str:
    if body is None:
        return ""
    text = body.decode("latin-1") if isinstance(body, bytes) else json.dumps(body)
    return f"`{_short(text)}`" if text else "nothing"


def _short(text: str) -> str:
    clean = "".join(char if 32 <= ord(char) < 127 else "·" for char in text).replace("`", "'")
    return clean if len(clean) <= 100 else f"{clean[:97]}..."


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for cell in cells) + " |"
