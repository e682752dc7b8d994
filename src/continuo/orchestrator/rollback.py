"""Rollbacks: how applications last ran well is kept, and returned to when what was declared anew fails.

An application with a `rollback-policy` that runs as declared is kept as a ControllerRevision beside its orchestration: the
newest three of each. When the task that deploys a later declaration fails, a Decision says so and the Adjustment returns the
application, or the components that do not run, until something else is declared. The declaration itself is never touched.

The first half is pure.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from continuo.events import outbox
from continuo.events.ledger import Ledger, family
from continuo.events.types import Outcome
from continuo.kube.port import Cluster
from continuo.orchestrator import naming
from continuo.orchestrator.effective import declaration_digest, revision_app
from continuo.orchestrator.loops.enact import OPEN, Desk
from continuo.orchestrator.observe import Caches, Snapshot
from continuo.resources import kinds
from continuo.resources.errors import ApiError, NotFound
from continuo.resources.loop import DecidedAction, DecisionSpec, Operation, RollbackAdjustment
from continuo.resources.meta import Key, Object, key_of, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, AppPhase, AppSpec, RollbackPolicy, encode
from continuo.resources.orchestration_tasks import OutboxEntry, TaskStage, TaskStatus

log = logging.getLogger(__name__)

KEPT = 3
"""Revisions of one application."""
REASON = "RolledBack"


@dataclass(frozen=True, slots=True)
class Revision:
    """An application as it ran well."""

    name: str
    number: int
    app: AppSpec


def revisions_of(found: Iterable[Object]) -> dict[str, list[Revision]]:
    """By application, oldest first, of an orchestration's ControllerRevisions."""
    by_app: dict[str, list[Revision]] = {}
    for obj in found:
        app = revision_app(obj)
        if app is not None and labels_of(obj).get(naming.APPLICATION) == app.name:
            number = int(obj.get("revision") or 0)
            revision = Revision(obj["metadata"]["name"], number, app)
            by_app.setdefault(app.name, []).append(revision)
    return {app: sorted(revisions, key=lambda r: (r.number, r.name)) for app, revisions in by_app.items()}


def active(snapshot: Snapshot) -> dict[str, list[RollbackAdjustment]]:
    """The rollbacks that count: what is declared is still what failed."""
    declared, generation = {app.name: app for app in snapshot.declared.apps}, snapshot.orchestration.generation
    found: dict[str, list[RollbackAdjustment]] = {}
    for entry in snapshot.adjustment.rollbacks if not snapshot.deleting else ():
        app = declared.get(entry.app)
        item = app if app is None or entry.component is None else _component(app, entry.component)
        if item is not None and declaration_digest(item, generation) == entry.failed:
            found.setdefault(entry.app, []).append(entry)
    return found


def _component(app: AppSpec, name: str) -> Any:
    return next((component for component in app.components if component.name == name), None)


def to_keep(snapshot: Snapshot, status: Object, ledger: Ledger, kept: Mapping[str, list[Revision]]) -> list[Object]:
    """Revisions to be written: of applications that run just as they are declared, and were not kept so yet."""
    rolled, busy = active(snapshot), {task.target for task in ledger.tasks}
    running = {entry["name"] for entry in status.get("apps") or () if entry["phase"] == AppPhase.RUNNING}
    found: list[Object] = []
    for app in snapshot.declared.apps if not snapshot.deleting else ():
        wanted = app.rollback_policy is not RollbackPolicy.NONE and app.name in running
        if not wanted or app.name in rolled or f"app/{app.name}" in busy:
            continue
        known, digest = kept.get(app.name, []), declaration_digest(app, snapshot.orchestration.generation)
        if not known or known[-1].app != app:
            found.append(_object(snapshot.object, app, digest, 1 + max((r.number for r in known), default=0)))
    return found


def _object(owner: Object, app: AppSpec, digest: str, number: int) -> Object:
    namespace, name = key_of(owner)
    reference = {
        "apiVersion": LOW_LEVEL_ORCHESTRATION.api_version, "kind": LOW_LEVEL_ORCHESTRATION.kind, "name": name,
        "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": False,
    }  # fmt: skip
    labels = {**naming.owner_labels(namespace, name), naming.APPLICATION: app.name}
    metadata = {"labels": labels, "ownerReferences": [reference]}
    full = f"{name}-{app.name}"[:240] + f"-{digest[:10]}"
    return kinds.CONTROLLER_REVISION.new(full, namespace, metadata=metadata, data=encode(app), revision=number)


def to_forget(snapshot: Snapshot, kept: Mapping[str, list[Revision]]) -> list[str]:
    """Revisions that nobody needs: all but the newest of each application, and all of those that are no longer declared."""
    declared = {app.name for app in snapshot.declared.apps}
    named = {entry.revision for entry in snapshot.adjustment.rollbacks}
    surplus = [r for app, revisions in kept.items() for r in (revisions[:-KEPT] if app in declared else revisions)]
    return [revision.name for revision in surplus if revision.name not in named]


def decide_rollback(
    snapshot: Snapshot, status: Object, ledger: Ledger, told: Iterable[OutboxEntry], kept: Mapping[str, list[Revision]]
) -> DecisionSpec | None:
    """What to return to how it ran, and why: of the first application whose deployment failed and that can return."""
    rolled, failed = active(snapshot), {task.target: task for task in ledger.tasks if _failed(task)}
    for app in snapshot.declared.apps if not (snapshot.deleting or snapshot.declared.paused) else ():
        task = failed.get(f"app/{app.name}")
        if task is None or app.rollback_policy is RollbackPolicy.NONE or app.name in rolled:
            continue
        effective = next((a for a in snapshot.orchestration.spec.apps if a.name == app.name), app)
        if task.wish != declaration_digest(effective, snapshot.orchestration.generation):
            continue  # it failed as it was before; what is declared now has its own chance
        actions = _actions(app, status, kept.get(app.name, []))
        if actions:
            why = f"{app.name} failed: {_why(task, told)}"
            return DecisionSpec(
                orchestration=snapshot.key[1], source="rollback", actions=actions,
                reason=f"{why[:800]}; it runs as it last ran well until something else is declared",
            )  # fmt: skip
    return None


def _failed(task: TaskStatus) -> bool:
    return task.stage is not TaskStage.OPEN and task.target.startswith("app/") and family(task.operation) == ""


def _why(task: TaskStatus, told: Iterable[OutboxEntry]) -> str:
    """What its event said."""
    said = [e.error for e in told if e.id.startswith(f"{task.id}/") and outbox.outcome_of(e) == Outcome.FAILED]
    return said[-1] if said else "it did not run in time"


def _actions(app: AppSpec, status: Object, kept: list[Revision]) -> tuple[DecidedAction, ...]:
    before = next((revision for revision in reversed(kept) if revision.app != app), None)
    if before is None:
        return ()
    if app.rollback_policy is RollbackPolicy.APP:
        return (DecidedAction(op=Operation.ROLL_BACK, app=app.name, revision=before.name),)
    entry: Object = next((entry for entry in status.get("apps") or () if entry["name"] == app.name), {})
    down = [c["name"] for c in entry.get("components") or () if c["phase"] != AppPhase.RUNNING]
    return tuple(
        DecidedAction(op=Operation.ROLL_BACK, component=f"{app.name}/{name}", revision=before.name)
        for name in down
        if (was := _component(before.app, name)) is not None
        and (now := _component(app, name)) is not None
        and was != now
    )


def marked(status: Object, snapshot: Snapshot) -> Object:
    """The status, where an application runs as it last ran well: that is said, and is not what was declared."""
    rolled = active(snapshot)
    if not rolled:
        return status
    apps = [_marked(entry, rolled[entry["name"]]) if entry["name"] in rolled else entry for entry in status["apps"]]
    status = {**status, "apps": apps}
    if status["phase"] != "Ready":
        return status
    told = next(entry["message"] for entry in apps if entry.get("reason") == REASON)
    before = {entry["type"]: entry for entry in (snapshot.object.get("status") or {}).get("conditions") or ()}
    conditions = [_not_ready(entry, before.get("Ready"), told) for entry in status["conditions"]]
    return {**status, "phase": "Degraded", "conditions": conditions}


def _marked(entry: Object, rolled: list[RollbackAdjustment]) -> Object:
    if entry["phase"] != AppPhase.RUNNING:
        return entry
    what = ", ".join(sorted(e.component for e in rolled if e.component is not None)) or "it"
    message = (
        f"what is declared failed (Decision {rolled[0].decision}); {what} runs as in ControllerRevision "
        f"{rolled[0].revision} until something else is declared"
    )
    return {**entry, "reason": REASON, "message": message}


def _not_ready(condition: Object, before: Object | None, message: str) -> Object:
    if condition["type"] != "Ready":
        return condition
    since = condition["lastTransitionTime"]
    if before is not None and before.get("status") == "False":
        since = before["lastTransitionTime"]
    return {**condition, "status": "False", "reason": REASON, "message": message, "lastTransitionTime": since}


class Rollbacks:
    """Keeps and returns; looks at an orchestration after its status was written."""

    def __init__(self, management: Cluster, caches: Caches, desk: Desk) -> None:
        self._management, self._caches, self._desk = management, caches, desk

    async def after(self, snapshot: Snapshot, written: Object, now: datetime.datetime) -> None:
        """Keep what runs well, and decide about what failed; an Adjustment that is written says to look again."""
        if all(app.rollback_policy is RollbackPolicy.NONE for app in snapshot.declared.apps) and not self._held(
            snapshot.key
        ):
            return
        ledger, told = outbox.read(written)
        status, kept = written.get("status") or {}, revisions_of(self._held(snapshot.key))
        for obj in to_keep(snapshot, status, ledger, kept):
            await self._management.apply(obj, manager=naming.MANAGER)
        for name in to_forget(snapshot, kept):
            await self._forget(name, snapshot.key)
        decision = decide_rollback(snapshot, status, ledger, told, kept)
        if decision is not None:
            made = await self._desk.record(snapshot, decision, now)
            if made.stage in OPEN:
                log.warning("%s/%s: %s", *snapshot.key, decision.reason)
                await self._desk.carry_out(snapshot, made, now)

    def _held(self, key: Key) -> list[Object]:
        return list(self._caches.owned(kinds.CONTROLLER_REVISION, key))

    async def _forget(self, name: str, key: Key) -> None:
        try:
            await self._management.delete(kinds.CONTROLLER_REVISION, name, key[0])
        except NotFound:
            return
        except ApiError as error:
            log.warning("ControllerRevision %s stays for now: %s", name, error)
