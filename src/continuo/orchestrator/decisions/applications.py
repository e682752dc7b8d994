"""What has to happen to applications and their components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from continuo.orchestrator import naming
from continuo.orchestrator.assess import AppSeen, Assessment, moved_from
from continuo.orchestrator.decisions.clusters import Compare, apply, delete, step_id
from continuo.orchestrator.decisions.links import link_id
from continuo.orchestrator.observe import Waiting
from continuo.orchestrator.orient import AppWanted, ComponentWanted, Wanted
from continuo.orchestrator.plan import Action, Draft, Step, Target, Write
from continuo.orchestrator.render.applications import claim_name
from continuo.resources.meta import Object, deleting, labels_of
from continuo.resources.orchestration import AppPhase


def app_id(app: str) -> str:
    return f"application/{app}"


def leave_id(app: str, cluster: str) -> str:
    """Leaving a former home, before there is a new one."""
    return f"{app_id(app)}/leave/{cluster}"


def follow_id(app: str, cluster: str) -> str:
    """Leaving a former home, after all runs in the new one."""
    return f"{app_id(app)}/leave-after/{cluster}"


def leaving(app: str, step: str) -> bool:
    """Whether a step (id) takes that application off a former home; names may be anything, `leave` too."""
    return step.startswith((leave_id(app, ""), follow_id(app, "")))


def component_id(app: str, component: str) -> str:
    return f"component/{app}/{component}"


def decide_applications(
    draft: Draft,
    wanted: Wanted,
    assessment: Assessment,
    compare: Compare,
    *,
    unseen: Sequence[str] = (),
    waiting: Mapping[str, Waiting] | None = None,
) -> None:
    """Deploy, update, move and recall; a problem of one item leaves the others alone.

    On `unseen` clusters there may be anything: an application begins nowhere while it may still live there.
    """
    held = _in_old_homes(draft)
    for name, app in wanted.apps.items():
        if app.problem is not None:
            draft.refuse(Target("application", name), app.problem.reason, app.problem.message)
            continue
        seen = assessment.apps[name]
        if name in held:
            continue
        if seen.namespace is None and (elsewhere := [cluster for cluster in unseen if cluster != app.home]):
            told = f"a look at {', '.join(elsewhere)}, where the application may still be"
            draft.add(Step(app_id(name), Action.WAIT, Target("application", name), waits_for=told))
            continue
        _shared(draft, app, seen, compare)
        _offloading(draft, app, seen, assessment, compare)
        for component in app.components.values():
            if component.cluster:
                _component(draft, app, component, seen, assessment, compare)
            else:
                _unplaced(draft, app, component, seen, waiting or {})
        _dropped_components(draft, app, seen)
        _copies(draft, app, seen, assessment)


def _copies(draft: Draft, app: AppWanted, seen: AppSeen, assessment: Assessment) -> None:
    """What a lost home had sent here goes as soon as its component runs in the new home: nothing runs twice for long."""

    def runs(component: str) -> bool:
        state = assessment.components.get((app.spec.name, component))
        return state is None or state.phase is AppPhase.RUNNING

    old = [obj for obj in seen.copies if not deleting(obj) and runs(labels_of(obj).get(naming.COMPONENT, ""))]
    if old:
        writes = tuple(delete(app.home, obj) for obj in old)
        told = f"{len(old)} copies on {app.home} of what ran in the former home"
        draft.add(Step(f"{app_id(app.spec.name)}/copies", Action.DELETE, Target("application", app.spec.name), writes,
                       detail=told))  # fmt: skip


def _in_old_homes(draft: Draft) -> frozenset[str]:
    """Applications that still have to leave a former home cluster; their namespace there bars the new one."""
    return frozenset(
        step.target.name
        for step in draft.steps
        if step.target.kind == "application" and step.id.startswith(leave_id(step.target.name, ""))
    )


def _open(draft: Draft, steps: Iterable[str]) -> tuple[str, ...]:
    return tuple(step for step in steps if step in draft)


def _shared(draft: Draft, app: AppWanted, seen: AppSeen, compare: Compare) -> None:
    target = Target("application", app.spec.name)
    if seen.namespace is not None and deleting(seen.namespace):
        draft.add(Step(app_id(app.spec.name), Action.WAIT, target, waits_for="its former namespace to be deleted"))
        return
    changed = [obj for obj in app.shared if compare(obj, _live(seen, obj))]
    if not changed:
        return
    action = Action.CREATE if seen.namespace is None else Action.UPDATE
    writes = _applied(app, changed, seen)
    needs = _open(draft, [step_id(app.home)])
    told = ", ".join(f"{obj['kind']} {obj['metadata']['name']}" for obj in changed[:4])
    draft.add(Step(app_id(app.spec.name), action, target, writes, needs, f"{told} on {app.home}"))


def _live(seen: AppSeen, obj: Object) -> Object | None:
    if obj["kind"] == "Namespace":
        return seen.namespace
    if obj["kind"] == "Deployment":
        return seen.deployments.get(obj["metadata"]["name"])
    return seen.objects.get((obj["kind"], obj["metadata"]["name"]))


def _applied(app: AppWanted, objects: Iterable[Object], seen: AppSeen) -> tuple[Write, ...]:
    """The writes that bring objects about; a Secret cannot change its type, so it is deleted and made anew."""
    writes: list[Write] = []
    for obj in objects:
        live = _live(seen, obj)
        if live is not None and obj["kind"] == "Secret" and live.get("type", "Opaque") != obj["type"]:
            writes.append(delete(app.home, live))
        writes.append(apply(app.home, obj))
    return tuple(writes)


def offload_id(app: str) -> str:
    return f"{app_id(app)}/offload"


def _offloading(draft: Draft, app: AppWanted, seen: AppSeen, assessment: Assessment, compare: Compare) -> None:
    """Extend the namespace to the clusters that are needed; shrink it only when nothing runs there any more."""
    target = Target("application", app.spec.name)
    live = seen.offloading
    if live is not None and deleting(live):
        draft.add(Step(offload_id(app.spec.name), Action.WAIT, target, waits_for="the namespace to be withdrawn"))
        return
    if not app.remotes:
        if live is not None:
            waits = _unsettled(app, assessment)
            writes = () if waits else (delete(app.home, live),)
            draft.add(Step(offload_id(app.spec.name), Action.RECALL, target, writes, detail="withdraw the namespace",
                           waits_for=waits))  # fmt: skip
        return
    there = set(_selected(live)) if live is not None else set()  # a link that broke since holds up no other cluster
    new = [remote for remote in app.remotes if app.remote_ids.get(remote) not in there]
    links = [link_id(naming.pair(app.home, remote)) for remote in new]
    needs = _open(draft, [app_id(app.spec.name), *links])
    detail = f"{app.home} -> {', '.join(app.remotes)}"
    if app.offloading is None:
        waits = "the Liqo identities of its clusters"
        draft.add(Step(offload_id(app.spec.name), Action.OFFLOAD, target, (), needs, detail, waits))
        return
    wanted = _with_old_clusters(app.offloading, live) if _unsettled(app, assessment) else app.offloading
    if compare(wanted, live):
        draft.add(Step(offload_id(app.spec.name), Action.OFFLOAD, target, (apply(app.home, wanted),), needs, detail))
    elif (state := assessment.offloadings[app.spec.name]).phase != "Ready":
        draft.add(Step(offload_id(app.spec.name), Action.WAIT, target, (), needs, waits_for=state.message))


def _unsettled(app: AppWanted, assessment: Assessment) -> str:
    """The components that may still have pods where they used to be."""
    waiting = [
        name
        for name in app.components
        if (state := assessment.components[(app.spec.name, name)]).desired and not state.settled
    ]
    return f"{', '.join(waiting)} to leave the old cluster" if waiting else ""


def _selected(offloading: Object) -> list[str]:
    terms = offloading["spec"].get("clusterSelector", {}).get("nodeSelectorTerms") or []
    return [
        value for term in terms for expr in term.get("matchExpressions") or [] for value in expr.get("values") or []
    ]


def _with_old_clusters(offloading: Object, live: Object | None) -> Object:
    if live is None or set(_selected(live)) <= set(_selected(offloading)):
        return offloading
    values = sorted(set(_selected(live)) | set(_selected(offloading)))
    expression = {**offloading["spec"]["clusterSelector"]["nodeSelectorTerms"][0]["matchExpressions"][0]}
    terms = [{"matchExpressions": [{**expression, "values": values}]}]
    metadata = {**offloading["metadata"], "annotations": {}}
    spec = {**offloading["spec"], "clusterSelector": {"nodeSelectorTerms": terms}}
    return naming.sealed({**offloading, "metadata": metadata, "spec": spec})


def _component(
    draft: Draft,
    app: AppWanted,
    component: ComponentWanted,
    seen: AppSeen,
    assessment: Assessment,
    compare: Compare,
) -> None:
    name = component.spec.name
    target = Target("component", f"{app.spec.name}/{name}")
    identity = component_id(app.spec.name, name)
    if component.problem is not None:
        draft.refuse(target, component.problem.reason, component.problem.message)
        return
    remote = component.cluster != app.home
    before = [app_id(app.spec.name), step_id(app.home)]
    if remote:
        before += [offload_id(app.spec.name), link_id(naming.pair(app.home, component.cluster))]
    needs = _open(draft, before)
    live = seen.deployments.get(name)
    if remote and not component.objects:
        waits = f"the Liqo identity of cluster {component.cluster}"
        draft.add(Step(identity, Action.DEPLOY, target, (), needs, f"on {component.cluster}", waits))
        return
    changed = [obj for obj in component.objects if compare(obj, _live(seen, obj))]
    stale = _stale(component, seen)
    if changed or stale:
        action, detail = _action(app, component, live, changed, compare)
        writes = (*_applied(app, changed, seen), *(delete(app.home, obj) for obj in stale))
        draft.add(Step(identity, action, target, writes, needs, detail))
        return
    state = assessment.components[(app.spec.name, name)]
    if state.phase is not AppPhase.RUNNING:
        draft.add(Step(identity, Action.WAIT, target, waits_for=state.message))


def _unplaced(
    draft: Draft, app: AppWanted, component: ComponentWanted, seen: AppSeen, waiting: Mapping[str, Waiting]
) -> None:
    """A component without a place waits; where it still runs, its cluster waits with it."""
    path = f"{app.spec.name}/{component.spec.name}"
    told = waiting[path].message if path in waiting else "a place"
    action = Action.MOVE if component.spec.name in seen.deployments else Action.WAIT
    draft.add(Step(component_id(app.spec.name, component.spec.name), action, Target("component", path), waits_for=told))


def _action(
    app: AppWanted, component: ComponentWanted, live: Object | None, changed: list[Object], compare: Compare
) -> tuple[Action, str]:
    if live is None:
        others = "" if len(changed) == len(component.objects) else " (its Deployment is gone)"
        return Action.DEPLOY, f"on {component.cluster}{others}"
    old = moved_from(live, component.cluster)
    if old is not None:
        action = Action.RECALL if component.cluster == app.home else Action.MOVE
        return action, f"{old} -> {component.cluster}"
    declared = next(obj for obj in component.objects if obj["kind"] == "Deployment")
    have, want = (live.get("spec") or {}).get("replicas"), declared["spec"]["replicas"]
    if have != want and compare(declared, live) == ("declaration",):
        return Action.SCALE, f"replicas {have} -> {want}"
    told = ", ".join(f"{obj['kind']} {obj['metadata']['name']}" for obj in changed[:4])
    return Action.UPDATE, told or "remove what is no longer declared"


def _stale(component: ComponentWanted, seen: AppSeen) -> list[Object]:
    """Our objects of the component that it no longer declares. Claims hold data: they go only with the component."""
    keep = {(obj["kind"], obj["metadata"]["name"]) for obj in component.objects}
    claims = {claim_name(component.spec, volume.name) for volume in component.spec.storage}
    return [
        obj
        for (kind, name), obj in seen.objects.items()
        if labels_of(obj).get(naming.COMPONENT) == component.spec.name
        and (kind, name) not in keep
        and name not in claims
        and kind != "PersistentVolumeClaim"
        and not deleting(obj)
    ]


def _dropped_components(draft: Draft, app: AppWanted, seen: AppSeen) -> None:
    """Components that are no longer declared: all of their objects go, the data too."""
    gone: dict[str, list[Object]] = {}
    wanted = {(obj["kind"], obj["metadata"]["name"]) for c in app.components.values() for obj in c.objects}
    for obj in (*seen.deployments.values(), *seen.objects.values()):
        component = labels_of(obj).get(naming.COMPONENT)
        if (obj["kind"], obj["metadata"]["name"]) in wanted:
            continue  # whatever its label says now
        if component and component not in app.components and not deleting(obj):
            gone.setdefault(component, []).append(obj)
    for component, objects in sorted(gone.items()):
        writes: tuple[Write, ...] = tuple(delete(app.home, obj) for obj in objects)
        target = Target("component", f"{app.spec.name}/{component}")
        draft.add(
            Step(
                component_id(app.spec.name, component),
                Action.DELETE,
                target,
                writes,
                detail=f"from {app.home}",
            )
        )
