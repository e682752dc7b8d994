"""`continuo events`: what became of clusters, links and applications; from the orchestrations, or from a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli.connection import Target, connected, namespace_of, target_options
from continuo.cli.failures import BadInput, run
from continuo.cli.kafka_options import kafka_options
from continuo.cli.output import print_data, print_table

if TYPE_CHECKING:
    from continuo.events.kafka_settings import KafkaSettings

_FORMATS = ("table", "wide", "json", "yaml", "name")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, as it was typed."""

    orchestrations: tuple[str, ...]
    types: tuple[str, ...]
    subjects: tuple[str, ...]
    since: str | None
    follow: bool


@click.command()
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until stopped.")
@click.option("--type", "types", multiple=True, help="Only such types: app.deploy.failed, app.*, *.failed; repeatable.")
@click.option("--subject", "subjects", multiple=True, help="Only about these: cluster/green, app/*; repeatable.")
@click.option("--since", help="Only what happened since: a time (RFC 3339), or a while ago such as 10m.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Orchestrations of every namespace.")
@click.option(
    "--server", "url", envvar="CONTINUO_SERVER", help="Ask this server (https://...), which keeps more of them."
)
@click.option(
    "--token-file", type=click.Path(path_type=Path, dir_okay=False), envvar="CONTINUO_TOKEN_FILE",
    help="The bearer token for the server.",
)  # fmt: skip
@click.option(
    "--ca-file", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Trust this certificate authority."
)
@click.option("-o", "--output", type=click.Choice(_FORMATS), default="table", show_default=True, help="How to print.")
@click.option("--kafka-group", help="Go on where this group of readers is, and share what comes with its others.")
@target_options
@kafka_options
@run
async def events(
    name: str | None,
    follow: bool,
    types: tuple[str, ...],
    subjects: tuple[str, ...],
    since: str | None,
    all_namespaces: bool,
    url: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    output: str,
    kafka_group: str | None,
    target: Target,
    kafka: KafkaSettings | None,
) -> None:
    """Show what happened to clusters, links and applications, as CloudEvents. Without NAME of all orchestrations.

    The orchestrations themselves hold their last events; a server (`continuo server`) keeps many more, and so does Kafka.
    """
    wish = Wish((name,) if name else (), types, subjects, since, follow)
    if url is not None:
        from continuo.cli.events_server import Server, from_server

        await _print(from_server(Server.named(url, token_file, ca_file), wish), output, follow=follow)
        return
    if kafka is not None:
        from continuo.cli.events_kafka import from_kafka

        await _print(from_kafka(kafka, wish, target.namespace or "default", kafka_group), output, follow=follow)
        return
    async with connected(target) as cluster:
        namespace = None if all_namespaces else namespace_of(target, cluster)
        await _print(_from_outboxes(cluster, namespace, wish), output, follow=follow)


async def _from_outboxes(cluster: Any, namespace: str | None, wish: Wish) -> AsyncIterator[dict[str, Any]]:
    """The events that the orchestrations hold, in the order of time; then, if asked for, what comes."""
    import msgspec

    from continuo.events.outbox import events_of
    from continuo.events.selection import Unclear, selection
    from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
    from continuo.runtime.informer import Informer, Watch
    from continuo.server.event_feed import EventFeed, utc_now

    names = wish.orchestrations or (("*/*",) if namespace is None else ())
    try:
        wanted = selection(
            orchestration=names, types=wish.types, subjects=wish.subjects, since=wish.since, now=utc_now(),
            namespace=namespace or "*",
        )  # fmt: skip
    except Unclear as error:
        raise BadInput(str(error)) from error
    listing = await cluster.list(LOW_LEVEL_ORCHESTRATION, namespace)
    informer = Informer(cluster, Watch(LOW_LEVEL_ORCHESTRATION, namespace))
    feed = EventFeed(informer, namespace or "*")
    await feed.log.publish(sorted((e for obj in listing.items for e in events_of(obj)), key=lambda e: e.time or ""))
    number = 0
    try:
        if wish.follow:
            await feed.start()
            informer.start()
        while True:
            for entry in feed.log.after(number):
                number = entry.number
                if wanted.takes(entry):
                    yield msgspec.json.decode(entry.body)
            if number == feed.log.newest:
                if not wish.follow:
                    return
                await feed.log.wait(number, 3600.0)
    finally:
        await informer.stop()
        await feed.stop()


# --- printing ----------------------------------------------------------------------------------------------------------

_COLUMNS = ("TIME", "ORCHESTRATION", "SUBJECT", "EVENT", "DETAIL")
_MORE = ("ID", "ATTEMPT", "OWNER", "SECONDS")
_WIDTHS = (24, 16, 24, 26, 0)


async def _print(found: AsyncIterator[dict[str, Any]], output: str, *, follow: bool) -> None:
    if follow:
        async for event in found:
            _print_one(event, output)
        return
    events = [event async for event in found]
    if output in ("json", "yaml"):
        print_data(events, output)
    elif output == "name":
        for event in events:
            click.echo(event["id"])
    elif not events:
        click.echo("no events", err=True)
    else:
        wide = output == "wide"
        print_table(_COLUMNS + (_MORE if wide else ()), [row_of(event, wide=wide) for event in events])


def _print_one(event: dict[str, Any], output: str) -> None:
    """As it comes: programs get one JSON object for each line, people aligned columns."""
    import json

    if output == "json":
        click.echo(json.dumps(event, separators=(",", ":")))
    elif output == "yaml":
        click.echo("---")
        print_data(event, "yaml")
    elif output == "name":
        click.echo(event["id"])
    else:
        row = row_of(event, wide=output == "wide")
        more = "   ".join(row[len(_WIDTHS) :])
        cells = [cell.ljust(width) for cell, width in zip(row, _WIDTHS, strict=False)]
        click.echo("   ".join([*cells, more] if more else cells).rstrip())


def row_of(event: dict[str, Any], *, wide: bool) -> list[str]:
    """One event as cells."""
    from continuo.events.types import PREFIX, VERSION

    data = event.get("data") or {}
    short = str(event["type"]).removeprefix(PREFIX).removesuffix(f".{VERSION}")
    detail = (data.get("error") or {}).get("detail") or data.get("message") or ""
    if short.endswith(".progress"):
        detail = f"{data.get('percent', 0)}%{f': {detail}' if detail else ''}"
    elif (took := data.get("durationSeconds")) is not None and not wide:
        detail = f"after {took} s{f': {detail}' if detail else ''}"
    row = [
        str(event.get("time") or ""), str(event["source"]).removeprefix("/orchestrations/").rpartition("/")[2],
        str(event.get("subject") or ""), short, str(detail),
    ]  # fmt: skip
    if wide:
        took = data.get("durationSeconds")
        row += [
            str(event["id"]),
            str(data.get("attempt", "")),
            str(event.get("tenant") or ""),
            f"{took}" if took is not None else "",
        ]
    return row
