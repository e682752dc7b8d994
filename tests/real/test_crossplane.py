"""ContinuumSlices through real Crossplane: core, its RBAC manager, real packages, and our function over mutual TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from continuo.iot.compose import definition, wire
from continuo.iot.compose.claim import CONTINUUM_SLICE
from continuo.iot.compose.function import run
from continuo.resources import kinds
from continuo.resources.boards_plugins import PLUGIN, PLUGIN_INJECTION
from continuo.resources.boards_things import BOARD
from continuo.resources.errors import ApiError, Invalid
from continuo.resources.meta import Kind, condition
from continuo.testbed.crossplane import PROGRAM
from continuo.testbed.tools import CONTROL_PLANE
from continuo.testbed.waiting import until
from iot.compose.bad import REFUSED

from .conftest import asked_for
from .crossplane_bed import PATIENCE, SECOND, CrossplaneBed, crossplane_bed

pytestmark = pytest.mark.anyio

WISH: dict[str, Any] = {
    "orchestration": {"clusters": [{"name": "cloud", "provider": "dev", "kubernetes-version": "v1.34.2"}]},
    "boards": {"matchLabels": {"site": "roof"}},
    "network": {"cidr": "10.9.0.0/24"},
    "plugins": [{"name": "meter", "code": "class Worker: ...", "state": "Running"}],
    "expose": [{"name": "ssh", "port": 22}],
    "workloads": [{"name": "sum", "command": ["python3", "sum.py"], "job": {}}],
}
SHARED = {"orchestration", "network/10.9.0.0-24", "plugin/meter"}


def of_board(name: str) -> set[str]:
    return {f"{what}/{name}" for what in ("port/10.9.0.0-24", "inject/meter", "expose/ssh-22", "run/sum")}


@pytest.fixture(scope="module")
async def bed(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CrossplaneBed]:
    tools = asked_for()
    if missing := tools.missing((*CONTROL_PLANE[:3], PROGRAM)):
        pytest.skip(f"{', '.join(missing)} missing on this machine: make testbed PARTS=crossplane")
    async with crossplane_bed(tmp_path_factory.mktemp("crossplane"), tools) as bed:
        yield bed


@pytest.fixture
async def space(bed: CrossplaneBed, request: pytest.FixtureRequest) -> str:
    name = request.node.name.removeprefix("test_").replace("_", "-")[:60].rstrip("-")
    await bed.api.apply(kinds.NAMESPACE.new(name), manager="test")
    return name


async def test_one_claim_gives_all_and_takes_all_along(bed: CrossplaneBed, space: str) -> None:
    for name, site in (("b1", "roof"), ("b2", "roof"), ("b3", "cellar")):
        await bed.board(name, space, site=site)
    claim = await bed.claim("city", space, **WISH)
    made = await bed.has(space, SHARED | of_board("b1") | of_board("b2"))
    for obj in made.values():
        (owner,) = obj["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("ContinuumSlice", claim["metadata"]["uid"], True)
        assert obj["metadata"]["labels"]["crossplane.io/composite"] == "city"
    waiting = await bed.says(CONTINUUM_SLICE, "city", space, "Ready", "False", "Unready resources")
    assert condition(waiting, "Synced")["status"] == "True"  # type: ignore[index]
    await bed.says(CONTINUUM_SLICE, "city", space, "BoardsReady", "False", "0 of 2 boards ready; b1: ")

    await bed.make_ready(
        space,
        Port={"atProvider": {"ip": "10.9.0.7"}},
        ExposedService={"atProvider": {"host": "hub", "publicPort": 50001}},
    )
    ready = await bed.says(CONTINUUM_SLICE, "city", space, "Ready", "True")
    assert ready["status"]["boards"] == {"found": 2, "online": 0, "ready": 2}
    assert ready["status"]["members"][1] == {
        "name": "b2", "ready": True, "online": False, "ip": "10.9.0.7", "services": {"ssh": "hub:50001"},
    }  # fmt: skip
    for type_ in ("BoardsReady", "NetworkReady", "ClustersReady"):
        assert condition(ready, type_)["status"] == "True"  # type: ignore[index]

    await bed.api.delete(CONTINUUM_SLICE, "city", space)
    await bed.gone(CONTINUUM_SLICE, "city", space)
    await bed.has(space, ())
    assert len((await bed.api.list(BOARD, space)).items) == 3


async def test_boards_come_and_go_by_their_labels(bed: CrossplaneBed, space: str) -> None:
    await bed.claim("city", space, **WISH)
    await bed.says(CONTINUUM_SLICE, "city", space, "BoardsReady", "False", "no Board of this namespace has the labels")
    await bed.board("b1", space, site="roof")
    first = await bed.has(space, SHARED | of_board("b1"))
    await bed.board("b2", space, site="roof")
    await bed.has(space, SHARED | of_board("b1") | of_board("b2"))
    await bed.board("b2", space, site="cellar")
    left = await bed.has(space, SHARED | of_board("b1"))
    assert {name: obj["metadata"]["uid"] for name, obj in left.items()} == {
        name: obj["metadata"]["uid"] for name, obj in first.items()
    }, "what stays is not made again"


async def test_what_somebody_changes_or_deletes_comes_back(bed: CrossplaneBed, space: str) -> None:
    await bed.board("b1", space, site="roof")
    await bed.claim("city", space, **WISH)
    made = await bed.has(space, SHARED | of_board("b1"))
    injection = made["inject/meter/b1"]["metadata"]["name"]
    await bed.api.delete(PLUGIN, made["plugin/meter"]["metadata"]["name"], space)
    await bed.api.patch(PLUGIN_INJECTION, injection, {"spec": {"forProvider": {"state": "Stopped"}}}, space)

    async def drifted() -> str | None:
        found = await bed.composed(space)
        state = found["inject/meter/b1"]["spec"]["forProvider"]["state"]
        return None if "plugin/meter" in found and state == "Running" else f"it is {state}, there is {sorted(found)}"

    await until(drifted, "the slice", PATIENCE)


async def test_what_cannot_change_is_replaced(bed: CrossplaneBed, space: str) -> None:
    await bed.board("b1", space, site="roof")
    await bed.claim("city", space, **WISH)
    before = await bed.has(space, SHARED | of_board("b1"))
    changed = {**WISH, "network": {"cidr": "10.8.0.0/24"}, "expose": [{"name": "ssh", "port": 2222}]}
    await bed.claim("city", space, **changed)
    others = {"network/10.8.0.0-24", "port/10.8.0.0-24/b1", "expose/ssh-2222/b1"}
    same = {"orchestration", "plugin/meter", "inject/meter/b1", "run/sum/b1"}
    after = await bed.has(space, others | same)
    assert all(after[name]["metadata"]["uid"] == before[name]["metadata"]["uid"] for name in same)
    network = after["port/10.8.0.0-24/b1"]["spec"]["forProvider"]["networkRef"]["name"]
    assert network == after["network/10.8.0.0-24"]["metadata"]["name"]


async def test_a_function_that_was_away_forgets_nothing(bed: CrossplaneBed, space: str) -> None:
    await bed.board("b1", space, site="roof")
    await bed.claim("city", space, **WISH)
    before = await bed.has(space, SHARED | of_board("b1"))
    server = bed.servers[definition.FUNCTION_NAME]
    await server.stop(0)
    await bed.board("b2", space, site="roof")
    await bed.start(definition.FUNCTION_NAME, run, f"127.0.0.1:{server.port}")
    after = await bed.has(space, SHARED | of_board("b1") | of_board("b2"))
    assert all(after[name]["metadata"]["uid"] == obj["metadata"]["uid"] for name, obj in before.items())


async def test_crossplane_may_compose_our_kinds_by_the_label_of_a_role(bed: CrossplaneBed, space: str) -> None:
    role = definition.rights()
    kind = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
    await bed.api.delete(kind, role["metadata"]["name"])
    try:
        # The aggregated role follows after a moment; until then the next claim would still be fulfilled.
        await until(lambda: _may(bed, kind, "virtualnetworks", False), "Crossplane's role", PATIENCE)
        await bed.claim("late", space, boards=WISH["boards"], network=WISH["network"])
        await bed.says(CONTINUUM_SLICE, "late", space, "Synced", "False", "forbidden")
    finally:
        await bed.api.apply(role, manager="test")
    await bed.says(CONTINUUM_SLICE, "late", space, "Synced", "True")
    await bed.has(space, {"network/10.9.0.0-24"})


async def _may(bed: CrossplaneBed, kind: Kind, plural: str, wanted: bool) -> str | None:
    rules = (await bed.api.get(kind, "crossplane"))["rules"]
    has = any(plural in rule.get("resources", ()) for rule in rules)
    return None if has is wanted else f"it is {has} that it names {plural}"


@pytest.mark.parametrize("what", REFUSED)
async def test_wrong_claims_are_refused_at_once(bed: CrossplaneBed, what: str) -> None:
    spec, words = REFUSED[what]
    with pytest.raises(Invalid) as refused:
        await bed.api.create(CONTINUUM_SLICE.new("wrong", "default", spec=spec))
    assert words in str(refused.value)


async def test_what_only_the_function_sees_is_said_in_the_claim(bed: CrossplaneBed, space: str) -> None:
    named = {"env": "API", "app": "shop", "component": "api"}
    workload = {"name": "w", "command": ["x"], "endpoints": [named]}
    await bed.claim("city", space, boards=WISH["boards"], workloads=[workload])
    await bed.says(CONTINUUM_SLICE, "city", space, "Synced", "False", "no component api of an application shop")
    assert not await bed.composed(space)


def bench(request: Any) -> Any:
    """Somebody else's function: one Plugin, and a status."""
    response = wire.Response()
    response.meta.tag = request.meta.tag
    response.desired.CopyFrom(request.desired)
    composite = wire.plain(request.observed.composite.resource)
    plugin = PLUGIN.new("bench-plugin", spec={"forProvider": {"code": composite["spec"]["code"]}})
    wire.fill(response.desired.resources["plugin"].resource, plugin)
    observed = request.observed.resources
    if "plugin" in observed and condition(wire.plain(observed["plugin"].resource), "Ready"):
        response.desired.resources["plugin"].ready = wire.READY_TRUE
    wire.fill(response.desired.composite.resource, {"status": {"told": "yes"}})
    return response


async def test_anybody_elses_composition_uses_our_kinds(bed: CrossplaneBed, space: str) -> None:
    kind = Kind("bench.example.org", "v1", "Bench", "benches")
    await bed.serve(definition.package_meta(SECOND), bench)
    text = {"type": "string"}
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"code": text}},
            "status": {"type": "object", "properties": {"told": text}},
        },
    }
    version = {"name": "v1", "served": True, "referenceable": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": kind.kind, "plural": kind.plural}
    fields = {"group": kind.group, "names": names, "scope": "Namespaced", "versions": [version]}
    await bed.api.apply(definition.XRD.new(kind.resource, spec=fields), manager="test")
    pipeline = [{"step": "bench", "functionRef": {"name": SECOND}}]
    made_of = {"apiVersion": kind.api_version, "kind": kind.kind}
    fields = {"compositeTypeRef": made_of, "mode": "Pipeline", "pipeline": pipeline}
    await bed.api.apply(definition.COMPOSITION.new("bench", spec=fields), manager="test")

    async def served() -> str | None:
        try:
            await bed.api.apply(kind.new("one", space, spec={"code": "class Worker: ..."}), manager="test")
        except ApiError as error:
            return str(error)
        return None

    await until(served, "the definition of Bench", PATIENCE)
    await bed.says(kind, "one", space, "Ready", "False", "plugin")
    await bed.make_ready(space)
    assert (await bed.says(kind, "one", space, "Ready", "True"))["status"]["told"] == "yes"
    await bed.api.delete(kind, "one", space)
    await bed.gone(PLUGIN, "bench-plugin", space)
