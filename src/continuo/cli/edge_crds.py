"""`continuo edge crds`: what clusters must know that trade sensors."""

from __future__ import annotations

import click


@click.command()
@click.option("--without-kubeedge", is_flag=True, help="Only FLUIDOS' kinds: KubeEdge has brought its own.")
def crds(without_kubeedge: bool) -> None:
    """Print the kinds of KubeEdge and FLUIDOS, for `kubectl apply --server-side -f -`."""
    import yaml

    from continuo.resources.crds import edge_crds, fluidos_crds

    click.echo(yaml.safe_dump_all(fluidos_crds() if without_kubeedge else edge_crds(), sort_keys=False), nl=False)
