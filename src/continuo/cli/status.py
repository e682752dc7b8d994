"""`continuo status`: orchestrations as a tree with the reason of whatever is not ready, or as a listing."""

from __future__ import annotations

from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import run
from continuo.cli.output import make_console, output_option, print_data, print_names, print_table
from continuo.resources.meta import Object, condition


@click.command()
@click.argument("name", required=False)
@target_options
@output_option("tree")
@click.option("-A", "--all-namespaces", is_flag=True, help="Orchestrations of every namespace.")
@run
async def status(name: str | None, target: Target, output: str, all_namespaces: bool) -> None:
    """Show orchestrations as a tree, with reasons. Without NAME all of the namespace."""
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

    async with connected(target) as cluster:
        namespace = None if all_namespaces else target.namespace or cluster.access.namespace
        if name is not None:
            found = [await cluster.get(LOW_LEVEL_ORCHESTRATION, name, namespace or "default")]
        else:
            found = (await cluster.list(LOW_LEVEL_ORCHESTRATION, namespace)).items
        machines = await _machines(cluster, namespace) if output == "tree" and found else {}
    if output in ("json", "yaml"):
        print_data(found[0] if name is not None else {"apiVersion": "v1", "kind": "List", "items": found}, output)
    elif output == "name":
        print_names(found, "lowlevelorchestration.charity-project.eu")
    elif not found:
        click.echo(f"no orchestrations in {f'namespace {namespace}' if namespace else 'any namespace'}", err=True)
    elif output == "tree":
        _print_trees(found, machines)
    else:
        _print_rows(found, wide=output == "wide", namespaces=all_namespaces)


async def _machines(cluster: Any, namespace: str | None) -> dict[tuple[str, str], list[Object]]:
    """Machines by (namespace, Cluster API cluster name)."""
    from continuo.resources import kinds
    from continuo.resources.errors import NotFound
    from continuo.resources.meta import labels_of

    try:
        listing = await cluster.list(kinds.MACHINE, namespace)
    except NotFound:
        return {}  # no Cluster API here
    found: dict[tuple[str, str], list[Object]] = {}
    for machine in listing.items:
        name = labels_of(machine).get("cluster.x-k8s.io/cluster-name", "")
        found.setdefault((machine["metadata"]["namespace"], name), []).append(machine)
    return found


def _print_trees(found: list[Object], machines: dict[tuple[str, str], list[Object]]) -> None:
    from continuo.cli.trees import orchestration_tree

    console = make_console()
    for obj in found:
        console.print(orchestration_tree(obj, own_machines(obj, machines)))


def own_machines(obj: Object, machines: dict[tuple[str, str], list[Object]]) -> dict[str, list[Object]]:
    """The machines of an orchestration by the clusters' short names: of those declared, and those that loops made."""
    from continuo.orchestrator.naming import cluster_name

    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    known = [(obj.get(part) or {}).get("clusters") or () for part in ("spec", "status")]
    names = {cluster["name"] for clusters in known for cluster in clusters}
    return {short: machines.get((namespace, cluster_name(name, short)), []) for short in names}


def _print_rows(found: list[Object], *, wide: bool, namespaces: bool) -> None:
    columns = [*(["NAMESPACE"] if namespaces else []), "NAME", "PHASE", "CLUSTERS", "LINKS", "APPS", "READY"]
    columns += ["REASON", "MESSAGE"] if wide else []
    rows = []
    for obj in found:
        state, ready = obj.get("status") or {}, condition(obj, "Ready") or {}
        summary = state.get("summary") or {}
        row = [*([obj["metadata"]["namespace"]] if namespaces else []), obj["metadata"]["name"]]
        row += [state.get("phase", "Pending"), *(summary.get(k, "") for k in ("clusters", "links", "apps"))]
        row.append(ready.get("status", "Unknown"))
        row += [ready.get("reason", ""), ready.get("message", "")] if wide else []
        rows.append(row)
    print_table(columns, rows)
