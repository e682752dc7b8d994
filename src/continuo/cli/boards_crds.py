"""`continuo boards crds`: the definitions of the kinds of boards, for a cluster that has nothing else of ours."""

from __future__ import annotations

import click


@click.command()
def crds() -> None:
    """Print the CustomResourceDefinitions of the kinds of boards.

    `continuo boards crds | kubectl apply --server-side -f -`
    """
    from continuo.resources.boards import boards_crds
    from continuo.tosca.deployment import to_yaml

    click.echo(to_yaml(boards_crds()), nl=False)
