"""Distributions, versions and their limits."""

from __future__ import annotations

import pytest

from continuo.resources import kinds
from continuo.resources.errors import Invalid

from .beds import Bed
from .specs import app, cluster, component, item

pytestmark = pytest.mark.anyio


@pytest.mark.embedded_only(reason="the development provider knows kubeadm only")
async def test_k3s_with_three_servers_and_microk8s_with_one(bed: Bed) -> None:
    edge = cluster("edge", kubernetes_type="k3s", control_plane_count=3)
    tiny = cluster("tiny", kubernetes_type="microk8s", worker_machine_count=0)
    apps = [app("a", "edge", component("web")), app("b", "tiny", component("web"))]
    await bed.apply("o", {"clusters": [edge, tiny], "apps": apps})
    obj = await bed.ready("o")
    assert item(obj, "clusters", "edge")["controlPlaneReady"] == 3
    assert [o["metadata"]["name"] for o in (await bed.api.list(kinds.KTHREES_CONTROL_PLANE)).items] == ["o-edge-cp"]
    assert [o["metadata"]["name"] for o in (await bed.api.list(kinds.MICROK8S_CONTROL_PLANE)).items] == ["o-tiny-cp"]


@pytest.mark.parametrize("more", [{"worker_machine_count": 1}, {"control_plane_count": 3, "worker_machine_count": 0}])
async def test_microk8s_has_one_node(bed: Bed, more: dict) -> None:
    with pytest.raises(Invalid, match=r"(?i)microk8s.*one node"):
        await bed.declare("o", {"clusters": [cluster("tiny", kubernetes_type="microk8s", **more)]})


@pytest.mark.creates
async def test_versions_go_up_by_one_and_never_down(bed: Bed) -> None:
    await bed.apply("o", {"clusters": [cluster("green")]})
    await bed.ready("o")
    for version, why in (("v1.36.0", "skips a minor version"), ("v1.33.9", "cannot go back")):
        await bed.apply("o", {"clusters": [cluster("green", kubernetes_version=version)]})
        obj = await bed.until("o", lambda obj, why=why: why in item(obj, "clusters", "green").get("message", ""))
        assert item(obj, "clusters", "green")["reason"] == "VersionSkew"
        stalled = next(c for c in obj["status"]["conditions"] if c["type"] == "Stalled")
        assert stalled["status"] == "True" and why in stalled["message"]
    assert {m["spec"]["version"] for m in (await bed.api.list(kinds.MACHINE)).items} == {"v1.34.2"}
    await bed.apply("o", {"clusters": [cluster("green", kubernetes_version="v1.35.1", worker_machine_count=2)]})
    await bed.ready("o")
    assert {m["spec"]["version"] for m in (await bed.api.list(kinds.MACHINE)).items} == {"v1.35.1"}
    assert len((await bed.api.list(kinds.MACHINE)).items) == 3
