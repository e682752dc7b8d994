"""What `continuo status` shows of orchestrations, and how little it needs for that."""

from __future__ import annotations

import io

from rich.console import Console

from continuo.cli.status import own_machines
from continuo.cli.trees import orchestration_tree
from continuo.resources.meta import Object


def shown(obj: Object, machines: dict[str, list[Object]] | None = None) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=160, color_system=None).print(orchestration_tree(obj, machines))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def orchestration(status: Object, **spec: object) -> Object:
    return {"metadata": {"name": "shop", "namespace": "default"}, "spec": spec, "status": status}


def machine(name: str) -> Object:
    return {"metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}}


def test_every_policy_has_a_line_with_its_stage_and_what_it_saw() -> None:
    loops = [
        {
            "name": "load",
            "stage": "CoolingDown",
            "observation": "cpu 91% of 70%",
            "decision": "shop-1",
            "outcome": "Applied",
        },
        {"name": "gone", "stage": "Held", "message": "held"},
    ]
    policies = [{"name": "load"}, {"name": "new"}]
    lines = shown(orchestration({"phase": "Ready", "loops": loops}, policies=policies))
    assert lines[1:] == [
        "└── loops",
        "    ├── ● load  CoolingDown  cpu 91% of 70%  shop-1 Applied",
        "    ├── ○ new  Observe  not looked at yet",
        "    └── ○ gone  Held  held",
    ]


def test_a_pause_is_said_first() -> None:
    def paused(status: str) -> Object:
        said = {"type": "Paused", "status": status, "message": "nothing is changed until spec.paused is false"}
        return orchestration({"phase": "Ready", "conditions": [said]})

    assert shown(paused("True"))[1:] == ["└── ‖ paused  nothing is changed until spec.paused is false"]
    assert shown(paused("False"))[1:] == []


def test_clusters_that_loops_made_have_their_machines_too() -> None:
    clusters = [{"name": name, "phase": "Ready"} for name in ("green", "burst-1")]
    obj = orchestration({"phase": "Ready", "clusters": clusters}, clusters=[{"name": "green"}, {"name": "late"}])
    there = {("default", f"shop-{name}"): [machine(f"{name}-m")] for name in ("green", "burst-1", "other")}
    own = own_machines(obj, there)
    assert {name: [m["metadata"]["name"] for m in found] for name, found in own.items()} == {
        "green": ["green-m"], "burst-1": ["burst-1-m"], "late": [],
    }  # fmt: skip
    (line,) = [line for line in shown(obj, own) if "machine burst-1-m" in line]
    assert line.endswith("machine burst-1-m  Running")
