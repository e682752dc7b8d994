"""How the making of a testbed looks: live bars in a terminal, one line per event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from continuo.testbed.cache import Cache
from continuo.testbed.parts import GoBuild, Part
from continuo.testbed.progress import Outcome, Report

_QUIET_SECONDS = 30.0
"""Without a terminal, a part that takes long says so this often."""


@contextmanager
def make_report(parts: Sequence[Part], cache: Cache) -> Iterator[Report]:
    """The report that suits standard output."""
    absent = [part for part in parts if cache.find(part) is None]
    if absent:
        _announce(absent)
    if not sys.stdout.isatty() or not absent:
        yield Lines(brief=not absent)
        return
    from continuo.cli.bars import Bars

    with Bars(len(absent)) as bars:
        yield bars


def _announce(absent: Sequence[Part]) -> None:
    """Say beforehand how long it may take."""
    builds = [source for part in absent for source in part.sources if isinstance(source, GoBuild)]
    minutes = sum(source.minutes for source in builds)
    what = f"{len(absent)} part{'s' if len(absent) > 1 else ''} to get"
    click.echo(f"{what}; with nothing cached, compiling takes about {minutes} minutes" if minutes else what)


def describe(outcome: Outcome) -> str:
    """How a part ended, in a line."""
    name = f"{outcome.part.name:<16}"
    if outcome.state == "missing":
        return f"{name} missing"
    return f"{name} {outcome.version}, {outcome.source}" + (
        f", {outcome.seconds:.0f} s" if outcome.state == "made" else ""
    )


def print_missing(missing: Sequence[Outcome]) -> None:
    """Name what is missing, with each source's reason and what would help."""
    for outcome in missing:
        click.echo(f"\n{outcome.part.name} is missing (needed for {outcome.part.purpose}):", err=True)
        for refusal in outcome.refusals:
            first, *others = str(refusal).splitlines()
            click.echo(f"  {first}", err=True)
            for line in others:
                click.echo(f"    {line}", err=True)


class Lines:
    """One line per event."""

    def __init__(self, *, brief: bool = False) -> None:
        self._brief = brief
        self._said: dict[str, float] = {}

    def waits(self, part: Part) -> None:
        click.echo(f"{part.name:<16} another run makes it; waiting")

    def tries(self, part: Part, source: str) -> None:
        self._said[part.name] = time.monotonic()
        click.echo(f"{part.name:<16} {source} ...")

    def says(self, part: Part, text: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said.get(part.name, 0.0) >= _QUIET_SECONDS:
            self._said[part.name] = now
            click.echo(f"{part.name:<16} {text}" + (f", {done} of at most {total}" if total else ""))

    def ends(self, outcome: Outcome) -> None:
        click.echo(describe(outcome))
