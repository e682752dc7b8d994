"""`continuo demo loop`: what it declares and waits for, how it is ended, and (with CONTINUO_DEMOS=1) the whole of it.

The story itself is told by tests/scenarios/test_story.py, with a witness.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from continuo.cli.loop_demo import scene
from continuo.cli.loop_demo.watching import place_of, ready, runs, without
from continuo.orchestrator.loops.policies.measured import read
from continuo.resources.orchestration import decode
from continuo.resources.orchestration_policies import Metric
from orchestrator.loops.given import at, used

WAIT = 300.0


def started(data: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "continuo.cli.main", "demo", "loop", "--data", str(data)]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def test_its_loads_want_what_the_story_needs() -> None:
    spec = decode(scene.declaration()).spec
    loop = next(policy.scale_component for policy in spec.policies if policy.scale_component)
    request, metric = 0.4, loop.metric
    assert isinstance(metric, Metric)

    def wanted(load: str, pods: int) -> int | None:
        share = float(load.rstrip("m")) / 1000 / pods / request
        return read(metric, used(*[share] * pods), at(0), 15, pods, pods, "pods").want

    assert (wanted(scene.LITTLE, 1), wanted(scene.MORE, 1), wanted(scene.MUCH, 3)) == (1, 3, 9)
    assert wanted(scene.LITTLE, 9) == 1
    assert spec.policies[1].provision_cluster is not None


def seen(cluster: str, phase: str = "Running", pods: str = "3/3", **status: Any) -> Any:
    part = {"name": "web", "cluster": cluster, "phase": phase, "ready": pods}
    apps = [{"name": "shop", "components": [part]}]
    return {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "apps": apps, **status}}


def test_it_waits_for_what_it_says() -> None:
    obj = seen("west")
    assert runs(scene.WEB, "west", ready="3/3")(obj) and runs(scene.WEB)(obj) and place_of(obj, scene.WEB) == "west"
    assert not runs(scene.WEB, "east")(obj)
    assert not runs(scene.WEB, ready="9/9")(obj)
    assert not runs(scene.WEB)(seen("west", "Moving"))
    assert place_of(obj, scene.DATABASE) == ""
    conditions = [{"type": "Ready", "status": "True"}]
    there = seen("west", conditions=conditions, clusters=[{"name": "burst-1"}])
    assert ready(there) and not without("burst-1")(there) and without("burst-2")(there)
    assert not ready(seen("west", conditions=conditions, observedGeneration=1))


def test_who_ends_it_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    process = started(tmp_path / "demo")
    try:
        assert process.stdout is not None and process.stdout.readline().startswith("1 ")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=WAIT)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "the demo was ended by SIGTERM; nothing of it runs any more" in out
    assert "Traceback" not in out


@pytest.mark.skipif(not os.environ.get("CONTINUO_DEMOS"), reason="takes half a minute; set CONTINUO_DEMOS=1")
def test_from_load_to_load(tmp_path: Path) -> None:
    process = started(tmp_path / "demo")
    try:
        out, _ = process.communicate(timeout=WAIT)
    finally:
        process.kill()
    assert process.returncode == 0, out
    assert max(map(len, out.splitlines())) <= 80
    said = " ".join(out.split())
    assert "scale shop/web to 9; cpu 2.08 of 0.70 on 3 pods: 9 are needed" in said
    assert "create cluster burst-1; shop/web fits nowhere: burst-1 for it" in said
    assert "10 decisions in " in said
