"""`continuo identity`: SPIFFE identities where there is no SPIRE, and a look at those of either."""

from __future__ import annotations

import click

from continuo.cli.identity_devices import delegate, federate
from continuo.cli.identity_entries import entry
from continuo.cli.identity_serve import serve
from continuo.cli.identity_show import show


@click.group()
def identity() -> None:
    """SPIFFE identities where there is no SPIRE: serve and show them, entries, federation, delegations for devices."""


for _command in (serve, show, entry, federate, delegate):
    identity.add_command(_command)
