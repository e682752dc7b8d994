"""Operator and backend as two processes that talk through topics: whole, killed at random, and several backends.

The engine runs here; each of the others is a process of its own. The seed is printed; CONTINUO_SEED repeats a run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from continuo.events.cloudevent import Event
from continuo.events.kafka import KafkaSink
from continuo.events.kafka_settings import KafkaSettings
from continuo.orchestrator.backend.messages import outcome_of
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from scenarios.specs import app, cluster, component

from .brokers import Broker
from .events import PATIENCE, event, raw, reading
from .processes import all_bytes, world

pytestmark = pytest.mark.anyio

Make = Callable[..., KafkaSettings]
SEED = int(os.environ.get("CONTINUO_SEED", "20261122"))
KILLS = int(os.environ.get("CONTINUO_KILLS", "10"))
SECRET = "correct-horse-battery-staple"
ENV = {"is-secret": True, "variables": [{"name": "PASSWORD", "value": SECRET}]}
PEER = [{"containerPort": 80, "clusterPort": 80}]


def spec(workers: int = 1) -> Object:
    web, db = component("web", "green", env=ENV, expose=PEER), component("db", "rose", expose=PEER)
    clusters = [cluster("green", packages=["liqo"], worker_machine_count=workers), cluster("rose", packages=["liqo"])]
    return {"clusters": clusters, "links": [["green", "rose"]], "apps": [app("shop", "green", web, db)]}


@pytest.mark.long
async def test_killed_at_random_they_make_it_ready_and_no_secret_is_on_a_topic(make: Make, tmp_path: Path) -> None:
    settings = make()
    print(f"seed {SEED}, {KILLS} kills")
    async with world(tmp_path, settings, ["operator", "backend"], SEED) as there:
        for life in there.lives:
            life.may_die = KILLS // 4
        await there.bed.apply("o", spec())
        await there.bed.ready("o")
        assert there.witness.twice() == []
        for life in there.lives:
            life.may_die = KILLS // 2 - life.kills
        await there.bed.apply("o", spec(workers=3))
        await there.bed.ready("o")
        assert there.witness.twice() == []
        secrets = await there.secrets()
        kills = [life.kills for life in there.lives]
        await there.bed.remove("o")
        assert [api.name for api in there.bed.host.engine.clusters()] == ["management"]
    count, told = await all_bytes(settings)
    print(f"{kills} kills, {count} messages of {len(told)} bytes, {len(secrets)} values looked for")
    assert sum(kills) >= KILLS // 2 and count > 50 and SECRET.encode() in secrets
    assert [value[:8] for value in secrets if value in told] == []


async def test_several_backends_share_the_work(make: Make, broker: Broker, tmp_path: Path) -> None:
    if not broker.shares:
        pytest.skip("librdkafka's mock broker refuses second members of groups; the suite on a real broker has this")
    settings = make()
    async with world(tmp_path, settings, ["operator", "backend", "backend"], SEED) as there:
        for number in range(8):
            await there.bed.apply(f"o{number}", {"clusters": [cluster("green")]})
        for number in range(8):
            await there.bed.ready(f"o{number}")
        assert there.witness.twice() == []
        async with reading(settings, settings.topics.tasks) as found:
            answers = await found.until(lambda events: len(_who(events)) == 2)
    assert len(_who(answers)) == 2


def _who(events: list[Event]) -> set[str]:
    """The backends that carried something out."""
    return {e.source for e in events if outcome_of(e) == "succeeded"}


async def test_commands_of_others_pause_and_resume_and_refused_ones_say_why(make: Make, tmp_path: Path) -> None:
    settings = make()
    async with world(tmp_path, settings, ["operator", "backend"], SEED) as there:
        await there.bed.apply("o", {"clusters": [cluster("green")]})
        await there.bed.ready("o")
        sink = KafkaSink(settings)
        await sink.publish([_command("pause", 1), _command("pause", 2, orchestration="nowhere")])
        await there.bed.until("o", lambda obj: obj["spec"].get("paused") is True)
        (dead,) = await raw(settings, settings.topics.dlq, 1)
        assert dict(dead.headers)["continuo_error"] == b"there is no LowLevelOrchestration default/nowhere"
        assert dict(dead.headers)["ce_id"] == b"task-o/000002"
        await sink.publish([_command("resume", 3)])
        await there.bed.until("o", lambda obj: not obj["spec"].get("paused"))
        await sink.close()
        await there.bed.remove("o")


@pytest.mark.long
async def test_while_the_broker_is_away_the_operator_says_so_and_then_goes_on(
    make: Make, broker: Broker, tmp_path: Path
) -> None:
    settings = make()
    async with world(tmp_path, settings, ["operator", "backend"], SEED) as there:
        await there.bed.apply("a", {"clusters": [cluster("green")]})
        await there.bed.ready("a")
        await broker.down()
        await there.bed.apply("b", {"clusters": [cluster("green")]})
        obj = await there.bed.until("b", lambda obj: "Kafka" in str((obj.get("status") or {}).get("clusters")))
        assert f"Kafka at {broker.address} takes no messages" in str(obj["status"])
        await broker.up()
        async with asyncio.timeout(PATIENCE * 2):
            await there.bed.ready("b")
        assert there.witness.twice() == []
        left = await there.bed.api.list(LOW_LEVEL_ORCHESTRATION)
        assert len(left.items) == 2 and (await there.bed.left(kinds.CLUSTER)) == {"Cluster": ["a-green", "b-green"]}


def _command(verb: str, number: int, **data: str) -> Event:
    said = {"namespace": "default", "orchestration": "o", "expiresAt": "2099-01-01T00:00:00Z", **data}
    return event(number, "o", type=f"dev.continuo.command.{verb}.requested.v1", subject=None, data=said)
