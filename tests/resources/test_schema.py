"""The CRD's schema and rules against the machinery that the embedded API server validates with."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from continuo.embedded.machinery.cel import CompiledRules
from continuo.embedded.machinery.schema import apply_defaults, check_structural, prune, validate
from continuo.resources.crd import low_level_orchestration_crd
from continuo.resources.crds import edge_crds, management_crds, workload_crds
from continuo.resources.orchestration import LowLevelOrchestration, decode, encode

from .bad_orchestrations import CASES, GOOD, Case

SCHEMA = low_level_orchestration_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
RULES = CompiledRules.compile(SCHEMA)


def complaints(obj: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    """What an API server would answer: unknown fields, the schema, then the rules."""
    pruned, unknown = prune(SCHEMA, obj)
    told = [f'unknown field "{path}"' for path in unknown if not path.startswith(("metadata", "apiVersion", "kind"))]
    value = apply_defaults(SCHEMA, pruned)
    told += [error.message() for error in validate(SCHEMA, value)]
    before = apply_defaults(SCHEMA, old) if old is not None else None
    if not told or all("in body should" in problem for problem in told):
        told += [error.message() for error in RULES.validate(value, before)]
    return told


def test_the_schema_is_structural() -> None:
    assert check_structural(SCHEMA) == []


def test_the_good_object_is_accepted_as_new_and_as_an_update() -> None:
    assert complaints(GOOD) == []
    assert complaints(GOOD, GOOD) == []


def test_an_upgrade_changes_version_and_image_together() -> None:
    upgraded = copy.deepcopy(GOOD)
    upgraded["spec"]["clusters"][0] |= {
        "kubernetes-version": "v1.33.1",
        "image": "ubuntu-2204-kube-v1.33.1",
        "control-plane-count": 3,
        "worker-machine-flavor": "m1.large",
    }
    assert complaints(upgraded, GOOD) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_bad_object_gets_its_sentence(case: Case) -> None:
    answer = "\n".join(complaints(case.build(), GOOD if case.old else None))
    assert [fragment for fragment in case.says if fragment not in answer] == [], answer


def test_the_table_names_each_case_once() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_server_side_defaults_are_the_struct_defaults() -> None:
    pruned, unknown = prune(SCHEMA, GOOD)
    assert unknown == []
    assert decode(apply_defaults(SCHEMA, pruned)) == decode(GOOD)


def test_what_the_structs_write_fits_the_schema() -> None:
    read = decode(GOOD)
    assert isinstance(read, LowLevelOrchestration)
    assert complaints({**GOOD, "spec": encode(read.spec)}) == []


def test_every_list_and_string_that_rules_walk_is_bounded() -> None:
    open_ended: list[str] = []

    def walk(schema: dict[str, Any], path: str) -> None:
        if schema.get("type") == "array" and "maxItems" not in schema:
            open_ended.append(path)
        if schema.get("type") == "string" and not {"maxLength", "enum"} & schema.keys():
            open_ended.append(path)
        for name, field in schema.get("properties", {}).items():
            walk(field, f"{path}.{name}")
        if "items" in schema:
            walk(schema["items"], f"{path}[]")

    walk(SCHEMA["properties"]["spec"], "spec")
    assert open_ended == []


@pytest.mark.parametrize(
    "crd", management_crds() + workload_crds() + edge_crds(), ids=lambda crd: crd["metadata"]["name"]
)
def test_every_definition_is_one_that_an_api_server_takes(crd: dict[str, Any]) -> None:
    spec = crd["spec"]
    assert crd["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
    for version in spec["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        assert check_structural(schema) == []
        CompiledRules.compile(schema)


def test_no_two_definitions_share_a_name() -> None:
    for crds in (management_crds(), workload_crds(), edge_crds()):
        names = [crd["metadata"]["name"] for crd in crds]
        assert len(set(names)) == len(names)


def test_columns_of_the_orchestration() -> None:
    version = low_level_orchestration_crd()["spec"]["versions"][0]
    shown = [column["name"] for column in version["additionalPrinterColumns"] if "priority" not in column]
    assert shown == ["PHASE", "CLUSTERS", "LINKS", "APPS", "READY", "REASON", "AGE"]
    assert version["subresources"] == {"status": {}}
