"""Which decisions stay, and that one which loses a race for the Adjustment is not carried out."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest

from continuo.kube.port import Cluster
from continuo.orchestrator.caches import management_watches
from continuo.orchestrator.loops.enact import KEPT, Desk, made, told
from continuo.resources.errors import Conflict, NotFound, Unreachable
from continuo.resources.loop import ADJUSTMENT, DECISION, AdjustmentSpec
from continuo.resources.meta import Kind, Object, key_of
from continuo.runtime.informer import Informer
from orchestrator.placing.grounds import Ground
from orchestrator.worlds import app, cluster, component

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = ("default", "o")


@dataclasses.dataclass
class Api:
    """Remembers what it was asked to delete."""

    error: Exception | None = None
    asked: list[str] = dataclasses.field(default_factory=list)
    deleted: list[str] = dataclasses.field(default_factory=list)

    async def delete(self, kind: Kind, name: str, namespace: str) -> None:
        assert (kind, namespace) == (DECISION, "default")
        self.asked.append(name)
        if self.error is not None:
            raise self.error
        self.deleted.append(name)


def desk(api: Api, *decisions: Object) -> Desk:
    watches = {watch.kind: watch for watch in management_watches() if watch.kind in (ADJUSTMENT, DECISION)}
    informers = {kind: Informer(cast(Cluster, api), watch) for kind, watch in watches.items()}
    for obj in decisions:
        informers[DECISION].cache.put(key_of(obj), obj)
    return Desk(cast(Cluster, api), informers)


def decision(number: int, at: datetime, stage: str = "Verified") -> Object:
    action = {"op": "scaleComponent", "component": "shop/web", "replicas": 2}
    spec = {"orchestration": "o", "source": "policy/load", "reason": "r", "actions": [action]}
    obj = DECISION.new(f"d{number:03}", "default", spec=spec)
    return {**obj, "status": {"stage": stage, "decidedAt": told(at)}}


def naming(*names: str) -> AdjustmentSpec:
    word = {"since": "2026-01-01T00:00:00Z", "replicas": 2}
    entries = [{"component": f"shop/c{n}", "decision": name, **word} for n, name in enumerate(names)]
    return msgspec.convert({"replicas": entries}, AdjustmentSpec)


def row(count: int, *, ending: timedelta = timedelta(0), **more: Any) -> list[Object]:
    """Decisions a minute apart, the last of them so long ago."""
    return [decision(n, NOON - ending - timedelta(minutes=count - 1 - n), **more) for n in range(count)]


async def test_the_newest_stay_and_those_that_are_named() -> None:
    api = Api()
    old = row(KEPT + 5, ending=timedelta(days=1))
    await desk(api, *old).forget(KEY, naming("d001"), NOON)
    assert api.deleted == ["d000", "d002", "d003", "d004"]


async def test_few_stay_however_old() -> None:
    api = Api()
    await desk(api, *row(KEPT, ending=timedelta(days=99))).forget(KEY, AdjustmentSpec(), NOON)
    assert api.deleted == []


async def test_those_of_the_last_hour_stay_for_bounds_count_them() -> None:
    api = Api()
    await desk(api, *row(KEPT + 20)).forget(KEY, AdjustmentSpec(), NOON)
    assert api.deleted == [f"d{n:03}" for n in range(9)], "of 70 minutes those before the last hour"


@pytest.mark.parametrize("stage", ["Received", "WaitingForApproval"])
async def test_open_ones_stay(stage: str) -> None:
    api = Api()
    waits = decision(999, NOON - timedelta(days=9), stage)
    await desk(api, waits, *row(KEPT)).forget(KEY, AdjustmentSpec(), NOON)
    assert api.deleted == []


@pytest.mark.parametrize(("error", "asked"), [(NotFound("gone"), 2), (Unreachable("away"), 1)])
async def test_what_cannot_be_deleted_stays_for_now(error: Exception, asked: int) -> None:
    api = Api(error)
    await desk(api, *row(KEPT + 2, ending=timedelta(days=1))).forget(KEY, AdjustmentSpec(), NOON)
    assert len(api.asked) == asked, "who does not answer is not asked for the next"


class Contested(Api):
    """Somebody else always writes the Adjustment first."""

    async def create(self, obj: Object, *, manager: str) -> Object:
        raise Conflict("somebody was faster")

    async def patch(self, *_: Any, **__: Any) -> Object:
        raise AssertionError("a decision that was not carried out is not said to be")


async def test_whoever_loses_the_race_for_the_adjustment_has_carried_nothing_out() -> None:
    shop = app("shop", "green", component("web", placement={}))
    snapshot, _ = Ground({"clusters": [cluster("green")], "apps": [shop]}).picture()
    lost = made(decision(1, NOON, "Received"))
    assert not await desk(Contested()).carry_out(snapshot, lost, NOON)
