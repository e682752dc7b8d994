"""`continuo broker`: what belongs to a broker besides its catalog."""

from __future__ import annotations

import click

from continuo.cli.broker_aggregate import aggregate
from continuo.cli.broker_probe import probe
from continuo.cli.broker_reader import reader
from continuo.cli.broker_run import run


@click.group()
def broker() -> None:
    """What belongs to a broker besides its catalog: the orchestrator, readers of resources, the aggregator, probes."""


broker.add_command(aggregate)
broker.add_command(probe)
broker.add_command(reader)
broker.add_command(run)
