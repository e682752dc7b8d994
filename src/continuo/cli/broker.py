"""`continuo broker`: what belongs to a broker besides its catalog."""

from __future__ import annotations

import click

from continuo.cli.broker_aggregate import aggregate
from continuo.cli.broker_probe import probe
from continuo.cli.broker_reader import reader
from continuo.cli.broker_run import run
from continuo.cli.broker_serve import serve


@click.group()
def broker() -> None:
    """What belongs to a broker besides its catalog: all of it at once (serve), or its parts alone."""


broker.add_command(aggregate)
broker.add_command(probe)
broker.add_command(reader)
broker.add_command(run)
broker.add_command(serve)
