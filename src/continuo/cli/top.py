"""`continuo top`: how full, how near and how well everything is, live in a terminal, or once for programs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, Failed, run
from continuo.cli.output import make_console, print_data, print_table
from continuo.resources.meta import Object

if TYPE_CHECKING:
    from continuo.cli.top_tables import Table, Value

VIEWS = ("clusters", "components", "links", "sensors", "boards")


@click.command()
@click.argument("what", type=click.Choice(VIEWS), default="clusters")
@target_options
@click.option("-A", "--all-namespaces", is_flag=True, help="Of every namespace.")
@click.option("--sort", "sort", metavar="COLUMN", help="Sort by this column; `-COLUMN` the other way round.")
@click.option("--once", is_flag=True, help="Print once and end; so without a terminal.")
@click.option(
    "-o", "--output", type=click.Choice(("table", "json", "yaml")), default="table", show_default=True,
    help="How to print; json and yaml once.",
)  # fmt: skip
@run
async def top(what: str, target: Target, all_namespaces: bool, sort: str | None, once: bool, output: str) -> None:
    """Watch clusters, components, links, sensors or boards as they are used. Ctrl-C ends it."""
    from continuo.cli.top_tables import sort_rows

    view = views()[what]
    field, downwards = _sorting(view, sort)

    def rows(objects: Iterable[Object]) -> list[dict[str, Value]]:
        return sort_rows(view.rows(objects), field, downwards=downwards)

    async with connected(target) as cluster:
        namespace = None if all_namespaces else target.namespace or cluster.access.namespace or "default"
        if once or output != "table" or not sys.stdout.isatty():
            _print(view, rows(await _listed(cluster, view, namespace)), output)
        else:
            await _live(cluster, view, namespace, what, rows)


def views() -> dict[str, Table]:
    """What there is to see."""
    from continuo.cli import top_tables as t
    from continuo.resources.boards import BOARD
    from continuo.resources.kinds import FLAVOR
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

    column, last = t.Column, t.Column("MESSAGE", "message")
    where, phase = column("ORCHESTRATION", "orchestration"), column("PHASE", "phase")
    return {
        "clusters": t.Table(LOW_LEVEL_ORCHESTRATION, (
            column("CLUSTER", "cluster"), where, phase, column("TIER", "tier"), column("NODES", "nodes", right=True),
            column("CPU", "cpu", t.cores, True), column("CPU%", "cpuRequested", t.share, True),
            column("MEMORY", "memory", t.size, True), column("MEMORY%", "memoryRequested", t.share, True), last,
        ), t.cluster_rows, "Ready"),
        "components": t.Table(LOW_LEVEL_ORCHESTRATION, (
            column("COMPONENT", "component"), where, column("CLUSTER", "cluster"), phase,
            column("READY", "ready", right=True), column("WANTED", "wanted", right=True), column("OWNER", "owner"), last,
        ), t.component_rows, "Running"),
        "links": t.Table(LOW_LEVEL_ORCHESTRATION, (
            column("FROM", "source"), column("TO", "target"), where, phase,
            column("LATENCY", "latency", t.milliseconds, True), column("JITTER", "jitter", t.milliseconds, True),
            column("BANDWIDTH", "bandwidth", t.speed, True), column("MEASURED", "measured"), column("SINCE", "since"), last,
        ), t.link_rows, "Connected"),
        "sensors": t.Table(FLAVOR, (
            column("FLAVOR", "flavor"), column("MEASURES", "measures"), column("MODEL", "model"),
            column("NODE", "node"), phase, column("LATENCY", "latency", t.milliseconds, True),
            column("HZ", "rate", t.cores, True),
        ), t.sensor_rows, "Available"),
        "boards": t.Table(BOARD, (
            column("BOARD", "board"), column("NAMESPACE", "namespace"), column("STATUS", "phase"),
            column("AGENT", "agent"), column("READY", "ready"), last,
        ), t.board_rows, "online"),
    }  # fmt: skip


def _sorting(view: Table, said: str | None) -> tuple[str, bool]:
    """The field to sort by. Numbers go from the largest down, words from A on, `-` turns it round."""
    if said is None:
        return view.columns[0].field, False
    turned, name = said.startswith("-"), said.removeprefix("-").upper()
    for column in view.columns:
        if name == column.title:
            return column.field, column.right != turned
    raise BadInput(f"--sort {said}: there is no such column; columns: {', '.join(c.title for c in view.columns)}")


async def _listed(cluster: Any, view: Table, namespace: str | None) -> list[Object]:
    from continuo.resources.errors import NotFound

    try:
        found: list[Object] = (await cluster.list(view.kind, namespace)).items
    except NotFound as error:
        raise Failed(f"this cluster knows no {view.kind.plural}: what they are of is not installed here") from error
    return found


def _print(view: Table, rows: list[dict[str, Value]], output: str) -> None:
    from continuo.cli.top_tables import cells

    if output != "table":
        print_data(rows, output)
    elif not rows:
        click.echo("there is nothing to see", err=True)
    else:
        print_table([column.title for column in view.columns], [cells(view.columns, row) for row in rows])


def drawn(view: Table, rows: list[dict[str, Value]], title: str) -> Any:
    """The table for a terminal: what is not as it should be stands out, and columns without anything are left out."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table as Drawing

    from continuo.cli.top_tables import cells

    made = Drawing(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    columns = [
        column for index, column in enumerate(view.columns)
        if not index or any(row.get(column.field) not in (None, "") for row in rows)
    ]  # fmt: skip
    for column in columns:
        made.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=column.field != "message",
            min_width=len(column.title),
        )  # fmt: skip
    for row in rows:
        said = [escape(cell) for cell in cells(columns, row)]
        for index, column in enumerate(columns):
            if column.field == "phase":
                said[index] = f"[{'green' if row.get('phase') == view.good else 'yellow'}]{said[index]}[/]"
            elif column.field.endswith("Requested") and isinstance(part := row.get(column.field), float):
                said[index] = f"[{'red' if part > 0.9 else 'yellow' if part > 0.75 else 'green'}]{said[index]}[/]"
        made.add_row(*said)
    return made


async def _live(
    cluster: Any, view: Table, namespace: str | None, what: str, rows: Callable[[Iterable[Object]], list[Any]]
) -> None:
    """Draw again whenever something changes, four times a second at most."""
    from rich.live import Live

    from continuo.runtime.informer import Informer, Watch

    await _listed(cluster, view, namespace)  # says at once what does not work
    informer, changed = Informer(cluster, Watch(view.kind, namespace)), asyncio.Event()
    informer.on_change(lambda _old, _new: changed.set())
    informer.start()
    try:
        await informer.synced.wait()
        with Live(console=make_console(), screen=True, auto_refresh=False) as live:
            while True:
                changed.clear()
                trouble = f"  (not followed: {informer.last_error})" if informer.stale_since is not None else ""
                live.update(drawn(view, rows(informer.cache), f"{what}{trouble}"), refresh=True)
                await asyncio.sleep(0.25)
                await changed.wait()
    finally:
        await informer.stop()
