"""The rights that `continuo install --broker` prints, for real: they are enough for the broker, nobody else may."""

from __future__ import annotations

import pytest

from continuo.broker.selector.selector import Selector
from continuo.cli.manifests import BROKER, Setup, install_objects
from continuo.expressions.program import CONDITION, compile_program
from continuo.kube.client import KubeCluster
from continuo.kube.config import connect
from continuo.resources import kinds
from continuo.resources.errors import Forbidden
from continuo.resources.meta import Object

from .bench import ANYTHING, SPACE, Bench, broker
from .test_creation import copy

pytestmark = pytest.mark.anyio
ACCOUNT = f"system:serviceaccount:continuo-system:{BROKER}"


def client(bench: Bench, user: str, *groups: str) -> KubeCluster:
    return connect(bench.host.engine.kubeconfig("broker", user=user, groups=groups), name="broker")


@pytest.mark.parametrize(
    ("user", "subresource", "node", "allowed"),
    [
        (ACCOUNT, None, "node-p1", True),
        (ACCOUNT, "binding", None, True),
        ("acme", None, None, True),
        ("acme", None, "node-p1", False),
        ("acme", "binding", None, False),
    ],
)
def test_only_the_broker_places_pods_of_consumers(
    user: str, subresource: str | None, node: str | None, *, allowed: bool
) -> None:
    objects = install_objects(Setup("continuo:test", broker=True), crds=False)
    (guard,) = (obj for obj in objects if obj["kind"] == "ValidatingAdmissionPolicy")
    request: Object = {"userInfo": {"username": user}} | ({"subResource": subresource} if subresource else {})
    pod: Object = {"spec": {"nodeName": node} if node else {}}
    rules = [
        compile_program(rule["expression"], ("request", "object"), CONDITION, {})
        for rule in guard["spec"]["validations"]
    ]
    assert all(rule.condition({"request": request, "object": pod}) for rule in rules) is allowed


async def test_the_broker_places_pods_with_its_rights() -> None:
    async with broker() as bench:
        for obj in install_objects(Setup("continuo:test", broker=True), crds=False):
            if not obj["kind"].startswith("ValidatingAdmissionPolicy"):  # which the embedded engine does not serve
                await bench.cluster.apply(obj, manager="installer")
        await bench.provider("p1")
        await bench.policy(authorization=ANYTHING)
        await bench.consumer()
        own, consumer = client(bench, ACCOUNT, "system:serviceaccounts"), client(bench, "acme", "system:masters")
        try:
            bench.connect = lambda: client(bench, ACCOUNT, "system:serviceaccounts")
            selector: Selector = await bench.start()
            await own.create(selector.placement(copy("placed")))
            await consumer.create(copy("bound"))
            await bench.until(lambda: bench.where() == {"p1": 2})
            with pytest.raises(Forbidden):
                await own.create(kinds.DEPLOYMENT.new("any", SPACE, spec={}))
        finally:
            await own.close()
            await consumer.close()
