"""Liqo's images under the names that its chart asks for: each a link to a program that the node mounts.

Liqo's programs are half a gigabyte. They are not copied into every node's image store: an image holds only a symbolic
link to where its program is mounted, so that a node with all of them boots as fast as one without.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from continuo.testbed.errors import TestbedError
from continuo.testbed.images import Image
from continuo.testbed.nodefiles import PROGRAMS
from continuo.testbed.tools import Tools

REGISTRY = "ghcr.io/liqotech"
TAG = "v1.2.0"

_PROGRAMS: Mapping[str, str] = {
    "liqo-controller-manager": "liqo-controller-manager",
    "crd-replicator": "liqo-crd-replicator",
    "webhook": "liqo-webhook",
    "ipam": "liqo-ipam",
    "proxy": "liqo-proxy",
    "fabric": "liqo-fabric",
    "virtual-kubelet": "liqo-virtual-kubelet",
    "gateway": "liqo-gateway",
    "gateway/wireguard": "liqo-wireguard",
    "gateway/geneve": "liqo-geneve",
}
"""The program behind each image."""

NEEDED = tuple(_PROGRAMS.values())


def _command(image: str) -> str:
    """Where the chart expects an image's program."""
    return f"/usr/bin/{image.rpartition('/')[2]}"


IMAGES = tuple(Image(name, (_command(name),), registry=REGISTRY, tag=TAG) for name in _PROGRAMS)
LINKS: Mapping[str, str] = {_command(name): f"{PROGRAMS}/{program}" for name, program in _PROGRAMS.items()}


def programs(tools: Tools) -> Path:
    """The one folder with all of Liqo's programs; raises Missing, or TestbedError when they are in several."""
    tools.check(NEEDED)
    folders = {tools.need(name).resolve().parent for name in NEEDED}
    if len(folders) > 1:
        found = ", ".join(sorted(map(str, folders)))
        raise TestbedError(
            f"Liqo's programs are in several folders ({found}); a node mounts only one, put them together"
        )
    return folders.pop()
