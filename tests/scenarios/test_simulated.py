"""Clusters of simulated machines (`provider: dev`): the life cycle alone, the same on every engine."""

from __future__ import annotations

import pytest

from continuo.resources import kinds
from continuo.resources.errors import Invalid

from .beds import Bed, is_ready
from .specs import item

pytestmark = pytest.mark.anyio


def simulated(name: str, **more) -> dict:
    fields = {key.replace("_", "-"): value for key, value in more.items()}
    return {"name": name, "provider": "dev", "kubernetes-version": "v1.34.2", "worker-machine-count": 1, **fields}


@pytest.mark.creates
async def test_a_simulated_cluster_comes_up_without_credentials_or_packages_and_goes(bed: Bed) -> None:
    await bed.apply("s", {"clusters": [simulated("green")]})
    obj = await bed.ready("s")
    found = obj["status"]["clusters"][0]
    assert (found["phase"], found["controlPlaneReady"], found["workersReady"]) == ("Ready", 1, 1)
    assert not found.get("packages")
    assert not await bed.left(kinds.HELM_CHART_PROXY)
    await bed.remove("s")
    made = (kinds.CLUSTER, kinds.MACHINE, kinds.DEV_CLUSTER, kinds.DEV_MACHINE, kinds.DEV_MACHINE_TEMPLATE)
    assert not await bed.left(*made)


@pytest.mark.creates
async def test_a_machine_that_takes_its_time_says_so_blocks_no_other_and_goes_before_it_is_up(bed: Bed) -> None:
    slow = simulated("rose", machine_startup=3600, worker_machine_count=0)
    await bed.apply("s", {"clusters": [simulated("green"), slow]})
    obj = await bed.until("s", lambda obj: item(obj, "clusters", "green").get("phase") == "Ready")
    rose = item(obj, "clusters", "rose")
    assert (rose["phase"], rose["reason"]) == ("Provisioning", "MachinesNotReady")
    assert "machine" in rose["message"]
    assert not is_ready(obj)
    await bed.apply("s", {"clusters": [simulated("green")]})
    await bed.ready("s")
    assert await bed.is_gone("rose", "s")
    assert not {name for name in (await bed.left(kinds.MACHINE))["Machine"] if "rose" in name}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"packages": ["liqo"]}, "packages"),
        ({"kubernetes-type": "k3s"}, "must be kubeadm with provider dev"),
        ({"image": "x"}, "image"),
        ({"public-ip": "203.0.113.7"}, "public-ip"),
        ({"provider": "openstack", "machine-startup": 5}, "only for simulated machines"),
    ],
)
async def test_what_means_nothing_there_is_refused(bed: Bed, fields: dict, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        await bed.declare("s", {"clusters": [{**simulated("green"), **fields}]})


async def test_nothing_can_be_linked_to_it_or_run_on_it(bed: Bed) -> None:
    other = {"name": "rose", "kubernetes-version": "v1.34.2"}
    with pytest.raises(Invalid, match="runs no Liqo"):
        await bed.declare("s", {"clusters": [simulated("green"), other], "links": [["green", "rose"]]})
    web = {"name": "web", "image": "registry.example.org/web:1", "cluster-selector": "green"}
    app = {"name": "shop", "owner": "ann", "cluster": "rose", "components": [web]}
    with pytest.raises(Invalid, match="runs no pods"):
        await bed.declare("s", {"clusters": [simulated("green"), other], "apps": [app]})
