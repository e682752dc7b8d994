"""docs/reference/errors.md, made from the bad-input tables and what the front doors really answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from resources import bad_orchestrations
from tosca import bad_blueprints

from .command import continuo

REWRITE = bool(os.environ.get("CONTINUO_REWRITE"))

_HEAD = """\
# What wrong input is told

Made from the tables of the tests (`tests/resources/bad_orchestrations.py`, `tests/tosca/bad_blueprints.py`) and from what
the API server and `continuo tosca convert` answered to each of them; every row is tested.
What the catalog's HTTP interface refuses has a page of its own: [What the catalog refuses](catalog-errors.md).
"""


def arguments(case: bad_blueprints.Case, folder: Path) -> list[str]:
    """The arguments of `continuo tosca convert` for a wrong blueprint, with its files written."""
    file, clusters = folder / "shop.yaml", folder / "clusters.yaml"
    file.write_bytes(case.text.encode("utf-8", errors="surrogateescape"))
    declared = [{"name": name, "tier": tier, "kubernetes-version": "v1.34.2"} for name, tier in bad_blueprints.CLUSTERS]
    clusters.write_text(yaml.safe_dump({"clusters": declared}), encoding="utf-8")
    given = [part for name, value in case.inputs.items() for part in ("-i", f"{name}={_text(value)}")]
    return [str(file), "--clusters", str(clusters), "--owner", "dev", *given]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def page(answers: dict[str, str], folder: Path) -> str:
    """The whole page; `answers` are the API server's sentences by case."""
    lines = [
        _HEAD,
        "## LowLevelOrchestration",
        "",
        "The API server answers 422 (400 for unknown fields). Where it stopped at the",
        "first error it says so after these sentences.",
        "",
    ]
    lines += ["| wrong | field and value | sentence |", "|---|---|---|"]
    for case in bad_orchestrations.CASES:
        put = "; ".join(_change(path, value) for path, value in case.changes)
        lines.append(_row(case.name, put, _essence(answers[case.name])))
    lines += [
        "",
        "## Blueprints",
        "",
        "`continuo tosca convert` ends with exit code 2; warnings convert all the same.",
        "",
    ]
    lines += ["| wrong | sentence |", "|---|---|"]
    for blueprint in bad_blueprints.CASES:
        answer = continuo("tosca", "convert", *arguments(blueprint, folder))
        said = next((line for line in answer.err.splitlines() if blueprint.says in line), answer.err.strip())
        lines.append(_row(blueprint.id.replace("-", " "), said.replace(f"{folder}/", "")))
    return "\n".join(lines) + "\n"


def _change(path: tuple[str | int, ...], value: Any) -> str:
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
    if value is bad_orchestrations.DELETE:
        return f"no `{name}`"
    text = json.dumps(value)
    return f"`{name}: {text if len(text) <= 60 else text[:57] + '...'}`"


def _essence(sentence: str) -> str:
    """Without the object's name, which every sentence begins with."""
    _, found, rest = sentence.partition(" is invalid: ")
    text = rest if found else sentence
    return text if len(text) <= 400 else f"{text[:397]}..."


def _row(*cells: str) -> str:
    clean = [cell.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;").replace("](", "]\\(") for cell in cells]
    return f"| {' | '.join(clean)} |"
