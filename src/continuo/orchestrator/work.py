"""What there is to do, item by item, as the ledger of tasks wants to see it. Pure.

What is done is not mentioned, and so ends its task; what is not done is, whether a step of it is planned or not. Whoever
forgets to mention something says that it is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from continuo.events.ledger import Ledger, Work, family
from continuo.federation.model import LinkPhase
from continuo.orchestrator import naming
from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.decisions.applications import leaving, offload_id
from continuo.orchestrator.effective import declaration_digest
from continuo.orchestrator.observe import Reach, Snapshot
from continuo.orchestrator.orient import AppWanted, Wanted
from continuo.orchestrator.plan import Action, Plan, Step
from continuo.orchestrator.rollback import active
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds
from continuo.resources.meta import Object, labels_of
from continuo.resources.orchestration import AppPhase, PackagePhase, encode
from continuo.resources.orchestration_tasks import TaskStage, TaskStatus

Key = tuple[str, str]
"""(target, family of the operation): what the ledger finds a task by."""

_MOVING = (Action.MOVE, Action.RECALL)
_WAITING = frozenset({"Placing", "WaitingForDecision", "WaitingForApproval", "Unplaced"})
"""Reasons of refusals that pass by themselves."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One round, as far as tasks are concerned."""

    snapshot: Snapshot
    wanted: Wanted
    assessment: Assessment
    plan: Plan
    tried: Mapping[str, tuple[int, str]]
    """Step id -> how often in a row it failed, and why."""
    status: Object
    settings: Settings
    ledger: Ledger


def work_of(seen: Observed) -> tuple[tuple[Work, ...], dict[str, Key]]:
    """Everything that is not done, and to which of it each step of the plan belongs."""
    desk = _Desk(seen)
    works = [
        *_clusters(desk), *_packages(desk), *_links(desk), *_apps(desk), *_components(desk),
    ]  # fmt: skip
    known = {work.key for work in works}
    works += [_withdrawn(task) for task in seen.ledger.tasks if _key(task) not in known and _unwanted(desk, task)]
    works += [_unseen(task) for task in seen.ledger.tasks if _key(task) not in known and _cannot_tell(desk, task)]
    return tuple(works), desk.of_step


def _key(task: TaskStatus) -> Key:
    return task.target, family(task.operation)


class _Desk:
    """The steps of the round, sorted by the task that they belong to."""

    def __init__(self, seen: Observed) -> None:
        self.seen = seen
        self.tasks = {_key(task): task for task in seen.ledger.tasks}
        self.rolled = active(seen.snapshot)
        self.runnable = {step.id for step in seen.plan.runnable()}
        self.refusals = {str(r.target): r for r in seen.plan.refusals}
        self.moving = {step.target.name for step in seen.plan.steps if _own_task(step, _MOVING)}
        self.scaled = {step.target.name for step in seen.plan.steps if _own_task(step, (Action.SCALE,))}
        for target, _ in self.tasks:
            if target.startswith("component/"):
                (self.moving if self.tasks[(target, "")].operation.endswith(".move") else self.scaled).add(
                    target.removeprefix("component/")
                )
        self.steps: dict[Key, list[Step]] = {}
        self.of_step: dict[str, Key] = {}
        for step in seen.plan.steps:
            key = self._belongs(step)
            self.of_step[step.id] = key
            self.steps.setdefault(key, []).append(step)

    def _belongs(self, step: Step) -> Key:
        kind, name = step.target.kind, step.target.name
        if kind == "component":
            if name in self.moving or name in self.scaled:
                return f"component/{name}", ""
            return self._of_app(name.partition("/")[0], step)
        if kind == "application":
            return self._of_app(name, step)
        if kind == "package":
            return f"package/{name}", "removal" if step.action is Action.UNINSTALL else ""
        if kind == "link":
            wanted = tuple(name.split("/")) in self.seen.wanted.links
            return f"link/{name}", "" if wanted else "removal"
        return f"cluster/{name}", "" if name in self.seen.wanted.clusters else "removal"

    def _of_app(self, app: str, step: Step) -> Key:
        if app not in self.seen.wanted.apps:
            return f"app/{app}", "removal"
        if leaving(app, step.id):
            return f"app/{app}", "leave"
        if step.id == offload_id(app):  # the namespace follows a component that moves
            moved = sorted(name for name in self.moving if name.startswith(f"{app}/"))
            if moved and ("app/" + app, "") not in self.tasks:
                return f"component/{moved[0]}", ""
        return f"app/{app}", "rollback" if app in self.rolled else ""

    def work(self, operation: str, target: str, **more: object) -> Work:
        """The work of one key: its steps say whether it begins, what it does and how it fares."""
        key = (target, family(operation))
        steps = self.steps.get(key, [])
        task = self.tasks.get(key)
        tries, failure = max((self.seen.tried[s.id] for s in steps if s.id in self.seen.tried), default=(0, ""))
        begins = [step for step in steps if step.id in self.runnable]
        telling = begins
        if begins and target.startswith("component/"):  # not where its application's namespace extends to
            telling = [step for step in steps if step.target.kind == "component"]
        said = str(more.pop("detail", "")) or next((step.waits_for for step in steps if step.waits_for), "")
        return Work(
            task.operation if task is not None else operation, target, tries=tries, failure=failure, begins=bool(begins),
            detail=next((step.detail for step in telling if step.detail), said), **more,  # type: ignore[arg-type]
        )  # fmt: skip

    def refused(self, target: str) -> str:
        """Why the item will not be done as it is declared; not for what only waits."""
        refusal = self.refusals.get(target)
        return refusal.message if refusal is not None and refusal.reason not in _WAITING else ""


def _own_task(step: Step, actions: tuple[Action, ...]) -> bool:
    return step.target.kind == "component" and step.action in actions


# --- clusters and packages -------------------------------------------------------------------------------------------


def _clusters(desk: _Desk) -> Iterator[Work]:
    seen = desk.seen
    within = seen.settings.cluster_within
    for name, wanted in seen.wanted.clusters.items():
        state, key = seen.assessment.clusters[name], (f"cluster/{name}", "")
        refused = desk.refused(f"cluster {name}")
        if state.usable and state.nodes_ready and key not in desk.steps and not refused:
            continue
        made = seen.snapshot.clusters[name].cluster is not None
        ready, desired = state.control_plane[0] + state.workers[0], state.control_plane[1] + state.workers[1]
        yield desk.work(
            _cluster_operation(desk.steps.get(key, []), made), key[0], within=within, refused=refused,
            done=ready if ready < desired else 0, steps=max(1, desired),  # what shrinks, or is replaced, has no measure
            wish=naming.digest(encode(wanted.spec), 16), detail=state.message,
        )  # fmt: skip
    for name, found in seen.snapshot.clusters.items():
        if name in seen.wanted.clusters:
            continue
        key = (f"cluster/{name}", "removal")
        refused = desk.refused(f"cluster {name}")
        if found.made or key in desk.steps or refused:
            yield desk.work("cluster.delete", key[0], within=within, refused=refused)


def _cluster_operation(steps: list[Step], made: bool) -> str:
    if not made:
        return "cluster.create"
    named = {Action.SCALE: "scale", Action.UPGRADE: "upgrade", Action.REPAIR: "repair"}
    return f"cluster.{next((named[step.action] for step in steps if step.action in named), 'update')}"


def _packages(desk: _Desk) -> Iterator[Work]:
    seen = desk.seen
    settings = seen.settings
    for cluster, states in seen.assessment.packages.items():
        for package, state in states.items():
            key = (f"package/{cluster}/{package}", "")
            if state.phase is PackagePhase.READY and key not in desk.steps:
                continue
            proxy = seen.wanted.clusters[cluster].packages.get(package)
            installing = state.phase in (PackagePhase.PENDING, PackagePhase.INSTALLING)
            yield desk.work(
                "package.install" if installing else "package.update", key[0],
                within=settings.cluster_within if package == "cni" else settings.package_within,  # it comes with the nodes
                wish=naming.digest(proxy, 16), detail=state.message,
            )  # fmt: skip
    for cluster, wanted in seen.wanted.clusters.items():
        found = seen.snapshot.clusters.get(cluster)
        for (kind, _), obj in found.made.items() if found is not None else ():
            label = labels_of(obj).get(naming.PACKAGE)
            if kind == kinds.HELM_CHART_PROXY.kind and label and label not in wanted.packages:
                yield desk.work("package.uninstall", f"package/{cluster}/{label}", within=settings.package_within)


# --- links -----------------------------------------------------------------------------------------------------------


def _links(desk: _Desk) -> Iterator[Work]:
    seen = desk.seen
    within = seen.settings.link_within
    for pair, progress in seen.assessment.links.items():
        target, wanted = f"link/{pair[0]}/{pair[1]}", pair in seen.wanted.links
        if wanted and progress.phase is LinkPhase.CONNECTED and (target, "") not in desk.steps:
            continue
        made = progress.phase in (LinkPhase.CONNECTED, LinkPhase.DEGRADED)
        operation = "link.remove" if not wanted else "link.repair" if made else "link.establish"
        yield desk.work(
            operation, target, within=within, done=0 if made else progress.steps_done, steps=progress.steps_total,
            detail=progress.message,
        )  # fmt: skip
    for pair, link in seen.wanted.links.items():
        refused = desk.refused(f"link {pair[0]}/{pair[1]}")
        if refused and not link.declared:
            yield desk.work("link.remove", f"link/{pair[0]}/{pair[1]}", within=within, refused=refused)


# --- applications ----------------------------------------------------------------------------------------------------


def _apps(desk: _Desk) -> Iterator[Work]:
    seen = desk.seen
    for name, app in seen.wanted.apps.items():
        if (f"app/{name}", "leave") in desk.steps:
            yield desk.work("app.leave", f"app/{name}", within=app.spec.deploy_within, tenant=app.spec.owner)
        work = _deployment(desk, name, app)
        if work is not None:
            yield work
    for target, family_ in desk.steps:
        if family_ == "removal" and target.startswith("app/"):
            known = desk.tasks.get((target, "removal"))
            tenant = known.tenant if known is not None else _owner_of(seen.snapshot.object, target)
            yield desk.work("app.undeploy", target, within=seen.settings.undeploy_within, tenant=tenant)


def _deployment(desk: _Desk, name: str, app: AppWanted) -> Work | None:
    """The application, but for the components that move or scale and have tasks of their own; None where it runs."""
    phases = _phases(desk.seen.status, name)
    own: set[str] = set()
    if (f"app/{name}", "") not in desk.tasks:  # a deployment that is under way waits for them, too
        own = {c.partition("/")[2] for c in desk.moving | desk.scaled if c.startswith(f"{name}/")}
    others = [phases.get(component, AppPhase.PENDING) for component in app.components if component not in own]
    running = sum(phase == AppPhase.RUNNING for phase in others)
    refused = desk.refused(f"application {name}") or next(
        (said for component in app.components if (said := desk.refused(f"component {name}/{component}"))), ""
    )
    rolled = name in desk.rolled
    if running == len(others) and not desk.steps.get((f"app/{name}", "rollback" if rolled else "")) and not refused:
        return None
    before = desk.seen.assessment.apps.get(name)
    new = before is None or before.namespace is None
    operation = "app.rollback" if rolled else "app.deploy" if new else "app.update"
    return desk.work(
        operation, f"app/{name}", within=app.spec.deploy_within, refused=refused,
        done=running, steps=len(others), tenant=app.spec.owner,
        wish=declaration_digest(app.spec, desk.seen.snapshot.orchestration.generation),
        detail=_waiting_for(desk.seen.status, name),
    )  # fmt: skip


def _app_entry(status: Object, app: str) -> Object:
    return next((entry for entry in status.get("apps") or () if entry["name"] == app), {})


def _phases(status: Object, app: str) -> dict[str, str]:
    return {entry["name"]: entry["phase"] for entry in _app_entry(status, app).get("components") or ()}


def _waiting_for(status: Object, app: str) -> str:
    return str(_app_entry(status, app).get("message") or "")


def _owner_of(obj: Object, target: str) -> str:
    """Whose an application was that is no longer declared: the status before knows."""
    return str(_app_entry(obj.get("status") or {}, target.removeprefix("app/")).get("owner") or "")


def _components(desk: _Desk) -> Iterator[Work]:
    """Components that move or scale."""
    for path in sorted(desk.moving | desk.scaled):
        app, _, name = path.partition("/")
        wanted, target = desk.seen.wanted.apps.get(app), f"component/{path}"
        if wanted is None or name not in wanted.components:
            continue
        if _phases(desk.seen.status, app).get(name) == AppPhase.RUNNING and (target, "") not in desk.steps:
            continue
        spec, state = wanted.components[name].spec, desk.seen.assessment.components[(app, name)]
        yield desk.work(
            "component.move" if path in desk.moving else "component.scale", target, within=wanted.spec.deploy_within,
            refused=desk.refused(f"component {path}"), tenant=wanted.spec.owner,
            done=state.ready if state.settled else 0, steps=max(1, spec.replicas),
            wish=naming.digest([wanted.components[name].cluster, spec.replicas], 16),
        )  # fmt: skip


# --- what nobody mentioned -------------------------------------------------------------------------------------------


def _withdrawn(task: TaskStatus) -> Work:
    return Work(task.operation, task.target, withdrawn=True, detail="it is no longer declared")


def _unseen(task: TaskStatus) -> Work:
    """Nothing is known of it now, which does not say that it is done."""
    return Work(task.operation, task.target, wish=task.wish, tenant=task.tenant)


def _unwanted(desk: _Desk, task: TaskStatus) -> bool:
    """Whether the wish that a task served went: what was to be made is no longer declared, what was to go is again."""
    kind, _, name = task.target.partition("/")
    wanted = desk.seen.wanted
    if family(task.operation) == "rollback" and name not in desk.rolled:
        return True
    if kind == "app" and family(task.operation) == "" and name in desk.rolled and task.stage is TaskStage.OPEN:
        return True
    if kind == "cluster":
        declared = name in wanted.clusters
    elif kind == "package":
        cluster, _, package = name.partition("/")
        declared = cluster in wanted.clusters and package in wanted.clusters[cluster].packages
        if family(task.operation) == "removal" and cluster not in wanted.clusters:
            return True  # it goes with its cluster
    elif kind == "link":
        declared = tuple(name.split("/")) in wanted.links
    elif kind == "app":
        declared = name in wanted.apps
    else:
        app, _, component = name.partition("/")
        declared = app in wanted.apps and component in wanted.apps[app].components
    return declared == (family(task.operation) == "removal")


def _cannot_tell(desk: _Desk, task: TaskStatus) -> bool:
    """Whether the end of a removal, or of leaving a cluster, cannot be seen: it may be on a cluster that does not answer.

    A deployment that failed and was rolled back is not made good by what runs instead.
    """
    if task.target.removeprefix("app/") in desk.rolled and family(task.operation) == "":
        return not _unwanted(desk, task)
    if family(task.operation) not in ("removal", "leave") or task.target.startswith(("cluster/", "package/")):
        return False
    if _unwanted(desk, task):
        return False
    return any(seen.workload.reach in (Reach.CONNECTING, Reach.LOST) for seen in desk.seen.snapshot.clusters.values())
