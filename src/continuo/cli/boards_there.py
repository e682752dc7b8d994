"""What the commands about boards need to find in a cluster, and in whose words they say that it is not there."""

from __future__ import annotations

from typing import Any

from continuo.cli.failures import Failed


async def check_definitions(cluster: Any) -> None:
    """Raise Failed where the cluster does not know the kinds of boards."""
    from continuo.resources.boards import BOARD
    from continuo.resources.errors import NotFound

    try:
        await cluster.list(BOARD)
    except NotFound:
        raise Failed(
            f"this cluster does not know {BOARD.resource}: "
            "run `continuo boards crds | kubectl apply --server-side -f -` first"
        ) from None


def where(target: Any, cluster: Any) -> str:
    """The namespace to work in."""
    return str(target.namespace or cluster.access.namespace or "default")
