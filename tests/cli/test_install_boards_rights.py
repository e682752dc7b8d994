"""The rights that `continuo install --boards` prints, for real: the provider works on them, and needs them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

import pytest

from continuo.cli.boards_manifests import PROVIDER, Boards
from continuo.cli.manifests import Setup, install_objects
from continuo.embedded.http.rbac import Attributes, Authorizer
from continuo.embedded.http.wire import User
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.boards import (
    BOARD,
    CLUSTER_PROVIDER_CONFIG,
    FLEET,
    MANAGED_KINDS,
    PLUGIN,
    PLUGIN_INJECTION,
    PROVIDER_CONFIG,
    SERVICE,
)
from continuo.resources.errors import Forbidden
from iot.provider.bench import Bench, provider_world

pytestmark = pytest.mark.anyio
ACCOUNT = f"system:serviceaccount:continuo-system:{PROVIDER}"
GROUPS = ("system:serviceaccounts", "system:authenticated")
SETUP = Setup("continuo:test", operator=False, boards=Boards(hub=False))
Right = tuple[str, str, str]
"""Verb, group, resource."""
RARE = {
    ("patch", "events"),  # one that happens again
    ("patch", "providerconfigusages"),  # who names another configuration
    ("get", "namespaces"),  # one that is being deleted while something is still to be done in it
    ("create", "leases"), ("get", "leases"), ("update", "leases"),  # only with several replicas
}  # fmt: skip


class Confined(Bench):
    """The provider is the account that was installed."""

    def client(self) -> Any:
        if self.provider is None and not getattr(self, "installed", False):
            return super().client()
        return connect(self._server.kubeconfig(self._server.url("m"), "m", ACCOUNT, GROUPS), name="m")


async def install(cluster: KubeCluster) -> None:
    for obj in install_objects(SETUP, crds=False):
        await cluster.apply(obj, manager="installer")


def granted() -> set[Right]:
    return {
        (verb, each["apiGroups"][0], what)
        for obj in install_objects(SETUP, crds=False)
        if obj["metadata"]["name"] == PROVIDER
        for each in obj.get("rules") or ()
        for verb in each["verbs"]
        for what in each["resources"]
    }


async def life(bench: Bench) -> None:
    """A board in a fleet with a plugin out of a ConfigMap, under a configuration of its own; then nothing of it."""
    await bench.secret("token", credentials="secret")
    spec = {
        "endpoint": bench.fake.url, "authType": "token",
        "credentials": {"source": "Secret", "secretRef": {"name": "token"}},
    }  # fmt: skip
    await bench.cluster.create(PROVIDER_CONFIG.new("own", "default", spec=spec))
    own = {"providerConfigRef": {"kind": "ProviderConfig", "name": "own"}}
    code = kinds.CONFIG_MAP.new("code", "default", data={"meter.py": "one = 1\n"})
    await bench.cluster.create(code)
    board = await bench.board("pump", labels={"site": "north"})
    await bench.make(FLEET, "north", {"memberSelector": {"matchLabels": {"site": "north"}}})
    await bench.make(PLUGIN, "meter", {"codeFrom": {"configMapKeyRef": {"name": "code", "key": "meter.py"}}})
    await bench.make(PLUGIN_INJECTION, "meter", {"fleetRef": {"name": "north"}, "pluginRef": {"name": "meter"}})
    await bench.make(SERVICE, "ssh", {"port": 22}, **own)
    await bench.until_ready(BOARD, "pump")
    await bench.until_ready(PLUGIN_INJECTION, "meter")
    await bench.until_ready(SERVICE, "ssh")
    # what somebody changed in the connection Secret is put right
    await bench.cluster.patch(kinds.SECRET, "pump-board", {"data": {"uuid": "AAAA"}}, "default")
    bench.fake.connect(board, online=False)
    await bench.until_ready(BOARD, "pump", status="False")
    bench.fake.connect(board)
    await bench.until_ready(BOARD, "pump")
    for kind, name in (
        (PLUGIN_INJECTION, "meter"),
        (PLUGIN, "meter"),
        (FLEET, "north"),
        (BOARD, "pump"),
        (SERVICE, "ssh"),
    ):
        await bench.cluster.delete(kind, name, "default")
    for kind in (PLUGIN_INJECTION, PLUGIN, FLEET, BOARD, SERVICE):
        await bench.until(kind, lambda found: not found)


async def test_boards_are_kept_on_these_rights_and_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[Right] = set()
    refused: set[Right] = set()
    decide = Authorizer.allowed

    def noted(self: Authorizer, user: User, wanted: Attributes) -> bool:
        said = decide(self, user, wanted)
        if user.name == ACCOUNT and not wanted.path:
            (used if said else refused).add((wanted.verb, wanted.group, wanted.resource))
        return said

    monkeypatch.setattr(Authorizer, "allowed", noted)
    async with provider_world(started=False) as bench:
        await install(bench.cluster)
        bench.__class__ = Confined
        cast(Any, bench).installed = True
        await bench.start()
        await life(bench)
        await bench.kill()
    assert refused == set()
    # Each kind is treated alike, so what was seen of one counts for all.
    managed = {each.kind.plural for each in MANAGED_KINDS}
    alike = {
        (verb, group, f"{plural}{what[len(seen):]}")
        for verb, group, what in used for seen in [what.partition("/")[0]] if seen in managed for plural in managed
    }  # fmt: skip
    unused = {(verb, what) for verb, _, what in granted() - used - alike}
    assert unused <= RARE


async def denied(*calls: Awaitable[object]) -> None:
    for call in calls:
        with pytest.raises(Forbidden):
            await call


async def test_the_provider_may_do_nothing_else() -> None:
    async with provider_world(started=False) as bench:
        await install(bench.cluster)
        bench.__class__ = Confined
        cast(Any, bench).installed = True
        account = bench.client()
        await denied(
            account.create(BOARD.new("b", "default", spec={"forProvider": {}})),
            account.delete(BOARD, "b", "default"),
            account.delete(kinds.SECRET, "s", "default"),
            account.list(kinds.CONFIG_MAP, "default"),
            account.list(kinds.POD),
            account.create(kinds.NAMESPACE.new("x")),
            account.create(CLUSTER_PROVIDER_CONFIG.new("x", spec={"endpoint": "http://hub"})),
            account.delete(CLUSTER_PROVIDER_CONFIG, "default"),
            account.list(kinds.CUSTOM_RESOURCE_DEFINITION),
        )
        await account.close()
