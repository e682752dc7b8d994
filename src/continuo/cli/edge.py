"""`continuo edge`: the controllers and gateways of a cluster that sells or buys sensors."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "serve": ("continuo.cli.edge_serve:serve", "Be one site of the market: find sensors, sell, buy, make paths."),
    "crds": ("continuo.cli.edge_crds:crds", "Print the kinds that clusters must know."),
}


class _Lazy(click.Group):
    """Commands are imported when they are called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        found: click.Command = getattr(importlib.import_module(module), name)
        return found

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy)
def edge() -> None:
    """The controllers and gateways of a cluster that sells or buys sensors."""
