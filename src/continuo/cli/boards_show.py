"""`continuo boards ls` and `continuo boards tree`: how everything about boards is, and why what is not ready is not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import run
from continuo.cli.output import make_console, output_option, print_data, print_names, print_table
from continuo.resources.meta import Object, condition


@click.command()
@target_options
@output_option()
@click.option("-A", "--all-namespaces", is_flag=True, help="Boards of every namespace.")
@run
async def ls(target: Target, output: str, all_namespaces: bool) -> None:
    """List boards: their state, their fleet, when they are not ready why."""
    from continuo.cli.boards_there import check_definitions, where
    from continuo.resources.boards import BOARD, FLEET

    async with connected(target) as cluster:
        await check_definitions(cluster)
        namespace = None if all_namespaces else where(target, cluster)
        found, fleets = [(await cluster.list(kind, namespace)).items for kind in (BOARD, FLEET)]
    if output in ("json", "yaml"):
        print_data({"apiVersion": "v1", "kind": "List", "items": found}, output)
    elif output == "name":
        print_names(found, BOARD.resource)
    elif output == "tree":
        _print_tree({BOARD.kind: found, FLEET.kind: fleets})
    else:
        _print_boards(found, fleets, wide=output == "wide", namespaces=all_namespaces)


@click.command()
@target_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Of every namespace.")
@run
async def tree(target: Target, all_namespaces: bool) -> None:
    """Show fleets with their boards and what runs there, with the reason of whatever is not ready."""
    from continuo.cli.boards_there import check_definitions, where
    from continuo.resources.boards import MANAGED_KINDS

    async with connected(target) as cluster:
        await check_definitions(cluster)
        namespace = None if all_namespaces else where(target, cluster)
        kinds = [managed.kind for managed in MANAGED_KINDS]
        listings = await asyncio.gather(*(cluster.list(kind, namespace) for kind in kinds))
    _print_tree({kind.kind: listing.items for kind, listing in zip(kinds, listings, strict=True)})


def _print_tree(found: Mapping[str, list[Object]]) -> None:
    from continuo.cli.boards_tree import trees

    shown = trees(found)
    if not shown:
        click.echo("no boards here", err=True)
    console = make_console()
    for each in shown:
        console.print(each)


def _print_boards(boards: list[Object], fleets: list[Object], *, wide: bool, namespaces: bool) -> None:
    from continuo.cli.boards_tree import external_name

    names = {external_name(fleet): fleet["metadata"]["name"] for fleet in fleets if external_name(fleet)}
    columns = [*(["NAMESPACE"] if namespaces else []), "NAME", "STATUS", "FLEET", "READY", "SYNCED"]
    columns += ["UUID", "AGENT", "MESSAGE"] if wide else ["MESSAGE"]
    rows = []
    for obj in boards:
        seen = (obj.get("status") or {}).get("atProvider") or {}
        ready, synced = ((condition(obj, type_) or {}) for type_ in ("Ready", "Synced"))
        fleet = str(seen.get("fleet") or "")
        row = [*([obj["metadata"]["namespace"]] if namespaces else []), obj["metadata"]["name"]]
        row += [seen.get("status", "-"), names.get(fleet, fleet), ready.get("status", "-"), synced.get("status", "-")]
        message = _why(ready, synced)
        row += [seen.get("uuid", ""), seen.get("lrVersion", ""), message] if wide else [message]
        rows.append(row)
    print_table(columns, rows)


def _why(ready: Mapping[str, Any], synced: Mapping[str, Any]) -> str:
    worst = synced if synced.get("status") == "False" else ready
    return str(worst.get("message") or "")
