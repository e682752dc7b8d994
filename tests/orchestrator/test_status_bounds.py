"""The status keeps to its own schema whatever others say: one that the API server refuses would never be told."""

from __future__ import annotations

import json

import msgspec
import pytest

from continuo.federation.model import LinkSettings
from continuo.orchestrator.assess import assess
from continuo.orchestrator.status import derive_status
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import Status

from .worlds import NOW, Bench, app, cluster, component

LONG = "ä" * 40_000


def status_of(bench: Bench, failures: dict[str, str]) -> Object:
    snapshot, wanted, plan = bench.look()
    assessment = assess(snapshot, wanted, LinkSettings())
    return derive_status(snapshot, wanted, assessment, plan, failures, bench.settings, NOW)


@pytest.mark.parametrize(
    "step", ["component/shop/web", "application/shop", "cluster/green", "link/green/rose", "package/green/liqo"]
)
def test_a_long_failure_is_cut(step: str) -> None:
    spec = {
        "clusters": [cluster("green", packages=["liqo"]), cluster("rose")],
        "links": [["green", "rose"]],
        "apps": [app("shop", "green", component("web"))],
    }
    status = status_of(Bench(spec), {step: LONG})
    assert "ä" in str(status)
    msgspec.convert(status, Status)


def test_a_long_reason_and_message_of_another_controller_are_cut() -> None:
    bench = Bench({"clusters": [cluster("green")]})
    bench.run()
    said = {"type": "Ready", "status": "False", "reason": "R" * 1000, "message": LONG, "lastTransitionTime": NOW}
    bench.management.edit(
        kinds.OPENSTACK_CLUSTER, "o-green", "default", lambda obj: obj.update(status={"conditions": [said]})
    )
    msgspec.convert(status_of(bench, {}), Status)


def test_the_status_of_the_most_components_fits_into_one_object() -> None:
    apps = [app(f"a{i}", "green", *(component(f"c{j}") for j in range(32))) for i in range(64)]
    failures = {f"component/a{i}/c{j}": LONG for i in range(64) for j in range(32)}
    status = status_of(Bench({"clusters": [cluster("green")], "apps": apps}), failures)
    assert len(json.dumps(status, ensure_ascii=False).encode()) < 1_200_000
