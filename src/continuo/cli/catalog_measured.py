"""`continuo catalog measurements` and `verify`: what was measured of a provider, and whether a record proves it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from continuo.cli.catalog_client import CatalogClient, Where, catalog_options, client
from continuo.cli.failures import BadInput, Failed, run
from continuo.cli.output import output_option, print_data, print_table

Json = dict[str, Any]
_UNITS = {
    "latency": "ms", "latency_p95": "ms", "latency_p99": "ms", "jitter": "ms", "memory_free": "bytes", "cpu_free": "cores",
    "bandwidth_down": "Mbit/s", "bandwidth_up": "Mbit/s",
}  # fmt: skip
"""Of claims that nothing was measured for; a record says its own."""
KEYS_PATH = "/.well-known/continuo-measurement-keys.json"


@click.command()
@click.argument("provider")
@click.option("--metric", help="The kept records of one metric, the newest first.")
@output_option()
@catalog_options
@run
async def measurements(provider: str, metric: str | None, output: str, where: Where) -> None:
    """Show what was measured of PROVIDER, beside what it claims."""
    async with client(where) as catalog:
        path = measurements_path(provider) + (f"/{quote(metric, safe='')}" if metric else "")
        found = await catalog.ask("GET", path)
    if output in ("json", "yaml"):
        print_data(found, output)
    elif output == "name":
        for item in found["items"]:
            click.echo(f"measurements/{item['metric']}")
    else:
        wide = ["SAMPLES", "COVERAGE", "BY", "SEQUENCE"] if output == "wide" else []
        columns = ["METRIC", "MEASURED", "AGE", "CLAIMED", "GAP", "COUNTS"]
        print_table(columns + wide, [_row(item, bool(wide)) for item in found["items"]])


@click.command()
@click.argument("file")
@click.option("--keys", help="A file with the broker's keys as a JWK set; by default the catalog is asked for them.")
@click.option("--after", type=click.IntRange(0), help="Refuse records whose sequence is not above this one.")
@click.option("--allow-stale", is_flag=True, help="Do not fail for records that no longer count.")
@catalog_options
@run
async def verify(file: str, keys: str | None, after: int | None, allow_stale: bool, where: Where) -> None:
    """Check signed measurements: one for each line of FILE, or as `measurements -o json` prints them; - reads standard input.

    Fails when one of them is forged, changed, stale, or older than --after.
    """
    from continuo.broker.measurements.records import BadRecord, keys_of

    texts = _texts(_read(file))
    if keys is not None:
        known = keys_of_file(keys)
    else:
        async with client(where) as catalog:
            try:
                known = keys_of(await catalog.ask("GET", KEYS_PATH))
            except BadRecord as error:
                raise Failed(f"the catalog's keys cannot be used: {error}") from error
    bad = sum(not _verified(text, known, after, allow_stale) for text in texts)
    if bad:
        raise Failed(f"{bad} of {len(texts)} records do not hold")


def keys_of_file(path: str) -> Any:
    """The keys in a file."""
    from continuo.broker.measurements.records import BadRecord, keys_of

    try:
        return keys_of(json.loads(_read(path)))
    except (ValueError, BadRecord) as error:
        raise BadInput(f"{path} holds no keys: {error}") from error


def _verified(text: str, keys: Any, after: int | None, allow_stale: bool) -> bool:
    from continuo.broker.measurements.records import BadRecord, verify

    try:
        record = verify(text, keys)
    except BadRecord as error:
        click.echo(f"bad    {text[:40]}: {error}")
        return False
    said = f"{record.metric} of {record.provider} was {record.value:g} {_unit(record.unit)}".rstrip()
    about = f"{said}, measured by {record.by} {_age(max(0.0, time.time() - record.at / 1000))} ago, #{record.sequence}"
    if after is not None and record.sequence <= after:
        click.echo(f"old    {about}: not above {after}")
        return False
    if not record.fresh(time.time()):
        click.echo(f"stale  {about}")
        return allow_stale
    click.echo(f"good   {about}")
    return True


def measurements_path(provider: str) -> str:
    """Where a provider's measurements are."""
    return f"/api/v1/providers/{quote(provider, safe='')}/measurements"


async def measured_beside(catalog: CatalogClient, offer: Json) -> list[Json]:
    """What was measured of an offer's provider, and what its offers claim at most."""
    items: list[Json] = (await catalog.ask("GET", measurements_path(offer["provider"])))["items"]
    return [item for item in items if "value" in item or "claim" in item]


def summary(items: list[Json]) -> list[str]:
    """A line for each metric."""
    lines = []
    for item in items:
        measured, age, claimed, gap, counts = _row(item, False)[1:]
        parts = [f"{item['metric']}: {measured}" if measured != "-" else f"{item['metric']}: not measured"]
        parts += [f"{age} ago"] if age != "-" else []
        parts += [f"claimed {claimed}"] if claimed != "-" else []
        parts += [gap] if gap != "-" else []
        parts += ["stale"] if measured != "-" and counts != "measured" else []
        lines.append(", ".join(parts))
    return lines


def _row(item: Json, wide: bool) -> list[str]:
    unit = item.get("unit") or _UNITS.get(item["metric"], "")
    measured = _number(item["value"], unit) if "value" in item else "-"
    claim, gap = item.get("claim"), item.get("gap")
    row = [
        item["metric"], measured, _age(item["age"]) if "age" in item else "-",
        "-" if claim is None else _number(claim["value"], unit), "-" if gap is None else _gap(gap, unit),
        (item.get("effective") or {}).get("source", "measured" if item.get("fresh") else "stale"),
    ]  # fmt: skip
    if wide:
        row += [str(item.get(name, "-")) for name in ("samples", "coverage", "by", "sequence")]
    return row


def _gap(gap: Json, unit: str) -> str:
    word = "better" if gap["absolute"] > 0 else "worse"
    if gap["absolute"] == 0:
        return "as claimed"
    size = _number(abs(gap["absolute"]), unit)
    relative = "" if gap["relative"] is None else f" ({100 * abs(gap['relative']):.3g} %)"
    return f"{size} {word}{relative}"


def _number(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / 2**30:.4g} GiB"
    return f"{value:.4g} {_unit(unit)}".rstrip()


def _unit(unit: str) -> str:
    return "" if unit == "1" else unit


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m" if seconds < 7200 else f"{seconds / 3600:.0f}h"


def _texts(text: str) -> list[str]:
    """The signed records in whatever holds them."""
    stripped = text.strip()
    if not stripped.startswith(("{", "[")):
        found = stripped.split()
    else:
        try:
            data = json.loads(stripped)
        except ValueError as error:
            raise BadInput(f"the records are no JSON: {error}") from error
        items = data.get("items", [data]) if isinstance(data, dict) else data
        found = [str(item.get("signed", "")) if isinstance(item, dict) else str(item) for item in items]
        found = [one for one in found if one]
    if not found:
        raise BadInput("there is no signed record: give one for each line, or what `measurements -o json` prints")
    return found


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {error}") from error
