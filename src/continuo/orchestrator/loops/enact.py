"""Decisions carried out: first the Decision is written, then the Adjustment that names it, by compare-and-swap.

Whoever is killed in between leaves a Decision without effect. It is based on the version of the Adjustment that it was made
on, so the next round can tell whether it still holds. Nothing here decides.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import replace as replace_made

from msgspec.structs import replace

from continuo.kube.port import Cluster
from continuo.orchestrator import naming
from continuo.orchestrator.loops.laying import Carried, lay, names
from continuo.orchestrator.observe import Snapshot, version_of
from continuo.orchestrator.remembered import Remembered
from continuo.resources.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound
from continuo.resources.loop import (
    ADJUSTMENT,
    DECISION,
    AdjustmentSpec,
    DecisionSpec,
    DecisionStage,
    decode_decision,
)
from continuo.resources.meta import Key, Kind, Object, key_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, encode
from continuo.runtime.informer import Informer

log = logging.getLogger(__name__)

KEPT = 50
"""Decisions of an orchestration that stay although nothing names them."""
REMEMBERED = datetime.timedelta(hours=1)
"""For so long all stay in any case: bounds count them."""

AHEAD = datetime.timedelta(minutes=5)
"""So far other clocks may be ahead of ours; what is said to be of later than that was written by a clock that was wrong."""
LONG_AGO = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

OPEN = frozenset({None, DecisionStage.RECEIVED, DecisionStage.WAITING})


@dataclass(frozen=True, slots=True)
class Made:
    """A Decision that exists."""

    name: str
    spec: DecisionSpec
    stage: DecisionStage | None
    at: datetime.datetime
    """When it was made."""
    object: Object

    @property
    def policy(self) -> str:
        """The loop that made it; empty for others."""
        return self.spec.source.removeprefix("policy/") if self.spec.source.startswith("policy/") else ""

    @property
    def external(self) -> bool:
        return self.spec.source.startswith("external/")

    @property
    def message(self) -> str:
        return str((self.object.get("status") or {}).get("message") or "")


def moment(text: str | None) -> datetime.datetime | None:
    """An RFC 3339 time, UTC where it names no zone; None where it is none."""
    try:
        at = datetime.datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return at.replace(tzinfo=datetime.UTC) if at is not None and at.tzinfo is None else at


def told(at: datetime.datetime) -> str:
    """A time as Kubernetes writes it."""
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def made(obj: Object) -> Made:
    """A Decision object, read; raises Invalid."""
    status, metadata = obj.get("status") or {}, obj["metadata"]
    at = moment(status.get("decidedAt")) or moment(metadata.get("creationTimestamp"))
    told_ = status.get("stage")
    stage = DecisionStage(told_) if told_ in set(DecisionStage) else None
    return Made(metadata["name"], decode_decision(obj), stage, at or LONG_AGO, obj)


def dated(decisions: Iterable[Made], now: datetime.datetime) -> list[Made]:
    """The decisions with times that can be: a clock that was ahead must not hold loops up until its time has come."""
    return [one if one.at <= now + AHEAD else replace_made(one, at=_created(one, now)) for one in decisions]


def _created(decision: Made, now: datetime.datetime) -> datetime.datetime:
    """When the API server, whose clock is another one, saw it first."""
    at = moment(decision.object["metadata"].get("creationTimestamp"))
    return at if at is not None and at <= now + AHEAD else LONG_AGO


class Desk:
    """Writes Decisions and Adjustments of one management cluster."""

    def __init__(self, management: Cluster, informers: Mapping[Kind, Informer]) -> None:
        self._management = management
        self._adjustments, self._decisions = informers[ADJUSTMENT], informers[DECISION]
        self._made: dict[Key, Remembered[Made]] = {}

    def decisions(self, key: Key) -> list[Made]:
        """What was decided about an orchestration, oldest first; without what cannot be read."""
        found, objects = [], self._decisions.cache.by_index("about", key)
        for obj in objects:
            with contextlib.suppress(Invalid):
                found.append(self._read(key, obj))
        if key in self._made:
            self._made[key].keep_only({obj["metadata"]["name"] for obj in objects})
        return sorted(found, key=lambda one: (one.at, one.name))

    def _read(self, key: Key, obj: Object) -> Made:
        """`made`, once for each version."""
        return self._made.setdefault(key, Remembered()).of(obj["metadata"]["name"], (obj,), lambda: made(obj))

    def drop(self, key: Key) -> None:
        """The orchestration is gone."""
        self._made.pop(key, None)

    def decided(self, key: Key) -> bool:
        """Whether anything was decided about an orchestration, readable or not."""
        return any(True for _ in self._decisions.cache.by_index("about", key))

    async def refuse_unreadable(self, key: Key) -> None:
        """Say of decisions that somebody wrote past our definition what is wrong with them; nobody else reads them."""
        for obj in list(self._decisions.cache.by_index("about", key)):
            try:
                self._read(key, obj)
            except Invalid as error:
                if (obj.get("status") or {}).get("stage") != DecisionStage.REFUSED:
                    await self._say(obj, {"stage": str(DecisionStage.REFUSED), "message": str(error)[:1024]})

    async def record(
        self, snapshot: Snapshot, spec: DecisionSpec, now: datetime.datetime, *, approval: bool = False
    ) -> Made:
        """Write down a decision that was made on a picture; the same decision at the same time is the same object."""
        owner, (namespace, name) = snapshot.object, snapshot.key
        spec = replace(spec, orchestration=name, based_on=snapshot.version)
        identity = [
            owner["metadata"].get("uid"),
            spec.source,
            spec.based_on,
            [encode(a) for a in spec.actions],
            told(now),
        ]
        obj = DECISION.new(
            f"{name[:200]}-{naming.digest(identity, 10)}", namespace, metadata=_owned(owner), spec=encode(spec)
        )
        try:
            obj = await self._management.create(obj, manager=naming.MANAGER)
        except AlreadyExists:
            obj = await self._management.get(DECISION, obj["metadata"]["name"], namespace)
            if made(obj).stage not in OPEN:
                return made(obj)
        self._decisions.learn(obj)
        return await self.tell(obj, DecisionStage.WAITING, "", decidedAt=told(now)) if approval else made(obj)

    async def tell(self, decision: Object, stage: DecisionStage, message: str | None, **more: object) -> Made:
        """Write how far a decision is."""
        return made(
            await self._say(decision, {"stage": str(stage), "message": message[:1024] if message else None, **more})
        )

    async def _say(self, decision: Object, status: Object) -> Object:
        namespace, name = key_of(decision)
        written = await self._management.patch(
            DECISION, name, {"status": status}, namespace, subresource="status", manager=naming.MANAGER
        )
        self._decisions.learn(written)
        return written

    async def carry_out(self, snapshot: Snapshot, decision: Made, now: datetime.datetime, message: str = "") -> bool:
        """Lay a decision's actions over the declaration; False where somebody changed the Adjustment since the picture."""
        if not await self.put(
            snapshot, lay(snapshot.adjustment, decision.spec.actions, word_of(snapshot, decision, now))
        ):
            return False
        await self.tell(decision.object, DecisionStage.APPLIED, message or None, decidedAt=told(now))
        return True

    async def put(self, snapshot: Snapshot, spec: AdjustmentSpec) -> bool:
        """Write the Adjustment; False where it is another one than in the picture."""
        owner, key = snapshot.object, snapshot.key
        known = self._adjustments.cache.get(key)
        if version_of(owner, known) != snapshot.version:
            log.info("%s/%s: the Adjustment was changed meanwhile: decided anew", *key)
            return False
        try:
            written = await self._write(owner, known, spec)
        except (AlreadyExists, Conflict, NotFound) as error:
            log.info("%s/%s: decided anew: %s", *key, error)
            return False
        self._adjustments.learn(written)
        return True

    async def _write(self, owner: Object, known: Object | None, spec: AdjustmentSpec) -> Object:
        namespace, name = key_of(owner)
        if known is None:
            obj = ADJUSTMENT.new(name, namespace, metadata=_owned(owner), spec=encode(spec))
            return await self._management.create(obj, manager=naming.MANAGER)
        return await self._management.replace({**known, "spec": encode(spec)}, manager=naming.MANAGER)

    async def forget(self, key: Key, adjustment: AdjustmentSpec, now: datetime.datetime) -> None:
        """Delete decisions that are old and that nothing names."""
        named, known = names(adjustment), dated(self.decisions(key), now)
        if len(known) <= KEPT:
            return
        for old in known[:-KEPT]:
            if old.name not in named and old.stage not in OPEN and now - old.at > REMEMBERED:
                try:
                    await self._management.delete(DECISION, old.name, key[0])
                except NotFound:
                    continue  # somebody was faster
                except ApiError as error:
                    log.warning("decision %s stays for now: %s", old.name, error)
                    return


def word_of(snapshot: Snapshot, decision: Made, now: datetime.datetime | None = None) -> Carried:
    """On whose word what a decision says is laid over the declaration."""
    since = told(now) if now is not None else ""
    generation = snapshot.orchestration.generation
    return Carried(snapshot.declared, decision.name, since, decision.policy, generation, snapshot.base)


def _owned(owner: Object) -> Object:
    namespace, name = key_of(owner)
    reference = {
        "apiVersion": LOW_LEVEL_ORCHESTRATION.api_version, "kind": LOW_LEVEL_ORCHESTRATION.kind, "name": name,
        "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": False,
    }  # fmt: skip
    return {"labels": naming.owner_labels(namespace, name), "ownerReferences": [reference]}
