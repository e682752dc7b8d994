"""Decisions carried out: first the Decision is written, then the Adjustment that names it, by compare-and-swap.

Whoever is killed in between leaves a Decision without effect. It is based on the version of the Adjustment that it was made
on, so the next round can tell whether it still holds. Nothing here decides.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from continuo.kube.port import Cluster
from continuo.orchestrator import naming
from continuo.orchestrator.loops.laying import Carried, lay, names
from continuo.resources.errors import AlreadyExists, ApiError, Conflict, NotFound
from continuo.resources.loop import (
    ADJUSTMENT,
    DECISION,
    AdjustmentSpec,
    DecisionSpec,
    DecisionStage,
    decode_adjustment,
    decode_decision,
)
from continuo.resources.meta import Key, Kind, Object, key_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, Spec, encode
from continuo.runtime.informer import Informer

log = logging.getLogger(__name__)

KEPT = 50
"""Decisions of an orchestration that stay although nothing names them."""
REMEMBERED = datetime.timedelta(hours=1)
"""For so long all stay in any case: bounds count them."""

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
    """An RFC 3339 time; None where it is none."""
    try:
        return datetime.datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def told(at: datetime.datetime) -> str:
    """A time as Kubernetes writes it."""
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def made(obj: Object) -> Made:
    """A Decision object, read; raises Invalid."""
    status, metadata = obj.get("status") or {}, obj["metadata"]
    at = moment(status.get("decidedAt")) or moment(metadata.get("creationTimestamp"))
    stage = DecisionStage(status["stage"]) if status.get("stage") else None
    return Made(
        metadata["name"], decode_decision(obj), stage, at or datetime.datetime.max.replace(tzinfo=datetime.UTC), obj
    )


class Desk:
    """Writes Decisions and Adjustments of one management cluster."""

    def __init__(self, management: Cluster, informers: Mapping[Kind, Informer]) -> None:
        self._management = management
        self._adjustments, self._decisions = informers[ADJUSTMENT], informers[DECISION]

    def version(self, key: Key) -> str:
        """The version of an orchestration's Adjustment, as decisions name what they are based on."""
        found = self._adjustments.cache.get(key)
        return f"adjustment/{found['metadata']['resourceVersion']}" if found is not None else "adjustment/none"

    def decisions(self, key: Key) -> list[Made]:
        """What was decided about an orchestration, oldest first."""
        found = [made(obj) for obj in self._decisions.cache.by_index("about", key)]
        return sorted(found, key=lambda one: (one.at, one.name))

    async def record(
        self, owner: Object, spec: DecisionSpec, now: datetime.datetime, *, approval: bool = False
    ) -> Made:
        """Write a decision down; the same decision at the same time is the same object."""
        namespace, name = key_of(owner)
        spec = replace(spec, orchestration=name, based_on=spec.based_on or self.version((namespace, name)))
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
        namespace, name = key_of(decision)
        status = {"stage": str(stage), "message": message[:1024] if message else None, **more}
        written = await self._management.patch(
            DECISION, name, {"status": status}, namespace, subresource="status", manager=naming.MANAGER
        )
        self._decisions.learn(written)
        return made(written)

    async def carry_out(
        self, owner: Object, decision: Made, declared: Spec, now: datetime.datetime, message: str = ""
    ) -> bool:
        """Lay a decision's actions over the declaration; False where somebody changed the Adjustment meanwhile."""
        key = key_of(owner)
        known = self._adjustments.cache.get(key)
        generation = int(owner["metadata"].get("generation") or 0)
        carried = Carried(declared, decision.name, told(now), decision.policy, generation)
        spec = lay(decode_adjustment(known), decision.spec.actions, carried)
        try:
            written = await self._write(owner, known, spec)
        except (AlreadyExists, Conflict, NotFound) as error:
            log.info("decision %s has to wait: %s", decision.name, error)
            return False
        self._adjustments.learn(written)
        await self.tell(decision.object, DecisionStage.APPLIED, message or None, decidedAt=told(now))
        return True

    async def _write(self, owner: Object, known: Object | None, spec: AdjustmentSpec) -> Object:
        namespace, name = key_of(owner)
        if known is None:
            obj = ADJUSTMENT.new(name, namespace, metadata=_owned(owner), spec=encode(spec))
            return await self._management.create(obj, manager=naming.MANAGER)
        return await self._management.replace({**known, "spec": encode(spec)}, manager=naming.MANAGER)

    async def forget(self, key: Key, adjustment: AdjustmentSpec, now: datetime.datetime) -> None:
        """Delete decisions that are old and that nothing names."""
        named, known = names(adjustment), self.decisions(key)
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


def _owned(owner: Object) -> Object:
    namespace, name = key_of(owner)
    reference = {
        "apiVersion": LOW_LEVEL_ORCHESTRATION.api_version, "kind": LOW_LEVEL_ORCHESTRATION.kind, "name": name,
        "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": False,
    }  # fmt: skip
    return {"labels": naming.owner_labels(namespace, name), "ownerReferences": [reference]}
