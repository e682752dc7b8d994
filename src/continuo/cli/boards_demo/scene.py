"""Who takes part, and the files that say what there shall be."""

from __future__ import annotations

from typing import Any

from continuo.resources import kinds
from continuo.resources.boards import CLUSTER_PROVIDER_CONFIG
from continuo.resources.meta import Object

SPACE, CONTEXT = "default", "management"
PROJECT = "roof"
BOARDS = tuple(f"roof-{number}" for number in range(1, 6))
CONNECTED = BOARDS[:3]
"""Those with a port of the network."""
KILLED = BOARDS[0]
"""It has one of everything."""
FILE_OF_BOARDS, FILE_OF_WORK = "boards.yaml", "boards-work.yaml"
KEY = "demo"
"""What the hub's policy calls the key that plugins are signed with."""
PAGE = "This is roof-1.\n"
SECRET = "hub"


def number_of(board: str) -> int:
    """From one."""
    return BOARDS.index(board) + 1


def configuration(endpoint: str, ca: str, token: str) -> list[Object]:
    """Where the provider finds the hub, and how it is let in."""
    reference: dict[str, Any] = {"namespace": SPACE, "name": SECRET, "key": "token"}
    return [
        kinds.SECRET.new(SECRET, SPACE, stringData={"token": token}),
        CLUSTER_PROVIDER_CONFIG.new(
            "default",
            spec={
                "endpoint": endpoint, "caBundle": ca, "authType": "token",
                "credentials": {"source": "Secret", "secretRef": reference},
            },
        ),
    ]  # fmt: skip
