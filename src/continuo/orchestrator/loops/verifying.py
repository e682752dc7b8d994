"""Whether what a decision asked for is there, and what came of it. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from continuo.orchestrator import naming
from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.effective import default_place
from continuo.orchestrator.loops.enact import Made
from continuo.orchestrator.loops.frame import subject
from continuo.orchestrator.observe import Snapshot
from continuo.orchestrator.plan import Plan, Target
from continuo.resources.loop import DecidedAction

MOST = 31


def unfinished(actions: Iterable[DecidedAction], plan: Plan) -> bool:
    """Whether a plan still has steps, or refusals, of what the actions touch."""
    open_ = [step.target for step in plan.steps] + [refusal.target for refusal in plan.refusals]
    return any(_touches(action, target) for action in actions for target in open_)


def _touches(action: DecidedAction, target: Target) -> bool:
    what, name = subject(action)
    if what in ("place", "replicas"):
        return (target.kind, target.name) in (("component", name), ("application", name.partition("/")[0]))
    if what == "application":
        return target.kind in ("application", "component") and target.name.partition("/")[0] == name
    if what == "link":
        return target.kind == "link" and "/".join(naming.pair(*target.name.split("/", 1))) == name
    return target.kind in ("cluster", "package") and target.name.partition("/")[0] == name


def effect(decision: Made, snapshot: Snapshot, assessment: Assessment, now: datetime.datetime) -> dict[str, str]:
    """What was seen when nothing was left to do."""
    clusters = {spec.name: spec for spec in snapshot.orchestration.spec.clusters}
    parts = {(app.name, c.name): (app, c) for app in snapshot.orchestration.spec.apps for c in app.components}
    found = {"seconds": f"{max((now - decision.at).total_seconds(), 0.0):.0f}"}
    for action in decision.spec.actions[:MOST]:
        what, name = subject(action)
        app, _, component = name.partition("/")
        state = assessment.components.get((app, component))
        if what in ("place", "replicas") and state is not None and (app, component) in parts:
            place = default_place(*parts[(app, component)], clusters)
            found[name] = f"{state.ready}/{parts[(app, component)][1].replicas} ready on {place}"
        elif what in ("workers", "cluster"):
            cluster = assessment.clusters.get(name)
            workers = f", {cluster.workers[0]} workers" if cluster is not None else ""
            found[name] = f"{cluster.phase}{workers}" if cluster is not None else "gone"
        elif what == "link":
            progress = assessment.links.get(naming.pair(*name.split("/", 1)))
            found[name] = str(progress.phase) if progress is not None else "gone"
    return {key: value[:256] for key, value in found.items()}
