"""Whatever is done to a blueprint: it converts to an entry, or gives problems with places; it never raises."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuo.resources.orchestration_apps import AppSpec
from continuo.tosca.convert import Options, convert_text
from tosca.bad_blueprints import CLUSTERS, GOOD, INPUTS

EXAMPLES = sorted(
    path for path in (Path(__file__).parents[2] / "examples").glob("*.yaml") if "clusters" not in path.name
)
TREES: list[Any] = [
    yaml.safe_load(GOOD),
    *(yaml.safe_load(path.read_text()) for path in EXAMPLES if "tosca" in path.read_text()),
]
SETTINGS = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))

WORDS = st.sampled_from(
    [
        "", "web", "db", "VLdata", "Charity.Component", "Charity.Node", "EXTERNAL", "K8S_POD", "VM", "get_input", "type",
        "properties", "requirements", "node_filter", "capabilities", "host", "node", "name", "1 GB", "5 ms", "0", "443",
        "true", "UNBOUNDED", "in_range", "equal", "concat", "token", "default", "x" * 600, "é☃", "a b", "/", "null",
    ]
)  # fmt: skip
SCALARS = st.one_of(WORDS, st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.dates())
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6
)


def check(source: str | bytes, inputs: Any = INPUTS) -> None:
    conversion = convert_text(source, Options(owner="dev", clusters=CLUSTERS, inputs=inputs))
    assert (conversion.app is None) == bool(conversion.errors)
    if conversion.app is not None:
        msgspec.convert(conversion.app, AppSpec)
    lines = max(1, len(source.splitlines())) + 1
    for problem in conversion.problems:
        assert 1 <= problem.line <= lines and problem.column >= 1
        assert problem.code and problem.message.strip().endswith(".") and "\n" not in problem.message


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (collection, key) of the tree."""
    found: list[tuple[Any, Any]] = []
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(entries):
        found.append((tree, key))
        found += places(value)
    return found


@SETTINGS
@given(st.data())
def test_a_blueprint_with_values_changed(data: st.DataObject) -> None:
    tree = copy.deepcopy(data.draw(st.sampled_from(TREES)))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(places(tree)))
        match data.draw(st.sampled_from(["replace", "remove", "rename"])):
            case "replace":
                holder[key] = data.draw(VALUES)
            case "remove":
                del holder[key]
            case _ if isinstance(holder, dict):
                holder[data.draw(WORDS)] = holder.pop(key)
        if not places(tree):
            break
    check(yaml.safe_dump(tree, allow_unicode=True))


@SETTINGS
@given(st.data())
def test_a_blueprint_with_characters_changed(data: st.DataObject) -> None:
    text = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 8))
        piece = data.draw(
            st.sampled_from(["", ":", "- ", "{", "]", "&a ", "*a", "!x ", "|", "'", "\t", "\x00", "\n", "é"])
        )
        text = text[:start] + piece + text[end:]
    check(text)


@SETTINGS
@given(st.binary(max_size=60))
def test_any_bytes(source: bytes) -> None:
    check(source)


@SETTINGS
@given(st.dictionaries(st.sampled_from(["STAGE", "DB_PASSWORD", "tls_cert", "tls_key", "OTHER"]), VALUES))
def test_any_inputs(inputs: dict[str, Any]) -> None:
    check(GOOD, inputs)
