"""What goes wrong on the way, over real HTTP: there is exactly one external object, and the object says why it waits."""

from __future__ import annotations

import asyncio

import pytest

from continuo.iot.provider.marks import PENDING
from continuo.resources import kinds
from continuo.resources.boards import (
    BOARD,
    EXTERNAL_NAME,
    FLEET,
    PLUGIN,
    PROVIDER_CONFIG,
    PROVIDER_CONFIG_USAGE,
)
from continuo.resources.meta import Kind, annotations_of, condition, key_of

from .bench import Bench, external, named, provider_world

pytestmark = pytest.mark.anyio
THINGS: list[tuple[Kind, str, dict[str, object]]] = [
    (BOARD, "boards", {}), (FLEET, "fleets", {}), (PLUGIN, "plugins", {"code": "one = 1\n"}),
]  # fmt: skip


def message(bench: Bench, kind: Kind, name: str, type_: str = "Synced") -> str:
    return str((condition(bench.get(kind, name), type_) or {}).get("message") or "")


@pytest.mark.parametrize("fault", ["lost", "500-done", "500", "refuse", "busy"])
@pytest.mark.parametrize(("kind", "path", "fields"), THINGS, ids=[path for _, path, _ in THINGS])
async def test_a_creation_that_fails_leaves_exactly_one(
    kind: Kind, path: str, fields: dict[str, object], fault: str
) -> None:
    async with provider_world() as bench:
        bench.fake.fault("POST", path, fault, times=2)  # type: ignore[arg-type]
        await bench.make(kind, "it", fields)
        await bench.until_ready(kind, "it", type_="Synced")
        await bench.until(kind, lambda found: bool(external(found[0])))
        (row,) = bench.fake.rows[path].values()
        assert bench.external(kind, "it") == row["uuid"]
        assert len(bench.fake.created) == 1
        await bench.cluster.delete(kind, "it", "default")
        await bench.until_gone(kind, "it")
        assert bench.fake.rows[path] == {}


async def test_a_creation_that_somebody_else_began_is_found() -> None:
    """Killed between the answer of the endpoint and writing it down; then another provider comes."""
    async with provider_world(started=False) as bench:
        made = await bench.make(
            PLUGIN, "it", {"code": "one = 1\n"}, annotations={PENDING: "2026-01-01T00:00:00.000000Z"}
        )
        uuid = bench.fake.uuid()
        row = {"uuid": uuid, "name": "it", "code": "Vone = 1\\u000a\np0\n.", "callable": False, "public": False,
               "parameters": {}, "extra": {"k8s-uid": made["metadata"]["uid"]}}  # fmt: skip
        bench.fake.rows["plugins"][uuid] = row
        await bench.start()
        await bench.until_ready(PLUGIN, "it")
        assert bench.external(PLUGIN, "it") == uuid and bench.fake.created == []


async def test_a_taken_name_is_said_and_taken_over_by_nobody() -> None:
    async with provider_world() as bench:
        uuid = bench.fake.uuid()
        bench.fake.rows["plugins"][uuid] = {"uuid": uuid, "name": "it", "code": "Vx\np0\n.", "extra": {}}
        await bench.make(PLUGIN, "it", {"code": "one = 1\n"})
        await bench.until_ready(PLUGIN, "it", type_="Synced", status="False")
        assert "already exists" in message(bench, PLUGIN, "it")
        del bench.fake.rows["plugins"][uuid]
        await bench.until_ready(PLUGIN, "it")


async def test_an_endpoint_that_is_away_is_never_taken_for_empty() -> None:
    async with provider_world() as bench:
        await bench.board("pump")
        await bench.until_ready(BOARD, "pump")
        for fault in ("500", "lost", "busy"):
            bench.fake.fault("GET", "boards.*", fault, times=3)  # type: ignore[arg-type]
        await bench.change(BOARD, "pump", spec={"forProvider": {"type": "lamp"}})
        await bench.until(BOARD, lambda _: next(iter(bench.fake.rows["boards"].values())).get("type") == "lamp")
        assert len(bench.fake.created) == 1


async def test_a_board_that_somebody_removed_is_not_made_anew_unless_that_is_wanted() -> None:
    async with provider_world() as bench:
        uuid = await bench.board("pump")
        await bench.until_ready(BOARD, "pump")
        del bench.fake.rows["boards"][uuid]
        bench.fake.tell("board.deleted", board=uuid)
        await bench.until_ready(BOARD, "pump", status="False")
        assert "was removed at the endpoint" in message(bench, BOARD, "pump", "Ready")
        await bench.change(BOARD, "pump", spec={"forProvider": {"recreate": True}})
        await bench.until(BOARD, lambda found: external(found[0]) not in ("", uuid))
        assert len(bench.fake.rows["boards"]) == 1


async def test_who_only_observes_changes_nothing_and_what_is_to_be_kept_stays() -> None:
    async with provider_world() as bench:
        uuid = bench.fake.uuid()
        row = {"uuid": uuid, "name": "theirs", "code": "c", "status": "online", "type": "gateway", "extra": {},
               "location": [{"longitude": "15.5", "latitude": "38.2", "altitude": "3"}]}  # fmt: skip
        bench.fake.rows["boards"][uuid] = row
        given = dict(row)
        await bench.make(BOARD, "seen", managementPolicies=["Observe"], annotations={EXTERNAL_NAME: uuid})
        await bench.until_ready(BOARD, "seen")
        assert bench.get(BOARD, "seen")["status"]["atProvider"]["name"] == "theirs"
        filling = ["Observe", "LateInitialize"]
        await bench.make(BOARD, "filled", managementPolicies=filling, annotations={EXTERNAL_NAME: uuid})
        await bench.until_ready(BOARD, "filled")
        assert bench.get(BOARD, "filled")["spec"]["forProvider"]["location"]["latitude"] == "38.2"
        await bench.make(BOARD, "nameless", managementPolicies=["Observe"])
        await bench.until_ready(BOARD, "nameless", type_="Synced", status="False")
        assert "crossplane.io/external-name is needed" in message(bench, BOARD, "nameless")
        for name in ("seen", "filled", "nameless"):
            await bench.cluster.delete(BOARD, name, "default")
        await bench.until_gone(BOARD, "seen", "filled", "nameless")
        assert bench.fake.rows["boards"][uuid] == given


async def test_paused_means_paused_and_sets_that_mean_nothing_are_refused() -> None:
    async with provider_world() as bench:
        await bench.make(FLEET, "it", annotations={"crossplane.io/paused": "true"})
        await bench.until_ready(FLEET, "it", type_="Synced", status="False")
        assert (condition(bench.get(FLEET, "it"), "Synced") or {})["reason"] == "ReconcilePaused"
        assert bench.fake.rows["fleets"] == {}
        await bench.change(FLEET, "it", metadata={"annotations": {"crossplane.io/paused": None}})
        await bench.until_ready(FLEET, "it")
        await bench.change(FLEET, "it", spec={"managementPolicies": ["Delete"]})
        await bench.until_ready(FLEET, "it", type_="Synced", status="False")
        assert any(reason == "CannotUseInvalidManagementPolicy" for reason, _ in bench.events())


async def test_without_delete_the_external_object_is_kept_even_when_the_config_is_gone() -> None:
    async with provider_world() as bench:
        await bench.make(FLEET, "it")
        await bench.until_ready(FLEET, "it")
        await bench.change(FLEET, "it", spec={"providerConfigRef": {"name": "nowhere"}})
        await bench.until_ready(FLEET, "it", type_="Synced", status="False")
        assert "ClusterProviderConfig nowhere does not exist" in message(bench, FLEET, "it")
        await bench.cluster.delete(FLEET, "it", "default")
        await bench.change(FLEET, "it", spec={"managementPolicies": ["Observe", "Create", "Update"]})
        await bench.until_gone(FLEET, "it")
        assert len(bench.fake.rows["fleets"]) == 1


async def test_a_config_is_held_while_it_is_used_and_a_namespace_that_goes_cleans_up() -> None:
    async with provider_world() as bench:
        bench.fake.tokens = {"secret-token"}
        await bench.secret("hub", credentials="secret-token")
        credentials = {"source": "Secret", "secretRef": {"name": "hub"}}
        said = {"endpoint": bench.fake.url, "authType": "token", "credentials": credentials}
        await bench.cluster.create(PROVIDER_CONFIG.new("own", "default", spec=said))
        own = {"kind": "ProviderConfig", "name": "own"}
        await bench.make(FLEET, "it", providerConfigRef=own)
        await bench.until_ready(FLEET, "it")
        await bench.until(PROVIDER_CONFIG, lambda found: found[0].get("status", {}).get("users") == 1)
        (usage,) = bench.api.list(PROVIDER_CONFIG_USAGE, "default")
        assert usage["metadata"]["name"] == bench.get(FLEET, "it")["metadata"]["uid"]
        # as the deletion of a namespace does it: everything at once, in any order
        await bench.cluster.delete(kinds.SECRET, "hub", "default")
        await bench.cluster.delete(PROVIDER_CONFIG, "own", "default")
        await bench.kill()
        await bench.start()  # nothing in memory
        await bench.cluster.delete(FLEET, "it", "default")
        await bench.until_gone(FLEET, "it")
        await bench.until_gone(PROVIDER_CONFIG, "own")
        assert bench.fake.rows["fleets"] == {}
        assert [key_of(each) for each in bench.api.list(kinds.SECRET, "default")] == []


async def test_wrong_credentials_and_a_foreign_secret_are_said_and_not_told() -> None:
    async with provider_world() as bench:
        bench.fake.tokens = {"right"}
        await bench.secret("hub", credentials="wr0ng-token")
        said = {"endpoint": bench.fake.url, "authType": "token"}
        mine = {**said, "credentials": {"source": "Secret", "secretRef": {"name": "hub"}}}
        theirs = {**said, "credentials": {"source": "Secret", "secretRef": {"name": "hub", "namespace": "kube-system"}}}
        for name, spec in (("mine", mine), ("theirs", theirs)):
            await bench.cluster.create(PROVIDER_CONFIG.new(name, "default", spec=spec))
            await bench.make(FLEET, name, providerConfigRef={"kind": "ProviderConfig", "name": name})
        await bench.until_ready(FLEET, "mine", "theirs", type_="Synced", status="False")
        assert "Authentication required" in message(bench, FLEET, "mine")
        assert "own namespace" in message(bench, FLEET, "theirs")
        told = [str(bench.api.list(kind)) for kind in (FLEET, PROVIDER_CONFIG, kinds.EVENT)]
        assert not any("wr0ng-token" in each for each in told)
        await bench.secret("hub", credentials="right")
        await bench.change(PROVIDER_CONFIG, "mine", metadata={"labels": {"again": "1"}})
        await bench.until_ready(FLEET, "mine", type_="Synced", status="False")


async def test_a_connection_secret_that_is_removed_comes_back_and_a_foreign_one_is_left() -> None:
    async with provider_world() as bench:
        await bench.board("pump")
        await bench.until_ready(BOARD, "pump")
        code = bench.api.get(kinds.SECRET, "pump-board", "default")["data"]["uuid"]
        await bench.cluster.delete(kinds.SECRET, "pump-board", "default")
        await bench.until(kinds.SECRET, lambda found: any(named(each, "pump-board") for each in found))
        assert bench.api.get(kinds.SECRET, "pump-board", "default")["data"]["uuid"] == code
        await bench.secret("theirs", mine="1")
        await bench.make(BOARD, "other", writeConnectionSecretToRef={"name": "theirs"})
        await bench.until_ready(BOARD, "other", type_="Synced", status="False")
        assert "belongs to somebody else" in message(bench, BOARD, "other")
        assert len(bench.fake.rows["boards"]) == 1


async def test_nobody_writes_what_did_not_change() -> None:
    async with provider_world() as bench:
        await bench.board("pump")
        await bench.until_ready(BOARD, "pump")
        await bench.change(BOARD, "pump", metadata={"annotations": {"crossplane.io/reconcile-requested-at": "1"}})
        await bench.until(BOARD, lambda found: found[0]["status"].get("lastHandledReconcileAt") == "1")
        version = bench.get(BOARD, "pump")["metadata"]["resourceVersion"]
        provider = bench.provider
        assert provider is not None
        before = provider.controllers["boards"].stats.reconciles
        await bench.change(BOARD, "pump", metadata={"annotations": {"crossplane.io/poll-interval": "100ms"}})
        async with asyncio.timeout(10):
            while provider.controllers["boards"].stats.reconciles < before + 5:  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.05)
        after = bench.get(BOARD, "pump")
        assert int(after["metadata"]["resourceVersion"]) == int(version) + 1
        assert annotations_of(after)[EXTERNAL_NAME]
