"""`continuo broker`: what belongs to a broker besides its catalog."""

from __future__ import annotations

import click

from continuo.cli.broker_probe import probe


@click.group()
def broker() -> None:
    """What a broker needs at providers: probes that answer its measurements."""


broker.add_command(probe)
