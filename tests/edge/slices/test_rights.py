"""The rights of `continuo install --edge --slices`, for real: a slice comes and goes on them, and all of them are needed."""

from __future__ import annotations

import asyncio

import pytest

from continuo.cli.edge_manifests import EDGE, Edge
from continuo.cli.manifests import Setup, install_objects
from continuo.cli.slice_manifests import lender_rules, linker_rules, network_rules
from continuo.embedded.http.rbac import Attributes, Authorizer
from continuo.embedded.http.wire import User
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.kinds import SOLVER
from edge.rear.rear_world import SPACE, settled
from edge.slices.slice_world import pod_of, shop

USER = f"system:serviceaccount:continuo-system:{EDGE}"
RARE = {
    ("create", "events"), ("patch", "events"),  # what the seller's cluster says of pods
    ("patch", "nodes"),  # whose labels somebody has changed
    *(("create", each) for each in ("limitranges", "resourcequotas", "rolebindings", "roles", "serviceaccounts")),
    *(("create", each.plural) for each in (
        kinds.CONFIGURATION, kinds.GATEWAY_CLIENT, kinds.GATEWAY_SERVER, kinds.PUBLIC_KEY,
    )),
    # Kubernetes asks for it where an apply creates.
    ("get", "pods"),  # of one that was changed meanwhile
}  # fmt: skip


def test_a_slice_is_sold_on_these_rights_and_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    used, refused = set[tuple[str, str]](), set[tuple[str, str, str]]()
    decide = Authorizer.allowed

    def noted(self: Authorizer, user: User, wanted: Attributes) -> bool:
        said = decide(self, user, wanted)
        if user.name == USER and not wanted.path and said:
            used.add((wanted.verb, wanted.resource))
        elif user.name.startswith("system:serviceaccount:") and not wanted.path and not said:
            refused.add((self._api.name, wanted.verb, wanted.resource))
        return said

    monkeypatch.setattr(Authorizer, "allowed", noted)

    async def main() -> None:
        async with shop("provider", "consumer") as made:
            for cluster, edge in (
                (made.provider, Edge("p.example", buy=False, slices=True)),
                (made.consumer, Edge("b.example", sell=False, slices=True)),
            ):
                for obj in install_objects(Setup("continuo:test", operator=False, edge=edge), crds=False):
                    await cluster.apply(obj, manager="installer")
            admin = made.consumer
            accounts = []
            for name in ("provider", "consumer"):
                text = made.made.engine.kubeconfig(name, user=USER, groups=("system:serviceaccounts",))
                accounts.append(connect(text, name=name))
            made.provider, made.consumer = accounts
            async with made.seller() as gateway, made.buyer():
                made.consumer = admin
                await made.wish(gateway)
                await settled(lambda: "a network leads to provider" in made.allocation().get("message", ""))
                node = made.node()
                await admin.create(kinds.SECRET.new("s", node, stringData={"a": "b"}))
                await admin.create(kinds.POD.new("one", node, spec=pod_of(node)))
                await settled(lambda: made.ready("consumer", node) == 1)
                (space,) = made.names("provider", kinds.NAMESPACE, "slice-")
                await settled(lambda: "s" in made.names("provider", kinds.SECRET, namespace=space))
                await admin.delete(SOLVER, "room", SPACE)
                await settled(lambda: not made.remains())
            for each in accounts:
                await each.close()

    asyncio.run(main())
    assert {verb for _, verb, _ in refused} <= {"bind", "escalate"}, "what is given away is what one has"
    own = [each for each in lender_rules()[:6] + linker_rules() + network_rules()]
    granted = {(verb, what) for each in own for verb in each["verbs"] for what in each["resources"]}
    assert granted - used <= RARE


@pytest.mark.parametrize("side", ["provider", "consumer"])
def test_without_these_rights_the_allocation_says_what_is_forbidden(side: str) -> None:
    async def main() -> None:
        async with shop() as made:
            for name, cluster in (("provider", made.provider), ("consumer", made.consumer)):
                edge = Edge("e.example", sell=name == "provider", buy=name == "consumer", slices=name != side)
                for obj in install_objects(Setup("continuo:test", operator=False, edge=edge), crds=False):
                    await cluster.apply(obj, manager="installer")
            admins = made.provider, made.consumer
            accounts = []
            for name in ("provider", "consumer"):
                text = made.made.engine.kubeconfig(name, user=USER, groups=("system:serviceaccounts",))
                accounts.append(connect(text, name=name))
            made.provider, made.consumer = accounts
            async with made.seller() as gateway, made.buyer():
                made.provider, made.consumer = admins
                await made.wish(gateway)
                await settled(lambda: made.allocation(side).get("status") == "Error")
                said = made.allocation(side)["message"]
                assert f'"{USER}" cannot' in said and "`continuo install --edge --slices`" in said
            for each in accounts:
                await each.close()

    asyncio.run(main())
