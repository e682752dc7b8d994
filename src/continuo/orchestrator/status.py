"""The status: the whole truth about every item, derived from the same assessment and plan that act. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from continuo.federation.model import LinkPhase as Progress
from continuo.federation.model import LinkProgress
from continuo.orchestrator import naming
from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.capacity import amounts, near, spelled
from continuo.orchestrator.decisions.applications import app_id, component_id, offload_id
from continuo.orchestrator.decisions.clusters import package_id, step_id
from continuo.orchestrator.decisions.links import link_id
from continuo.orchestrator.linkable import FREE
from continuo.orchestrator.loops.model import Capacity
from continuo.orchestrator.measuring.breaches import tell_breaches
from continuo.orchestrator.measuring.figures import LinkFigures, told_at
from continuo.orchestrator.observe import Snapshot, Waiting
from continuo.orchestrator.orient import AppWanted, ClusterWanted, ComponentWanted, Wanted
from continuo.orchestrator.plan import Action, Plan, Step
from continuo.orchestrator.render import clusters as cluster_render
from continuo.orchestrator.render.exposure import urls, without_certificate
from continuo.orchestrator.settings import Settings
from continuo.orchestrator.states import ClusterState
from continuo.resources.meta import Object
from continuo.resources.orchestration import AppPhase, ClusterPhase, LinkPhase, LoopStage, PackagePhase, Phase

REASON_LIMIT, MESSAGE_LIMIT, ITEMS_LIMIT = 128, 1024, 128
"""What the schema of the status allows, or less: a status that the API server refuses would never be told."""

MANY, SHORT = 256, 160
"""So many items, with long messages, would not fit into one object: from there on they are cut to this."""

NEAR_MS = 0.02
"""Milliseconds that are no difference."""

Failures = Mapping[str, str]
"""Step id -> the sentence of its last failed try."""


def derive_status(
    snapshot: Snapshot,
    wanted: Wanted,
    assessment: Assessment,
    plan: Plan,
    failures: Failures,
    settings: Settings,
    now: str,
    loops: LoopsSeen | None = None,
) -> Object:
    """The new `status`. `now` (RFC 3339) becomes the transition time of what changed its phase."""
    seen = loops or LoopsSeen()
    old = snapshot.object.get("status") or {}
    told = _Told(plan, failures)
    found = [_cluster(name, snapshot, wanted, assessment, told, seen.lost) for name in snapshot.clusters]
    clusters = [entry for entry in found if entry is not None]
    links = [_link(pair, progress, wanted, assessment, told) for pair, progress in sorted(assessment.links.items())]
    apps = [_app(app, snapshot, assessment, told, settings) for app in wanted.apps.values()] + _leaving(plan, wanted)
    clusters, links, apps = clusters[:ITEMS_LIMIT], links[: 2 * ITEMS_LIMIT], apps[:ITEMS_LIMIT]
    _shorten(clusters, "packages")
    _shorten(apps, "components")
    _keep_times(old.get("clusters"), clusters, now)
    for entry, before in _matched(old.get("clusters"), clusters):
        _keep_times((before or {}).get("packages"), entry.get("packages") or [], now)
    _keep_times(old.get("links"), links, now)
    for entry, before in _matched(old.get("links"), links):
        for figure in ("latency", "jitter"):
            if before is not None and _about_equal(before.get(figure), entry.get(figure)):
                entry[figure] = before[figure]
    _keep_times(old.get("apps"), apps, now)
    for entry, before in _matched(old.get("apps"), apps):
        _keep_times((before or {}).get("components"), entry.get("components") or [], now)
    tell_breaches(snapshot.orchestration.spec, apps, links, datetime.datetime.fromisoformat(now))
    status: Object = {
        "observedGeneration": snapshot.orchestration.generation,
        "summary": {
            "clusters": _count(clusters, ClusterPhase.READY, len(wanted.clusters)),
            "links": _count(links, LinkPhase.CONNECTED, len(wanted.links)),
            "apps": _count(apps, AppPhase.RUNNING, len(wanted.apps)),
        },
        "clusters": clusters,
        "links": links,
        "apps": apps,
    }
    if seen.entries or old.get("loops"):
        status["loops"] = list(seen.entries)
    _conclude(status, snapshot, plan, failures, old.get("conditions") or [], now)
    return _calm(old, status)


def _calm(old: Object, status: Object) -> Object:
    """The old figures of capacity where nothing else is to be told, and they changed only a little."""
    kept = [
        {**entry, "requested": before["requested"]} if before is not None and _fuller(before, entry) else entry
        for entry, before in _matched(old.get("clusters"), status["clusters"])
    ]
    calm = {**status, "clusters": kept}
    return calm if all(old.get(key) == value for key, value in calm.items()) else status


def _fuller(before: Object, entry: Object) -> bool:
    if "requested" not in before or "requested" not in entry:
        return False
    whole = amounts(entry.get("allocatable") or {})
    return near(amounts(before["requested"]), amounts(entry["requested"]), whole)


@dataclass(frozen=True, slots=True)
class LoopsSeen:
    """What the loops' look adds to a status."""

    entries: tuple[Object, ...] = ()
    """One for each policy."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Since when clusters have not answered."""


class _Told:
    """What plan and failures say about an item, by step id."""

    def __init__(self, plan: Plan, failures: Failures) -> None:
        self.failures = failures
        self.refusals = {str(refusal.target): refusal for refusal in plan.refusals}
        self.steps: dict[str, Step] = {}
        for step in plan.steps:
            self.steps.setdefault(step.id, step)

    def failed(self, *ids: str) -> str | None:
        return next((self.failures[step] for step in ids if step in self.failures), None)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _shorten(entries: list[Object], parts: str) -> None:
    """Cut the messages of many items, and of their parts, further."""
    if sum(1 + len(entry.get(parts) or ()) for entry in entries) <= MANY:
        return
    for entry in entries:
        for item in (entry, *(entry.get(parts) or ())):
            if "message" in item:
                item["message"] = _cut(item["message"], SHORT)


def _entry(name: str, phase: str, reason: str, message: str, **more: Any) -> Object:
    told = {"reason": _cut(reason, REASON_LIMIT), "message": _cut(message, MESSAGE_LIMIT)}
    fields = {"name": name, "phase": str(phase), **told, **more}
    return {key: value for key, value in fields.items() if value not in (None, "", [])}


def _cluster(
    name: str, snapshot: Snapshot, wanted: Wanted, assessment: Assessment, told: _Told, lost: Mapping[str, str]
) -> Object | None:
    state, declared = assessment.clusters[name], wanted.clusters.get(name)
    seen, linking = snapshot.clusters[name], assessment.linking.get(name, FREE)
    if declared is None and not seen.made and not (seen.adopted and step_id(name) in told.steps):
        return None
    phase, reason, message = state.phase, state.reason, state.message
    failure = told.failed(step_id(name), f"{step_id(name)}/change", f"{step_id(name)}/workers")
    refusal = told.refusals.get(f"cluster {name}")
    step = told.steps.get(step_id(name))
    if failure is not None:
        reason, message = "WriteFailed", failure
        phase = ClusterPhase.FAILED if phase is ClusterPhase.PENDING else phase
    elif refusal is not None:
        reason, message = refusal.reason, refusal.message
    elif declared is None and phase is not ClusterPhase.DELETING:
        phase, reason = ClusterPhase.DELETING, "WaitingForDependants"
        message = _waits(step, told) or "the cluster will be deleted"
    elif step is not None and step.action is Action.CREATE and step.waits_for:
        reason, message = "Queued", f"waiting for {step.waits_for}"
    return _entry(
        name, phase, reason, message,
        endpoint=state.endpoint, version=state.version or _declared_version(declared, state),
        controlPlaneReady=state.control_plane[0] or None, controlPlaneDesired=state.control_plane[1] or None,
        workersReady=state.workers[0] or None, workersDesired=state.workers[1] or None,
        **_room(seen.workload.capacity), lostSince=lost.get(name), packages=_packages(name, assessment, told),
        unlinkable=linking.unlinkable, sharedLiqoId=linking.shared_id,
    )  # fmt: skip


def _room(capacity: Capacity | None) -> Object:
    """What a cluster can take, and what was asked of it; nothing of one without nodes."""
    if capacity is None or not capacity.nodes:
        return {}
    told = {"allocatable": spelled(capacity.allocatable), "requested": spelled(capacity.requested)}
    return {**told, "cordoned": True} if capacity.cordoned else told


def _declared_version(declared: ClusterWanted | None, state: ClusterState) -> str | None:
    if declared is None or declared.spec.existing or state.phase is not ClusterPhase.READY:
        return None
    return cluster_render.version_of(declared.spec)


def _waits(step: Step | None, told: _Told) -> str:
    if step is None:
        return ""
    open_needs = [need for need in step.needs if need in told.steps]
    if open_needs:
        return "waiting for " + ", ".join(dict.fromkeys(str(told.steps[need].target) for need in open_needs))
    return step.waits_for


def _packages(name: str, assessment: Assessment, told: _Told) -> list[Object]:
    entries: list[Object] = []
    for package, state in assessment.packages.get(name, {}).items():
        failure = told.failed(package_id(name, package), f"{package_id(name, package)}/pool")
        if failure is not None:
            entries.append(_entry(package, PackagePhase.FAILED, "WriteFailed", failure))
        else:
            entries.append(_entry(package, state.phase, state.reason, state.message))
    return entries


_LINK_PHASES = {
    Progress.PENDING: LinkPhase.PENDING,
    Progress.PEERING: LinkPhase.PEERING,
    Progress.CONNECTED: LinkPhase.CONNECTED,
    Progress.DEGRADED: LinkPhase.DEGRADED,
    Progress.FAILED: LinkPhase.FAILED,
    Progress.UNPEERING: LinkPhase.UNPEERING,
    Progress.GONE: LinkPhase.UNPEERING,
}


def _link(pair: tuple[str, str], progress: LinkProgress, wanted: Wanted, assessment: Assessment, told: _Told) -> Object:
    phase, reason, message = _LINK_PHASES[progress.phase], progress.reason, progress.message
    failure = told.failed(link_id(pair))
    refusal = told.refusals.get(f"link {pair[0]}/{pair[1]}")
    if failure is not None:
        reason, message = "WriteFailed", failure
    elif refusal is not None:
        reason, message = refusal.reason, refusal.message
    elif phase is LinkPhase.CONNECTED:
        link = wanted.links.get(pair)
        if link is not None and not link.declared:
            reason, message = "Implied", f"made because {', '.join(link.needed_by)} needs it"
    elif phase in (LinkPhase.PENDING, LinkPhase.UNPEERING) and (waits := _waits(told.steps.get(link_id(pair)), told)):
        message = waits
    figures = assessment.figures.get(pair, LinkFigures())
    message = message or figures.note
    told_by = {"reason": _cut(reason, REASON_LIMIT), "message": _cut(message, MESSAGE_LIMIT)}
    fields = {"clusters": list(pair), "phase": str(phase), **told_by, **_figures(figures)}
    return {key: value for key, value in fields.items() if value not in (None, "")}


def _figures(figures: LinkFigures) -> Object:
    """What was measured, with the time of what is measured rarely."""
    jitter, at = figures.jitter_ms, figures.bandwidth_at
    return {
        "latency": figures.latency,
        "jitter": f"{jitter:.3f}ms" if jitter is not None else None,
        "bandwidthBps": figures.bandwidth_bps,
        "bandwidthMeasuredAt": told_at(at) if at is not None and figures.bandwidth_bps is not None else None,
    }


def _app(app: AppWanted, snapshot: Snapshot, assessment: Assessment, told: _Told, settings: Settings) -> Object:
    name = app.spec.name
    components = [_component(app, component, snapshot, assessment, told, settings) for component in app.components]
    phase, reason, message = _app_phase(app, components, told)
    return _entry(
        name,
        phase,
        reason,
        message,
        owner=app.spec.owner,
        namespace=name,
        cluster=app.home,
        components=components,
    )


def _app_phase(app: AppWanted, components: list[Object], told: _Told) -> tuple[AppPhase, str, str]:
    name = app.spec.name
    refusal = told.refusals.get(f"application {name}")
    if refusal is not None:
        return AppPhase.FAILED, refusal.reason, refusal.message
    failure = told.failed(app_id(name), offload_id(name))
    if failure is not None:
        return AppPhase.FAILED, "WriteFailed", failure
    not_running = [entry for entry in components if entry["phase"] != AppPhase.RUNNING]
    if not not_running and not any(step in told.steps for step in (app_id(name), offload_id(name))):
        return AppPhase.RUNNING, "Running", ""
    offload = told.steps.get(offload_id(name))
    if offload is not None and not not_running:
        return AppPhase.OFFLOADING, "Offloading", _waits(offload, told) or offload.detail
    order = (
        AppPhase.FAILED, AppPhase.DEGRADED, AppPhase.MOVING, AppPhase.UPDATING, AppPhase.OFFLOADING,
        AppPhase.DEPLOYING, AppPhase.UNDEPLOYING, AppPhase.PENDING,
    )  # fmt: skip
    worst = min(not_running, key=lambda entry: order.index(entry["phase"]), default=None)
    if worst is None:
        return AppPhase.PENDING, "Waiting", _waits(told.steps.get(app_id(name)), told)
    return AppPhase(worst["phase"]), worst.get("reason", ""), f"{worst['name']}: {worst.get('message', '')}"


def _component(
    app: AppWanted, name: str, snapshot: Snapshot, assessment: Assessment, told: _Told, settings: Settings
) -> Object:
    component = app.components[name]
    state = assessment.components[(app.spec.name, name)]
    identity = component_id(app.spec.name, name)
    phase, reason, message, until = state.phase, state.reason, state.message, None
    refusal = told.refusals.get(f"component {app.spec.name}/{name}")
    failure = told.failed(identity)
    step = told.steps.get(identity)
    if failure is not None:
        phase, reason, message = AppPhase.FAILED, "WriteFailed", failure
    elif refusal is not None:
        phase, reason, message = AppPhase.FAILED, refusal.reason, refusal.message
    elif not component.cluster:
        waits_for = snapshot.waiting.get(f"{app.spec.name}/{name}", Waiting("Placing", "waiting for a place"))
        reason, message, until = waits_for.reason, waits_for.message, waits_for.until
    elif phase is AppPhase.PENDING and step is not None and (waits := _waits(step, told)):
        offloading = any(need.startswith("link/") or need == offload_id(app.spec.name) for need in step.needs)
        phase = AppPhase.OFFLOADING if offloading else AppPhase.PENDING
        reason, message = "Waiting", waits
    elif phase is AppPhase.RUNNING:
        message = (
            message or without_certificate(component.spec) or _away(f"{app.spec.name}/{name}", component, snapshot)
        )
    found = [{"name": url.name, "url": url.url} for url in urls(app.spec, component.spec, settings)]
    return _entry(
        name, phase, reason, message, cluster=component.cluster, ready=f"{state.ready}/{component.spec.replicas}",
        decideBy=until, urls=found,
    )  # fmt: skip


def _away(path: str, component: ComponentWanted, snapshot: Snapshot) -> str:
    """Where a component belongs that is elsewhere for a while."""
    for entry in snapshot.adjustment.places:
        if entry.component == path and entry.cluster == component.cluster and entry.home:
            return f"away from its home {entry.home} since {entry.since}"
    return ""


def _leaving(plan: Plan, wanted: Wanted) -> list[Object]:
    """Applications that are no longer declared but not gone yet."""
    found: dict[str, Object] = {}
    for step in plan.steps:
        name = step.target.name
        if step.target.kind == "application" and name not in wanted.apps and name not in found:
            message = step.waits_for or step.detail
            found[name] = _entry(name, AppPhase.UNDEPLOYING, "Removing", message, namespace=name)
    return list(found.values())


def _about_equal(old: str | None, new: str | None) -> bool:
    """Whether a new figure is worth no write: Liqo measures all the time, and within a quarter it is the same.

    Nor are a few hundredths of a millisecond, which is all the jitter that most links have.
    """
    if not old or not new:
        return False
    values = [re.fullmatch(r"([0-9.]+)(ms|µs|us|s)", text) for text in (old, new)]
    if values[0] is None or values[1] is None or values[0][2] != values[1][2]:
        return False
    first, second = float(values[0][1]), float(values[1][1])
    return abs(first - second) <= max(0.25 * max(first, second), NEAR_MS if values[0][2] == "ms" else 0.0)


def _identity(entry: Object) -> str:
    return entry.get("name") or "/".join(naming.pair(*entry["clusters"]))


def _matched(before: list[Object] | None, entries: list[Object]) -> list[tuple[Object, Object | None]]:
    known = {_identity(entry): entry for entry in before or ()}
    return [(entry, known.get(_identity(entry))) for entry in entries]


def _keep_times(before: list[Object] | None, entries: list[Object], now: str) -> None:
    """Transition times change only with the phase."""
    for entry, old in _matched(before, entries):
        same = old is not None and old.get("phase") == entry["phase"]
        entry["lastTransitionTime"] = (old or {}).get("lastTransitionTime") or now if same else now


def _count(entries: list[Object], phase: str, total: int) -> str:
    return f"{sum(entry['phase'] == phase for entry in entries)}/{total}"


def _conclude(
    status: Object, snapshot: Snapshot, plan: Plan, failures: Failures, before: list[Object], now: str
) -> None:
    """The conditions and the overall phase."""
    not_ready = [
        (kind, entry)
        for kind, good in (("clusters", "Ready"), ("links", "Connected"), ("apps", "Running"))
        for entry in status[kind]
        if entry["phase"] != good
    ]
    ready = not not_ready and not plan.refusals and not plan.steps
    stuck = [refusal.message for refusal in plan.refusals] + sorted(failures.values())
    told = f"{_identity(not_ready[0][1])}: {not_ready[0][1].get('message', '')}" if not_ready else ""
    message = stuck[0] if stuck else told
    if snapshot.deleting:
        phase, reason = Phase.DELETING, "Deleting"
    elif ready:
        phase, reason = Phase.READY, "AllReady"
    elif any(entry["phase"] == "Failed" for _, entry in not_ready) or stuck:
        phase, reason = Phase.FAILED if _all_failed(status) else Phase.DEGRADED, "ItemsFailed"
    elif any(entry["phase"] == "Degraded" for _, entry in not_ready):
        phase, reason = Phase.DEGRADED, "ItemsDegraded"
    else:
        phase, reason = (
            Phase.PROGRESSING,
            f"{not_ready[0][0].capitalize()}NotReady" if not_ready else "Changing",
        )
    status["phase"] = str(phase)
    reconciling = bool(plan.steps) or snapshot.deleting
    working = "; ".join(f"{step.action} {step.target}" for step in plan.steps[:5])
    status["conditions"] = [
        _condition(before, "Ready", ready, reason, message, snapshot, now),
        _condition(before, "Reconciling", reconciling, "Working" if reconciling else "Settled", working, snapshot, now),
        _condition(before, "Stalled", bool(stuck), "NeedsAttention" if stuck else "None", "; ".join(stuck),
                   snapshot, now),
        *_of_loops(status, snapshot, before, now),
    ]  # fmt: skip


def _of_loops(status: Object, snapshot: Snapshot, before: list[Object], now: str) -> list[Object]:
    """Conditions that there are only once they were true: whether everything is paused, whether loops are stuck."""
    known = {entry.get("type") for entry in before}
    paused, found = snapshot.declared.paused, []
    if paused or "Paused" in known:
        told = "nothing is changed or repaired, and no loop acts, until spec.paused is false" if paused else ""
        found.append(_condition(before, "Paused", paused, "Paused" if paused else "Working", told, snapshot, now))
    stalled = [entry for entry in status.get("loops") or () if entry["stage"] == LoopStage.STALLED]
    if stalled or "LoopsStalled" in known:
        told = "; ".join(f"{entry['name']}: {entry.get('message', '')}" for entry in stalled)
        reason = "NeedsAttention" if stalled else "None"
        found.append(_condition(before, "LoopsStalled", bool(stalled), reason, told, snapshot, now))
    return found


def _all_failed(status: Object) -> bool:
    entries = [*status["clusters"], *status["apps"]]
    return bool(entries) and all(entry["phase"] == "Failed" for entry in entries)


def _condition(
    before: list[Object], type_: str, holds: bool, reason: str, message: str, snapshot: Snapshot, now: str
) -> Object:
    value = "True" if holds else "False"
    old = next((entry for entry in before if entry.get("type") == type_), None)
    since = old["lastTransitionTime"] if old is not None and old.get("status") == value else now
    entry: Object = {
        "type": type_,
        "status": value,
        "reason": reason,
        "observedGeneration": snapshot.orchestration.generation,
        "lastTransitionTime": since,
    }
    if message:
        entry["message"] = _cut(message, 4 * MESSAGE_LIMIT)
    return entry
