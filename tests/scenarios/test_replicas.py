"""Several operators of which one works, and several people who write to one orchestration."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from continuo.cli.host import local_operator
from continuo.resources import kinds
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.runtime.leases import LeaderElection, LeaseSettings

from .beds import REAL, Bed
from .specs import app, cluster, component

pytestmark = pytest.mark.anyio


LEASE = LeaseSettings() if REAL else LeaseSettings(duration=3.0, renew_deadline=2.5, retry=0.2)


@pytest.mark.creates
async def test_one_of_two_operators_works_and_the_other_takes_over(idle: Bed) -> None:
    bed = idle
    operators, tasks, working = {}, {}, []
    for name in ("one", "two"):
        operators[name] = operator = local_operator(bed.kubeconfig)
        election = LeaderElection(bed.api, "continuo-operator", "default", name, settings=LEASE)

        async def work(name: str = name, run=operator.run) -> None:
            working.append(name)
            try:
                await run()
            finally:
                working.remove(name)

        tasks[name] = asyncio.create_task(election.run(work))
    try:
        await bed.apply("o", {"clusters": [cluster("green")]})
        await bed.ready("o")
        assert len(working) == 1
        (leader,) = working
        tasks[leader].cancel()
        await asyncio.gather(tasks[leader], return_exceptions=True)
        await bed.apply("o", {"clusters": [cluster("green", worker_machine_count=2)]})
        await bed.ready("o")
        assert working == [name for name in operators if name != leader]
        held = await bed.api.get(kinds.LEASE, "continuo-operator", "default")
        assert held["spec"]["holderIdentity"] == working[0]
        assert len((await bed.api.list(kinds.CLUSTER)).items) == 1
        assert len((await bed.api.list(kinds.MACHINE)).items) == 3
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for operator in operators.values():
            await operator.management.close()


@pytest.mark.kubectl
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
async def test_kubectl_apply_beside_server_side_apply_by_others(bed: Bed, tmp_path: Path) -> None:
    kubeconfig, file = tmp_path / "kubeconfig", tmp_path / "o.json"
    kubeconfig.write_text(bed.kubeconfig, encoding="utf-8")

    async def kubectl_apply(spec: dict, *options: str) -> None:
        placed = await bed.placed("o", spec)
        file.write_text(json.dumps(LOW_LEVEL_ORCHESTRATION.new("o", "default", spec=placed)), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            "kubectl", "--kubeconfig", str(kubeconfig), "apply", "-f", str(file), *options,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()

    def mine(image: str) -> dict:
        web = {**component("web"), "image": image}
        return {"clusters": [cluster("green")], "apps": [app("mine", "green", web)]}

    async def names() -> set[str]:
        return {entry["name"] for entry in (await bed.ready("o"))["status"]["apps"]}

    theirs = {"apps": [app("theirs", "green", component("web"))]}
    await kubectl_apply(mine("one"))
    await bed.apply("o", theirs, "portal")
    assert await names() == {"mine", "theirs"}
    await kubectl_apply(mine("two"), "--server-side", "--force-conflicts")
    assert await names() == {"mine", "theirs"}
    # Client-side, kubectl sends a custom resource's lists whole: what others added goes, until they apply it again.
    await kubectl_apply(mine("three"))
    assert await names() == {"mine"}
    await bed.apply("o", theirs, "portal")
    assert await names() == {"mine", "theirs"}
    green = await bed.workload("green", "o")
    assert (await green.get(kinds.DEPLOYMENT, "web", "mine"))["spec"]["template"]["spec"]["containers"][0][
        "image"
    ] == "three"
    obj = await bed.api.get(LOW_LEVEL_ORCHESTRATION, "o", "default")
    assert obj["metadata"]["finalizers"] == ["continuo.dev/orchestration"]
