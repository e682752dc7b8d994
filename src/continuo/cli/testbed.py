"""`continuo testbed`: the real programs that real clusters on this machine are made of."""

from __future__ import annotations

import asyncio
import shutil
import signal

import click

from continuo.cli.building import make_report, print_missing
from continuo.cli.output import print_data, print_table
from continuo.testbed.build import build as build_parts
from continuo.testbed.cache import Cache
from continuo.testbed.choose import options
from continuo.testbed.errors import TestbedError
from continuo.testbed.machine import look_around
from continuo.testbed.parts import OnPath, Part, Source, kind_of
from continuo.testbed.progress import Outcome, Report
from continuo.testbed.sources import locate
from continuo.testbed.table import GO, PARTS, select


@click.group()
def testbed() -> None:
    """The real programs that real clusters on this machine are made of: get them, see them."""


@testbed.command()
@click.argument("parts", nargs=-1)
@click.option("--without", multiple=True, metavar="PART", help="Leave a part out; may be given several times.")
@click.option("--verify", is_flag=True, help="Check every program against its checksum, and make damaged parts anew.")
def build(parts: tuple[str, ...], without: tuple[str, ...], verify: bool) -> None:
    """Get PARTS, or all: from this machine, from releases, built with Go, from Python wheels, from Debian packages.

    What is there already is left alone. Exit code 1 when a part that was named, or one that every real cluster needs,
    cannot be had.
    """
    try:
        wanted = select(parts, without)
    except TestbedError as error:
        raise click.UsageError(str(error)) from error
    cache = Cache()
    if verify:
        _drop_damaged(wanted, cache)
    with make_report(wanted, cache) as report:
        outcomes = asyncio.run(_build_until_told_to_end(wanted, cache, report))
    missing = [outcome for outcome in outcomes if outcome.state == "missing"]
    print_missing(missing)
    if any(outcome.part.name in parts or outcome.part.essential for outcome in missing):
        raise click.exceptions.Exit(1)


async def _build_until_told_to_end(parts: list[Part], cache: Cache, report: Report) -> list[Outcome]:
    """SIGTERM ends it as Ctrl-C does: with all that it started, and with nothing half made."""
    task = asyncio.ensure_future(build_parts(parts, cache, report))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError as error:
        raise click.Abort from error


def _drop_damaged(parts: list[Part], cache: Cache) -> None:
    for part in parts:
        if damaged := cache.damaged(part):
            click.echo(f"{part.name}: {', '.join(damaged)} changed since it was made; making it anew")
            cache.drop(part)


@testbed.command()
def prune() -> None:
    """Remove versions of parts that this release of Continuo no longer uses.

    Another release on this machine may still use them, and would make them again.
    """
    cache = Cache()
    outdated = cache.outdated((*PARTS, GO))
    for folder in outdated:
        shutil.rmtree(folder, ignore_errors=True)
        click.echo(f"removed {folder.parent.name} {folder.name}")
    if not outdated:
        click.echo("nothing to remove: every part in the cache is in use")


@testbed.command("list")
@click.option("-o", "--output", type=click.Choice(("table", "json", "yaml")), default="table", show_default=True)
def list_parts(output: str) -> None:
    """Show every part: its version, where it came from or would come from, and what it is needed for."""
    cache = Cache()
    facts = asyncio.run(look_around(cache.modules, ()))
    rows = []
    for part in PARTS:
        manifest = cache.find(part)
        usable = [source for source in options(part, facts)[0] if not _absent(part, source)]
        state = "ready" if manifest else "not built" if usable else "missing"
        version = manifest.version if manifest else part.version
        source = manifest.source if manifest else ", ".join(kind_of(source) for source in usable)
        rows.append(
            {"part": part.name, "version": version or "any", "state": state, "source": source or "none here",
             "neededFor": part.purpose, "programs": str(cache.bin(part)) if manifest else ""}
        )  # fmt: skip
    if output != "table":
        print_data(rows, output)
        return
    columns = ("PART", "VERSION", "STATE", "SOURCE", "NEEDED FOR")
    print_table(columns, [[str(value) for value in row.values()][:5] for row in rows])


def _absent(part: Part, source: Source) -> bool:
    return isinstance(source, OnPath) and len(locate(part, source)) < len(part.programs)
