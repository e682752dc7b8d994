"""Listings in the five forms that kubectl users expect: table, wide, json, yaml, name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from continuo.resources.meta import Object

FORMATS = ("table", "wide", "json", "yaml", "name", "tree")


def make_console() -> Any:
    """Where trees go: as wide as the terminal, and wide enough for whole lines where there is none."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=180)


def output_option(default: str = "table") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`-o table|wide|json|yaml|name|tree`."""
    return click.option(
        "-o", "--output", type=click.Choice(FORMATS), default=default, show_default=True, help="How to print."
    )


def print_data(data: Any, output: str) -> None:
    """JSON or YAML, for programs."""
    if output == "json":
        click.echo(json.dumps(data, indent=2))
        return
    import yaml

    click.echo(yaml.safe_dump(data, sort_keys=False), nl=False)


def print_names(objects: Sequence[Object], resource: str) -> None:
    for obj in objects:
        click.echo(f"{resource}/{obj['metadata']['name']}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Plain columns, aligned, like kubectl's."""
    widths = [max(len(str(row[i])) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, *rows]:
        cells = [str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("   ".join(cells).rstrip())
