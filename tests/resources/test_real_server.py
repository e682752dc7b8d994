"""The bad-input table put to a real API server; runs where CONTINUO_TEST_KUBECONFIG names one."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from continuo.resources.crds import edge_crds, management_crds, own_crds, workload_crds

from .bad_orchestrations import CASES, GOOD, Case

KUBECONFIG = os.environ.get("CONTINUO_TEST_KUBECONFIG", "")
pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="CONTINUO_TEST_KUBECONFIG names no API server")


def kubectl(*arguments: str, obj: Any = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kubectl", "--kubeconfig", KUBECONFIG, *arguments],
        input=json.dumps(obj) if obj is not None else None,
        capture_output=True,
        text=True,
        check=False,
    )


def listed(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}


@pytest.fixture(scope="module")
def live() -> Iterator[dict[str, Any]]:
    """The good object, stored; the definition stays, for other tests may use it."""
    applied = kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", obj=listed(own_crds()))
    assert applied.returncode == 0, applied.stderr
    waited = kubectl("wait", "--for=condition=Established", "crd/lowlevelorchestrations.charity-project.eu")
    assert waited.returncode == 0, waited.stderr
    created = kubectl("create", "--validate=strict", "-o", "json", "-f", "-", obj=GOOD)
    assert created.returncode == 0, created.stderr
    yield json.loads(created.stdout)
    kubectl("delete", "llorch", "-n", "default", GOOD["metadata"]["name"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_bad_object_gets_its_sentence(case: Case, live: dict[str, Any]) -> None:
    obj = copy.deepcopy(case.build())
    verb = "replace" if case.old else "create"
    if not case.old and obj["metadata"]["name"] == GOOD["metadata"]["name"]:
        obj["metadata"]["name"] = "another"
    answer = kubectl(verb, "--dry-run=server", "--validate=strict", "-f", "-", obj=obj)
    assert answer.returncode != 0
    assert [fragment for fragment in case.says if fragment not in answer.stderr] == [], answer.stderr


def test_the_compatible_definitions_are_taken() -> None:
    crds = listed(management_crds() + workload_crds() + edge_crds())
    applied = kubectl("apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-", obj=crds)
    assert applied.returncode == 0, applied.stderr
