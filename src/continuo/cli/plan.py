"""`continuo plan`: what applying a file would change, from the same `decide` that the operator runs."""

from __future__ import annotations

from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, run
from continuo.cli.output import make_console, print_data


@click.command()
@target_options
@click.option("-f", "--file", "path", help="The file to plan for; `-` reads standard input.")
@click.option("--if-lost", "lost", metavar="CLUSTER", help="Show what the loops would do if this cluster were lost.")
@click.option(
    "-o", "--output", type=click.Choice(["tree", "json", "yaml"]), default="tree", show_default=True,
    help="How to print.",
)  # fmt: skip
@run
async def plan(target: Target, path: str | None, lost: str | None, output: str) -> int:
    """Show what applying a file would change, or what losing a cluster would.

    Exit code 0: no change. 2: changes. 1: no change, because what is asked for is refused. With --if-lost, for which no file
    is needed, 1 means that nothing would be done although something would not run.
    """
    from continuo.cli.files import read_documents

    if path is None and lost is None:
        raise BadInput("say what to plan for: a file with -f, or a cluster with --if-lost")
    documents = read_documents(path) if path is not None else None
    async with connected(target) as cluster:
        namespace = target.namespace or cluster.access.namespace
        if lost is not None:
            from continuo.cli import whatif

            return _show_loss(await whatif.foresee(cluster, documents, namespace, lost), output)
        plans = await plans_for(cluster, documents or [], namespace)
    if output == "tree":
        from continuo.cli.trees import plan_tree

        console = make_console()
        for name, found in plans:
            console.print(plan_tree(name, found))
    else:
        print_data([{"name": name, **found} for name, found in plans], output)
    if any(found["changes"] for _, found in plans):
        return 2
    return 1 if any(found["refusals"] for _, found in plans) else 0


def _show_loss(found: list[tuple[str, dict[str, Any]]], output: str) -> int:
    from continuo.cli import whatif

    if output == "tree":
        console = make_console()
        for name, foreseen in found:
            console.print(whatif.foreseen_tree(name, foreseen))
    else:
        print_data([{"name": name, **foreseen} for name, foreseen in found], output)
    codes = {whatif.exit_code(foreseen) for _, foreseen in found}
    return next((code for code in (2, 1) if code in codes), 0)


async def plans_for(cluster: Any, documents: list[Any], namespace: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, plan as JSON) for each LowLevelOrchestration among the documents. Writes nothing."""
    from continuo.orchestrator.preview import preview
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

    ours = [obj for obj in documents if obj["kind"] == LOW_LEVEL_ORCHESTRATION.kind]
    if not ours:
        raise BadInput("the file holds no LowLevelOrchestration, which is what plans are made for")
    secrets = [obj for obj in documents if obj["kind"] == "Secret"]
    found = []
    for obj in ours:
        obj = {**obj, "metadata": {"namespace": namespace, **obj["metadata"]}}
        found.append((obj["metadata"]["name"], (await preview(cluster, obj, secrets)).to_json()))
    return found
