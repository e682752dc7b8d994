"""`continuo boards`: boards, fleets and plugins as Kubernetes resources, and the provider that keeps them."""

from __future__ import annotations

import click

from continuo.cli.boards_call import call
from continuo.cli.boards_composition import composition, function
from continuo.cli.boards_crds import crds
from continuo.cli.boards_logs import logs
from continuo.cli.boards_provider import provider
from continuo.cli.boards_show import ls, tree
from continuo.cli.boards_sign import sign


@click.group()
def boards() -> None:
    """Boards, fleets, plugins, networks and workloads: see them, sign and call plugins, run their provider."""


for command in (ls, tree, call, logs, sign, provider, crds, composition, function):
    boards.add_command(command)
