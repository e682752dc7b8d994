"""The answers of a real kube-apiserver 1.36, recorded: ours must be the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from continuo.embedded.machinery.apply import record_update, server_side_apply
from continuo.embedded.machinery.cel import CompiledRules, InvalidRules
from continuo.embedded.machinery.patch import merge_patch
from continuo.embedded.machinery.schema import BLOCKING, NOT_CHECKED, apply_defaults, check_structural, prune, validate
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object

RECORDED = Path(__file__).parent / "recorded"


def load(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


APPLY = load("apply")
VALIDATION = load("validation")
VERSION = "t.dev/v1"
DROPPED_WHEN_EMPTY = ("labels", "annotations", "finalizers")


class Store:
    """The least that stands around the functions: one object."""

    def __init__(self, schema: Object) -> None:
        self.schema = schema
        self.live: Object | None = None
        self.writes = 0

    def do(self, step: Object) -> Object:
        self.writes += 1
        metadata = {"name": "x", "namespace": "default", **step["body"].get("metadata", {})}
        body = {"apiVersion": VERSION, "kind": "Ssa", **step["body"], "metadata": metadata}
        new = self.apply(body, step) if step["do"] == "apply" else self.write(body, step)
        kept = {key: value for key, value in new["metadata"].items() if value or key not in DROPPED_WHEN_EMPTY}
        self.live = {**new, "metadata": kept}
        return self.live

    @property
    def time(self) -> str:
        return f"2026-01-01T00:00:{self.writes:02}Z"

    def apply(self, body: Object, step: Object) -> Object:
        applied = server_side_apply(
            self.live, body, manager=step["manager"], schema=self.schema, force=step["force"], time=self.time,
            api_version=VERSION, status_apart=True,
        )  # fmt: skip
        return apply_defaults(self.schema, applied)

    def write(self, body: Object, step: Object) -> Object:
        assert self.live is not None
        subresource = "status" if step["do"] == "status" else ""
        if subresource:
            new = merge_patch(self.live, {"status": body["status"]})
        elif step["do"] == "merge":
            new = merge_patch(self.live, {key: value for key, value in body.items() if key != "status"})
        else:
            known = self.live["metadata"].get("managedFields", [])
            new = {**body, "metadata": {**body["metadata"], "managedFields": known}}
            if "status" in self.live:
                new["status"] = self.live["status"]
        new = apply_defaults(self.schema, new)
        metadata = {key: value for key, value in new["metadata"].items() if value or key not in DROPPED_WHEN_EMPTY}
        new = {**new, "metadata": metadata}
        owners = record_update(
            self.live, new, manager=step["manager"], schema=self.schema, time=self.time, subresource=subresource,
            api_version=VERSION, status_apart=True,
        )  # fmt: skip
        return {**new, "metadata": {**metadata, "managedFields": owners}}


def seen(obj: Object) -> Object:
    """The part of an object that was recorded."""
    out = {key: obj[key] for key in ("spec", "status") if key in obj}
    out |= {key: obj["metadata"][key] for key in ("labels", "finalizers") if obj["metadata"].get(key)}
    keep = ("manager", "operation", "subresource", "fieldsV1")
    owners = [{k: e[k] for k in keep if k in e} for e in obj["metadata"].get("managedFields", [])]
    if owners:
        out["managedFields"] = sorted(
            owners, key=lambda entry: (entry["operation"], entry["manager"], entry.get("subresource", ""))
        )
    return out


@pytest.mark.parametrize("steps", APPLY["sequences"], ids=range(len(APPLY["sequences"])))
def test_apply_and_ownership(steps: list[Object]) -> None:
    store = Store(APPLY["schema"])
    for step in steps:
        try:
            answer: Object = seen(store.do(step))
        except ApiError as error:
            assert error.code == step["code"]
            causes = sorted(cause["field"] for cause in error.details.get("causes", []))
            assert causes == step["answer"]["causes"]
            assert sorted(error.message.split("\n")) == sorted(step["answer"]["message"].split("\n"))
        else:
            assert step["code"] == 200
            assert answer == step["answer"]


@pytest.mark.parametrize("case", VALIDATION["answers"], ids=lambda case: json.dumps(case["spec"])[:60])
def test_validation(case: Object) -> None:
    schema = VALIDATION["schema"]
    value = apply_defaults(schema, prune(schema, {"spec": case["spec"]})[0])
    errors = validate(schema, value)
    if any(error.type in BLOCKING for error in errors):
        errors.append(NOT_CHECKED)
    else:
        errors += CompiledRules.compile(schema).validate(value)
    if case["code"] == 201:
        assert (errors, value["spec"]) == ([], case["answer"])
    else:
        order = json.dumps
        assert sorted(map(order, (e.cause() for e in errors))) == sorted(
            order({key: cause[key] for key in ("reason", "message", "field")}) for cause in case["answer"]
        )


@pytest.mark.parametrize("case", load("structural"), ids=lambda case: case["name"])
def test_schemas_of_definitions(case: Object) -> None:
    errors = check_structural(case["schema"])
    if not errors:
        try:
            CompiledRules.compile(case["schema"])
        except InvalidRules as invalid:
            errors = invalid.errors
    assert sorted((e.field, e.reason, e.body()) for e in errors) == sorted(map(tuple, case["causes"]))
