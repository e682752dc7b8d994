"""`continuo apply`: server-side apply of a file, per item, and if wanted the wait until everything is ready."""

from __future__ import annotations

from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import Failed, run
from continuo.cli.health import traced_command
from continuo.cli.output import make_console
from continuo.resources.meta import Object


@click.command()
@target_options
@click.option("-f", "--file", "path", required=True, help="The file to apply; `-` reads standard input.")
@click.option("--wait/--no-wait", default=False, help="Follow orchestrations until they are ready.")
@click.option("--timeout", type=float, default=600.0, show_default=True, help="Seconds to wait at most.")
@click.option("--dry-run", is_flag=True, help="Let the API server check everything and change nothing.")
@click.option("--force-conflicts", is_flag=True, help="Take fields over that other field managers own.")
@run
async def apply(target: Target, path: str, wait: bool, timeout: float, dry_run: bool, force_conflicts: bool) -> None:
    """Apply a file; nothing is written unless the API server accepts every object of it."""
    from continuo.cli.files import read_documents

    documents = read_documents(path)
    async with traced_command("continuo apply"), connected(target) as cluster:
        namespace = target.namespace or cluster.access.namespace
        applied = await apply_documents(cluster, documents, namespace, dry_run=dry_run, force=force_conflicts)
        if wait and not dry_run:
            await _wait(cluster, applied, timeout)


async def apply_documents(
    cluster: Any,
    documents: list[Object],
    namespace: str,
    *,
    dry_run: bool = False,
    force: bool = False,
    quiet: bool = False,
) -> list[Object]:
    """Check all by a dry run, then apply all. A namespace in the same file is created first."""
    from continuo.orchestrator.naming import CLI_MANAGER

    placed = [await _placed(cluster, obj, namespace) for obj in documents]
    new_namespaces = {obj["metadata"]["name"] for obj in placed if obj["kind"] == "Namespace"}
    for obj in placed:
        if obj["metadata"].get("namespace") not in new_namespaces:
            await cluster.apply(obj, manager=CLI_MANAGER, force=force, dry_run=True)
    if dry_run:
        _say(placed, "checked (dry run)", quiet)
        return placed
    applied = []
    for obj in sorted(placed, key=lambda obj: obj["kind"] != "Namespace"):
        applied.append(await cluster.apply(obj, manager=CLI_MANAGER, force=force))
    _say(applied, "applied", quiet)
    return applied


def _say(objects: list[Object], what: str, quiet: bool) -> None:
    for obj in objects if not quiet else ():
        click.echo(f"{obj['kind'].lower()}/{obj['metadata']['name']} {what}")


async def _placed(cluster: Any, obj: Object, namespace: str) -> Object:
    """The object with its namespace, and with the trace that whoever carries it out goes on in."""
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
    from continuo.telemetry.tracing import ANNOTATION, traceparent

    kind = await cluster.discovery.kind_of(obj)
    if not kind.namespaced:
        return obj
    metadata = {"namespace": namespace, **obj["metadata"]}
    trace = traceparent()
    if trace is not None and (kind.group, kind.kind) == (LOW_LEVEL_ORCHESTRATION.group, LOW_LEVEL_ORCHESTRATION.kind):
        metadata["annotations"] = {**(metadata.get("annotations") or {}), ANNOTATION: trace}
    return {**obj, "metadata": metadata}


async def _wait(cluster: Any, applied: list[Object], timeout: float) -> None:
    from continuo.cli.follow import follow, why_not_ready
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

    console = make_console()
    for obj in applied:
        if obj["kind"] != LOW_LEVEL_ORCHESTRATION.kind:
            continue
        view = await follow(cluster, obj, console, timeout=timeout)
        console.print(view.tree())
        if not view.ready:
            raise Failed(f"{obj['metadata']['name']} is not ready after {timeout:g} s: {why_not_ready(view.object)}")
