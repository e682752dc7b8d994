"""`continuo broker`: what belongs to a broker besides its catalog."""

from __future__ import annotations

import click

from continuo.cli.broker_aggregate import aggregate
from continuo.cli.broker_probe import probe
from continuo.cli.broker_reader import reader


@click.group()
def broker() -> None:
    """What belongs to a broker besides its catalog: readers of resources, the aggregator, probes at providers."""


broker.add_command(aggregate)
broker.add_command(probe)
broker.add_command(reader)
