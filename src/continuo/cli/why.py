"""`continuo why` and `continuo why-not`: why a component is where it is, and why it is not elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.connection import Target, connected, namespace_of, target_options
from continuo.cli.decisions import weighed_lines
from continuo.cli.failures import BadInput, Failed, run
from continuo.resources.meta import Object

if TYPE_CHECKING:
    from continuo.placement.model import Answer, Problem

_orchestration = click.option("--orchestration", help="The orchestration, where several have such an application.")


@dataclass(frozen=True, slots=True)
class _Component:
    """A declared component with what its status and its Adjustment say."""

    object: Object
    path: str
    spec: Object
    app: Object
    status: Object
    place: Object | None

    @property
    def orchestration(self) -> str:
        return str(self.object["metadata"]["name"])


@click.command()
@click.argument("component", metavar="APPLICATION/COMPONENT")
@target_options
@_orchestration
@click.option("--replay", is_flag=True, help="Compute the decision again from what it was made of, and compare.")
@run
async def why(component: str, target: Target, orchestration: str | None, replay: bool) -> int:
    """Say why a component is where it is: the decision, and what was weighed.

    Exit code 0; with --replay 1 if the answer is another one today.
    """
    async with connected(target) as cluster:
        found = await _find(cluster, namespace_of(target, cluster), component, orchestration)
        decision = await _decision(cluster, found)
    _tell(found, decision)
    if decision is not None:
        for line in weighed_lines({component: (decision["spec"].get("explanation") or {}).get(component, "")}):
            if line.strip() != component:
                click.echo(line)
    return await _replayed(found, decision) if replay else 0


@click.command("why-not")
@click.argument("component", metavar="APPLICATION/COMPONENT")
@click.argument("cluster_name", metavar="CLUSTER")
@target_options
@_orchestration
@run
async def why_not(component: str, cluster_name: str, target: Target, orchestration: str | None) -> None:
    """Say why a component is not on that cluster: when it was decided, and as things stand now."""
    from continuo.orchestrator.placing.problem import part_id
    from continuo.placement.whynot import why_not as reason

    async with connected(target) as cluster:
        namespace = namespace_of(target, cluster)
        found = await _find(cluster, namespace, component, orchestration)
        decision = await _decision(cluster, found)
        now, answer = await _present(cluster, found)
    part = part_id((namespace, found.orchestration), component)
    if cluster_name not in {site.name for site in now.sites}:
        known = ", ".join(sorted(site.name for site in now.sites)) or "none"
        raise BadInput(f"orchestration {found.orchestration} has no cluster {cluster_name}; it has: {known}")
    packed = (decision or {}).get("spec", {}).get("replay")
    if packed:
        problem, then = await _again(packed)
        if cluster_name in {site.name for site in problem.sites} and part in {p.id for p in problem.parts}:
            click.echo(f"when it was decided: {reason(problem, then, part, cluster_name)}")
        else:
            click.echo(f"when it was decided: there was no cluster {cluster_name}")
    click.echo(f"now: {reason(now, answer, part, cluster_name)}")


# --- what is there -----------------------------------------------------------------------------------------------------


async def _find(cluster: Any, namespace: str, path: str, orchestration: str | None) -> _Component:
    from continuo.resources.loop import ADJUSTMENT
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

    app_name, slash, name = path.partition("/")
    if not slash or not name:
        raise BadInput(f"{path} names no component: write APPLICATION/COMPONENT, such as shop/web")
    objects = (await cluster.list(LOW_LEVEL_ORCHESTRATION, namespace)).items
    adjustments = {obj["metadata"]["name"]: obj for obj in (await cluster.list(ADJUSTMENT, namespace)).items}
    found = [
        _component(obj, app, each, path, adjustments.get(obj["metadata"]["name"]))
        for obj in objects
        for app in (obj.get("spec") or {}).get("apps") or ()
        for each in app.get("components") or ()
        if (app["name"], each["name"]) == (app_name, name) and orchestration in (None, obj["metadata"]["name"])
    ]
    if not found:
        raise BadInput(f"no orchestration in namespace {namespace} has a component {path}")
    if len(found) > 1:
        names = ", ".join(sorted(each.orchestration for each in found))
        raise BadInput(f"several orchestrations have a component {path}: say --orchestration with one of {names}")
    return found[0]


def _component(obj: Object, app: Object, spec: Object, path: str, adjustment: Object | None) -> _Component:
    apps = {entry["name"]: entry for entry in (obj.get("status") or {}).get("apps") or ()}
    parts = {entry["name"]: entry for entry in apps.get(app["name"], {}).get("components") or ()}
    places = ((adjustment or {}).get("spec") or {}).get("places") or ()
    place = next((entry for entry in places if entry["component"] == path), None)
    return _Component(obj, path, spec, app, parts.get(spec["name"], {}), place)


async def _decision(cluster: Any, found: _Component) -> Object | None:
    """The Decision that put a component where it is."""
    from continuo.resources.errors import NotFound
    from continuo.resources.loop import DECISION

    if found.place is None:
        return None
    try:
        decision: Object = await cluster.get(DECISION, found.place["decision"], found.object["metadata"]["namespace"])
    except NotFound:
        return None
    return decision


def _tell(found: _Component, decision: Object | None) -> None:
    place, status = found.place, found.status
    where = status.get("cluster") or "nowhere"
    click.echo(f"{found.path} of orchestration {found.orchestration} is on {where} ({status.get('phase', 'Pending')})")
    if status.get("message"):
        click.echo(f"  {status['message']}")
    if place is None:
        click.echo(f"  {_declared(found)}")
        return
    if place.get("home"):
        click.echo(f"  it belongs on {place['home']}, and returns there")
    if decision is None:
        click.echo(f"  decision {place['decision']} of {place['since']}, which is not there any more")
        return
    stage = (decision.get("status") or {}).get("stage", "Received")
    click.echo(f"  decision {place['decision']} of {place['since']} by {decision['spec']['source']}: {stage}")
    click.echo(f"  {decision['spec']['reason']}")


def _declared(found: _Component) -> str:
    """Why a component is where it is without anybody having decided."""
    if found.spec.get("cluster-selector"):
        return f"its declaration says so: cluster-selector {found.spec['cluster-selector']}"
    if "placement" in found.spec and not found.status.get("cluster"):
        return "its declaration leaves the choice to the scheduler, which has not found a place"
    if "placement" in found.spec:
        return "nobody has decided where it goes, or what was decided was deleted: it stays where it runs"
    if found.spec.get("placement-hint"):
        return f"its declaration says placement-hint {found.spec['placement-hint']}; home is {found.app['cluster']}"
    return f"its declaration leaves it on its application's home cluster {found.app['cluster']}"


# --- computed again ----------------------------------------------------------------------------------------------------


async def _again(packed: str) -> tuple[Problem, Answer]:
    from continuo.placement.exact import solve
    from continuo.placement.replay import unpack

    problem = unpack(packed)
    return problem, await solve(problem)


async def _replayed(found: _Component, decision: Object | None) -> int:
    """Compare today's answer to the same input with what was decided."""
    from continuo.orchestrator.placing.problem import path_of

    packed = (decision or {}).get("spec", {}).get("replay")
    if decision is None or not packed:
        raise Failed(f"there is no input of a decision about {found.path} to compute again")
    problem, answer = await _again(packed)
    places = {path_of(part): site for part, site in answer.places.items()}
    asked = {
        a["component"]: a["cluster"] for a in decision["spec"]["actions"] if a.get("component") and a.get("cluster")
    }
    wrong = {path: (site, places.get(path)) for path, site in asked.items() if places.get(path) != site}
    size = f"{len(problem.parts)} components, {len(problem.sites)} clusters"
    if not wrong:
        click.echo(f"\ncomputed again from {size}: the same answer (objective {answer.objective:.6g})")
        return 0
    for path, (then, now) in sorted(wrong.items()):
        click.echo(f"\ncomputed again from {size}: {path} would go to {now or 'no cluster'} and not to {then}")
    return 1


async def _present(cluster: Any, found: _Component) -> tuple[Problem, Answer]:
    """The problem as things stand now, in which only this component may move, and where everything is."""
    from continuo.federation.model import LinkSettings
    from continuo.orchestrator.assess import assess
    from continuo.orchestrator.observe import observe
    from continuo.orchestrator.orient import orient
    from continuo.orchestrator.placing.choose import whole_problem
    from continuo.orchestrator.preview import picture
    from continuo.orchestrator.settings import Settings
    from continuo.placement.model import Answer

    snapshot = observe(found.object, await picture(cluster, found.object))
    wanted = orient(snapshot, Settings())
    problem = whole_problem(snapshot, assess(snapshot, wanted, LinkSettings(), time.time()), [found.path])
    return problem, Answer(places={part.id: part.current for part in problem.parts if part.current is not None})
