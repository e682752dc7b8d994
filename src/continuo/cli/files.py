"""Reading manifests for plan and apply: YAML or JSON, one or many documents, `-` for standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from continuo.cli.failures import BadInput
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, normalise


class _Loader(yaml.CSafeLoader):
    """Refuses duplicate keys, which YAML readers otherwise swallow."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = key_node.value
            line = key_node.start_mark.line + 1
            if key in seen and key != "<<":
                raise BadInput(f"line {line}: key {key!r} stands here again; it was set in line {seen[key]}")
            seen[key] = line
        return super().construct_mapping(node, deep)


def read_documents(path: str) -> list[Object]:
    """All objects of a file, with orchestrations in their short-name form.

    Raises BadInput naming the file and what is wrong.
    """
    name = "standard input" if path == "-" else path
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is not UTF-8 text") from error
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except BadInput as error:
        raise BadInput(f"{name}: {error.message}") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadInput(f"{name}{line}: not YAML: {error.problem}") from error
    objects = [normalise(item) if _is_ours(item) else item for item in _flatten(documents, name)]
    if not objects:
        raise BadInput(f"{name} holds no object")
    return objects


def _flatten(documents: list[Any], name: str) -> list[Object]:
    found: list[Object] = []
    for number, document in enumerate(documents, start=1):
        if document is None:
            continue
        if not isinstance(document, dict):
            raise BadInput(f"{name}: document {number} is not an object but {type(document).__name__}")
        if document.get("kind") == "List":
            found += _flatten(list(document.get("items") or ()), name)
            continue
        _check(document, number, name)
        found.append(document)
    return found


def _check(document: Object, number: int, name: str) -> None:
    if "tosca_definitions_version" in document:
        raise BadInput(f"{name} is a TOSCA blueprint; convert it with `continuo tosca convert {name}`")
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str):
            raise BadInput(f"{name}: document {number} has no {field}; every Kubernetes object needs one")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise BadInput(f"{name}: document {number} ({document['kind']}) has no metadata.name")


def _is_ours(document: Object) -> bool:
    return bool(document["kind"] == LOW_LEVEL_ORCHESTRATION.kind)
