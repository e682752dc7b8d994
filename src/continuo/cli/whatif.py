"""`continuo plan --if-lost CLUSTER`: what would be decided if a cluster were lost, as a tree or as data."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from rich.text import Text
from rich.tree import Tree

from continuo.cli.failures import BadInput
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

_OPS = {
    "placeComponent": "place", "migrateComponent": "move", "createCluster": "create cluster", "moveHome": "move home of",
    "deleteCluster": "delete cluster",
}  # fmt: skip


async def foresee(
    cluster: Any, documents: list[Object] | None, namespace: str, lost: str
) -> list[tuple[str, dict[str, Any]]]:
    """(orchestration, what would happen as JSON): of the file's, or of those there are that have such a cluster.

    It is computed right here, and holds up this event loop: nobody but the one who asked waits for it, round after round of
    small placements would go to a process and back, and nothing of it is carried out.
    """
    from continuo.orchestrator import naming
    from continuo.orchestrator.foreseen import to_json
    from continuo.orchestrator.preview import picture
    from continuo.orchestrator.settings import Settings
    from continuo.orchestrator.whatif import if_lost

    if documents is None:
        wanted = (await cluster.list(LOW_LEVEL_ORCHESTRATION, namespace)).items
    else:
        ours = [obj for obj in documents if obj["kind"] == LOW_LEVEL_ORCHESTRATION.kind]
        placed = [{**obj, "metadata": {"namespace": namespace, **obj["metadata"]}} for obj in ours]
        wanted = [await cluster.apply(obj, manager=naming.CLI_MANAGER, dry_run=True) for obj in placed]
    secrets = [obj for obj in documents or () if obj["kind"] == "Secret"]
    now, found, seen = datetime.datetime.now(datetime.UTC), [], set[str]()
    for obj in wanted:
        world = await picture(cluster, obj, secrets)
        try:
            found.append((obj["metadata"]["name"], to_json(if_lost(obj, world, lost, Settings(), now))))
        except KeyError:
            seen |= {spec["name"] for spec in (obj.get("spec") or {}).get("clusters") or ()}
    if not found:
        known = f"; there are {', '.join(sorted(seen))}" if seen else ""
        raise BadInput(f"no orchestration in namespace {namespace} has a cluster {lost}{known}")
    return found


def exit_code(found: Mapping[str, Any]) -> int:
    """0: nothing would change. 2: something would. 1: nothing would, and something would not run."""
    return 2 if found["changes"] else 1 if found["stays"] else 0


def foreseen_tree(name: str, found: Mapping[str, Any]) -> Tree:
    """Decisions in their order, what would not run, links, and what it costs."""
    moves, stays = len(found["moves"]), len(found["stays"])
    title = f"{name} without {found['lost']}: {_count(moves, 'component')} would move"
    tree = Tree(Text(f"{title}, {stays} would not run" if stays else title, style="bold"), guide_style="bright_black")
    for decision in found["decisions"]:
        _decision(tree, decision)
    for entry in found["stays"]:
        tree.add(Text.assemble(("does not run ", "red"), (entry["component"], "bold"), f"  {entry['reason']}"))
    for pair in found["links"]["broken"]:
        tree.add(Text.assemble(("breaks ", "red"), "link ", ("/".join(pair), "bold")))
    for pair in found["links"]["made"]:
        tree.add(Text.assemble(("links ", "green"), ("/".join(pair), "bold")))
    for note in found["notes"]:
        tree.add(Text.assemble(("note ", "yellow"), note))
    before, after = found["perHour"]["before"], found["perHour"]["after"]
    for what, unit in (("cost", "an hour"), ("carbon", "g CO2e an hour")):
        if before[what] or after[what]:
            tree.add(Text(f"{what} {before[what]:g} -> {after[what]:g} {unit}", style="cyan"))
    return tree


def _decision(tree: Tree, decision: Mapping[str, Any]) -> None:
    approval = "  once somebody approves it" if decision["approval"] else ""
    head = Text.assemble((f"after {decision['after']} s ", "cyan"), (decision["source"], "bold"), approval)
    node = tree.add(head.append(f"  {decision['reason']}", style="bright_black"))
    for action in decision["actions"]:
        what = action.get("component") or action.get("app") or action.get("cluster") or ""
        node.add(Text.assemble((f"{_OPS.get(action['op'], action['op'])} ", "yellow"), (what, "bold"), _way(action)))


def _way(action: Mapping[str, Any]) -> str:
    if action["op"] in ("createCluster", "deleteCluster"):
        return ""
    origin = f"  {action['other']} -> {action['cluster']}" if action.get("other") else f"  on {action.get('cluster')}"
    return f"{origin}, back when {action['home']} is well" if action.get("home") else origin


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
