"""What `continuo plan` prints is what the operator then does, object for object."""

from __future__ import annotations

import asyncio

import pytest

from chaos.victims import Witness
from continuo.cli.host import Host
from continuo.orchestrator.naming import APPLIED
from continuo.orchestrator.preview import preview
from continuo.resources.meta import Object, annotations_of, key_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

from .beds import Bed
from .specs import PEER, app, cluster, component

pytestmark = pytest.mark.anyio


@pytest.mark.embedded_only(reason="it looks into the engine for every object")
async def test_the_operator_applies_exactly_the_planned_objects(engine: Host) -> None:
    bed, witness = Bed(engine), Witness(engine)
    await bed.credentials()
    env = {"is-secret": True, "variables": [{"name": "A", "value": "hidden"}]}
    shop = app("shop", "green", component("web", expose=PEER, env=env), component("db", replicas=2))
    spec: Object = {"clusters": [cluster("green")], "apps": [shop]}
    plan = (await preview(bed.api, LOW_LEVEL_ORCHESTRATION.new("o", "default", spec=spec), manager="test")).to_json()
    assert plan["changes"] and witness.made == {}, "planning writes nothing"
    planned = {
        (write["cluster"].replace("green", "o-green"), write["kind"], write["namespace"], write["name"]): write[
            "object"
        ]
        for step in plan["steps"]
        for write in step["writes"]
    }
    operator = engine.operator()
    task = asyncio.create_task(operator.run())
    try:
        await bed.apply("o", spec)
        await bed.ready("o")
        again = await preview(bed.api, LOW_LEVEL_ORCHESTRATION.new("o", "default", spec=spec), manager="test")
        assert again.steps == ()
        made = {(where.rpartition("/")[2], *rest) for where, *rest in witness.made if rest[0] not in _BY_OTHERS}
        assert {_short(key) for key in made} == {_short(key) for key in planned}
        live = {}
        for api in engine.engine.clusters():
            for resource in api.resources():
                for obj in api.list(resource.kind):
                    if APPLIED in annotations_of(obj):
                        live[(obj["kind"], *key_of(obj))] = annotations_of(obj)[APPLIED]
        for (_, kind, namespace, name), obj in planned.items():
            shown = annotations_of(obj)[APPLIED]
            assert shown == ("(hidden)" if kind == "Secret" else live[(kind, namespace, name)]), (kind, name)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await operator.management.close()
        await bed.close()


_BY_OTHERS = ("ReplicaSet", "Pod")


def _short(key: tuple[str, ...]) -> tuple[str, ...]:
    """Without the cluster: the engine's own names of workload clusters carry the namespace."""
    return key[1:]
