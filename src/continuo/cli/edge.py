"""`continuo edge`: a site that offers sensors and buys those of others."""

from __future__ import annotations

import click

from continuo.cli.edge_serve import serve


@click.group()
def edge() -> None:
    """Find sensors behind edge nodes, sell them, buy others', and let their readings flow."""


@edge.command()
def crds() -> None:
    """Print the kinds of KubeEdge and FLUIDOS, for clusters on which neither is installed.

    Where KubeEdge is, it has brought its own: apply only the others, with --selector in front of kubectl if need be.
    """
    import yaml

    from continuo.resources.crds import edge_crds

    click.echo(yaml.safe_dump_all(edge_crds(), sort_keys=False), nl=False)


edge.add_command(serve)
