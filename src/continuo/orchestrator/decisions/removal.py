"""What has to go: applications, then links, then clusters; each only when nothing rests on it any more."""

from __future__ import annotations

from continuo.federation.model import LinkPhase
from continuo.orchestrator import naming
from continuo.orchestrator.assess import Assessment, existing_links
from continuo.orchestrator.decisions.applications import app_id, follow_id, leave_id, leaving, offload_id
from continuo.orchestrator.decisions.clusters import delete, step_id
from continuo.orchestrator.decisions.links import link_id, write_of
from continuo.orchestrator.observe import ClusterSeen, Reach, Snapshot
from continuo.orchestrator.orient import AppWanted, Wanted
from continuo.orchestrator.plan import MANAGEMENT, Action, Draft, Plan, Step, Target
from continuo.resources import kinds
from continuo.resources.meta import Object, deleting, labels_of
from continuo.resources.orchestration import AppPhase


def decide_undeploying(draft: Draft, snapshot: Snapshot, wanted: Wanted, assessment: Assessment) -> None:
    """Applications that are no longer declared, or that have another home cluster now.

    One that has no part elsewhere runs in its new home before it leaves the old one; else its namespace is in the way.
    """
    for cluster, seen in snapshot.clusters.items():
        if seen.workload.reach is not Reach.OK:
            continue
        for namespace in seen.owned(kinds.NAMESPACE, snapshot.key):
            if naming.APPLICATION not in labels_of(namespace):
                continue
            app = namespace["metadata"]["name"]  # as its label says, unless somebody edited it
            declared = wanted.apps.get(app)
            if declared is not None and declared.home == cluster:
                continue
            if declared is None:
                _undeploy(draft, seen, app, namespace, app_id(app))
            elif not _in_the_way(snapshot, seen, namespace, declared):
                _follow(draft, seen, namespace, declared, assessment)
            else:
                _undeploy(draft, seen, app, namespace, leave_id(app, cluster))


def _in_the_way(snapshot: Snapshot, seen: ClusterSeen, namespace: Object, declared: AppWanted) -> bool:
    """Whether the namespace in the old home has to go before there can be one in the new home: Liqo makes twins of it."""
    app, caches, home = declared.spec.name, seen.workload.caches, snapshot.clusters.get(declared.home)
    offloaded = caches is not None and caches.get(kinds.NAMESPACE_OFFLOADING, "offloading", app) is not None
    there = home.workload.caches.get(kinds.NAMESPACE, app) if home is not None and home.workload.caches else None
    twin = there is not None and naming.owner(there) != snapshot.key
    return offloaded or twin or bool(declared.remotes) or deleting(namespace)


def _follow(
    draft: Draft, seen: ClusterSeen, namespace: Object, declared: AppWanted, assessment: Assessment
) -> None:  # fmt: skip
    """Leave the old home once everything runs in the new one."""
    app = declared.spec.name
    identity = follow_id(app, seen.name)
    states = (assessment.components.get((app, name)) for name in declared.components)
    if all(state is not None and state.phase is AppPhase.RUNNING for state in states):
        _undeploy(draft, seen, app, namespace, identity)
    else:
        told = f"it to run on {declared.home} before it leaves {seen.name}"
        draft.add(Step(identity, Action.WAIT, Target("application", app), waits_for=told))


def _undeploy(draft: Draft, seen: ClusterSeen, app: str, namespace: Object, identity: str) -> None:
    """Withdraw the namespace from other clusters first, then delete it with everything in it."""
    target = Target("application", app)
    caches = seen.workload.caches
    offloading = caches.get(kinds.NAMESPACE_OFFLOADING, "offloading", app) if caches is not None else None
    if offloading is not None and not deleting(offloading):
        draft.add(Step(f"{identity}/withdraw", Action.RECALL, target, (delete(seen.name, offloading),),
                       detail=f"withdraw namespace {app} of {seen.name}"))  # fmt: skip
    elif offloading is not None:
        draft.add(Step(f"{identity}/withdraw", Action.WAIT, target, waits_for="the namespace to be withdrawn"))
    needs = (f"{identity}/withdraw",) if offloading is not None else ()
    if deleting(namespace):
        draft.add(Step(identity, Action.WAIT, target, (), needs, waits_for=_until_gone(namespace)))
    else:
        writes = (delete(seen.name, namespace),)
        draft.add(Step(identity, Action.DELETE, target, writes, needs, f"namespace {app} of {seen.name}"))


def _until_gone(namespace: Object) -> str:
    """What a namespace that is being deleted still waits for, in its own words."""
    told = f"namespace {namespace['metadata']['name']} to be deleted"
    for entry in (namespace.get("status") or {}).get("conditions") or ():
        if entry.get("status") == "True" and entry.get("message"):
            return f"{told} ({entry['message']})"
    return told


def decide_unlinking(draft: Draft, snapshot: Snapshot, wanted: Wanted, assessment: Assessment) -> None:
    """Links that nobody wants any more, once no application is offloaded through them."""
    undeclared_but_needed = [
        link for link in wanted.links.values() if not link.declared and link.pair in existing_links(snapshot)
    ]
    for link in undeclared_but_needed:
        apps = ", ".join(link.needed_by)
        if _was_declared(snapshot, link.pair):
            draft.refuse(
                Target("link", f"{link.pair[0]}/{link.pair[1]}"), "InUse",
                f"the link between {link.pair[0]} and {link.pair[1]} is kept, because {apps} "
                f"span{'s' if len(link.needed_by) == 1 else ''} it; move the components to one cluster first",
            )  # fmt: skip
    for pair, progress in assessment.links.items():
        if pair in wanted.links or progress.phase is LinkPhase.GONE:
            continue
        needs = _rests_on(draft, snapshot)
        writes = tuple(write_of(snapshot, write) for write in progress.writes)
        target = Target("link", f"{pair[0]}/{pair[1]}")
        if writes:
            detail = f"{progress.steps_done} of {progress.steps_total} stages done"
            draft.add(Step(link_id(pair), Action.UNLINK, target, writes, needs, detail, progress.message))
        else:
            draft.add(Step(link_id(pair), Action.WAIT, target, (), needs, waits_for=progress.message))


def _was_declared(snapshot: Snapshot, pair: tuple[str, str]) -> bool:
    """Whether the user took it out of `spec.links`: then it is worth saying that it stays.

    Only a connected link tells: before and after, its reason says how far it is, whether it was declared or implied.
    """
    for entry in (snapshot.object.get("status") or {}).get("links") or ():
        if naming.pair(*entry["clusters"]) == pair:
            reason = entry.get("reason")
            return bool(reason == "InUse" or (entry.get("phase") == "Connected" and reason != "Implied"))
    return False


def _rests_on(draft: Draft, snapshot: Snapshot) -> tuple[str, ...]:
    """The open steps that have to be over before the link may go: undeploying, withdrawing, moving."""
    found: list[str] = []
    for step in draft.steps:
        if step.target.kind not in ("application", "component"):
            continue
        if (
            step.action in (Action.RECALL, Action.DELETE, Action.MOVE)
            or (step.target.kind == "application" and step.id.endswith(("/withdraw", "/offload")))
            or (step.action is Action.WAIT and _leaving(snapshot, step))
        ):
            found.append(step.id)
    return tuple(dict.fromkeys(found))


def _leaving(snapshot: Snapshot, step: Step) -> bool:
    if step.target.kind != "application":
        return False
    return leaving(step.target.name, step.id) or not _declared(snapshot, step.target.name)


def _declared(snapshot: Snapshot, app: str) -> bool:
    return not snapshot.deleting and any(a.name == app for a in snapshot.orchestration.spec.apps)


def decide_deleting(draft: Draft, snapshot: Snapshot, wanted: Wanted, assessment: Assessment) -> None:
    """Clusters that are no longer declared, once nothing of ours is on them and no link ends there."""
    for name, seen in snapshot.clusters.items():
        if name in wanted.clusters:
            continue
        target = Target("cluster", name)
        if seen.adopted:
            _leave(draft, snapshot, seen, assessment)
            continue
        guests = _guests(seen, snapshot)
        if guests:
            draft.refuse(
                target, "InUse",
                f"cluster {name} is kept, because orchestration {', '.join(guests)} still uses it; "
                "move or delete its applications and take the cluster out of it first",
            )  # fmt: skip
            continue
        cluster = seen.cluster
        if cluster is None:
            _leftovers(draft, seen)
        elif deleting(cluster):
            draft.add(Step(step_id(name), Action.WAIT, target, waits_for=assessment.clusters[name].message))
        else:
            needs = _still_on(draft, snapshot, name, assessment)
            # What was not looked at yet, after a restart, may hold links and applications that have to go first.
            unseen = f"a look at {', '.join(snapshot.unseen)}" if snapshot.unseen else ""
            writes = () if unseen else (delete(MANAGEMENT, cluster),)
            draft.add(Step(step_id(name), Action.DELETE, target, writes, needs,
                           f"Cluster {seen.full_name} and its machines", unseen))  # fmt: skip


def _leave(draft: Draft, snapshot: Snapshot, seen: ClusterSeen, assessment: Assessment) -> None:
    """An adopted cluster is left, not deleted: nothing of ours may stay on it."""
    target = Target("cluster", seen.name)
    if seen.workload.reach is not Reach.OK and seen.kubeconfig is not None:
        why = seen.workload.message or "connecting to its API"
        told = f"a look at what is left on it ({why}); delete Secret {seen.secret} to leave it as it is"
        draft.add(Step(step_id(seen.name), Action.WAIT, target, waits_for=told))
    elif needs := _still_on(draft, snapshot, seen.name, assessment):
        draft.add(Step(step_id(seen.name), Action.WAIT, target, (), needs, waits_for="what is on it to go"))


def left_clusters(snapshot: Snapshot, plan: Plan) -> frozenset[str]:
    """The adopted clusters that are no longer declared and on which nothing of ours is left."""
    declared = {spec.name for spec in snapshot.orchestration.spec.clusters}
    open_steps = {step.id for step in plan.steps}
    return frozenset(
        name
        for name, seen in snapshot.clusters.items()
        if seen.adopted and name not in declared and not snapshot.deleting and step_id(name) not in open_steps
    )


def _guests(seen: ClusterSeen, snapshot: Snapshot) -> list[str]:
    """Other orchestrations that use the cluster: they adopted it, or have applications on it."""
    found = {f"{namespace}/{name}" for namespace, name in seen.guests}
    caches = seen.workload.caches
    for namespace in caches.list(kinds.NAMESPACE) if caches is not None and seen.cluster is not None else ():
        labels = labels_of(namespace)
        owner = (labels.get(naming.ORCHESTRATION_NAMESPACE), labels.get(naming.ORCHESTRATION))
        if labels.get(naming.APPLICATION) and owner[1] and owner != snapshot.key:
            found.add(f"{owner[0]}/{owner[1]}")
    return sorted(found)


def _still_on(draft: Draft, snapshot: Snapshot, name: str, assessment: Assessment) -> tuple[str, ...]:
    """The open steps that empty the cluster: links that end there, applications that leave it or move off it."""
    needs = [link_id(pair) for pair in assessment.links if name in pair]
    # A remote cluster of an application is emptied before its link goes, so that only homes count here.
    seen = snapshot.clusters[name]
    at_home = {space["metadata"]["name"] for space in seen.owned(kinds.NAMESPACE, snapshot.key)}
    for step in draft.steps:
        leaving = step.target.kind == "application" and (
            (step.target.name in at_home and not _declared(snapshot, step.target.name))
            or step.id in (leave_id(step.target.name, name), follow_id(step.target.name, name))
            or step.id.endswith("/withdraw")
        )
        moving = step.target.kind in ("component", "application") and (
            step.action in (Action.MOVE, Action.RECALL) or step.id == offload_id(step.target.name)
        )
        if leaving or moving:
            needs.append(step.id)
    return tuple(dict.fromkeys(need for need in needs if need in draft))


def _leftovers(draft: Draft, seen: ClusterSeen) -> None:
    """What Cluster API's own deletion leaves: HelmChartProxies, templates without an owner."""
    left = [obj for obj in seen.made.values() if not deleting(obj)]
    if left:
        writes = tuple(delete(MANAGEMENT, obj) for obj in left)
        draft.add(Step(step_id(seen.name), Action.DELETE, Target("cluster", seen.name), writes,
                       detail=f"{len(left)} remaining objects"))  # fmt: skip
    elif seen.made:
        draft.add(Step(step_id(seen.name), Action.WAIT, Target("cluster", seen.name),
                       waits_for="its remaining objects to go"))  # fmt: skip
