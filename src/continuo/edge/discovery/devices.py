"""The SPIFFE ID of a leaf device: its name, and what its silicon is known by. The gateway of the device computes the same."""

from __future__ import annotations

import re

from continuo.edge.discovery.boards import Board
from continuo.trust.ids import BadId, SpiffeId, TrustDomain, device_id

DEVICE_ID = "continuo.dev/device-id"
"""Annotation of a Flavor: whose readings it sells."""
HARDWARE_ID = "continuo.dev/hardware-id"
"""Annotation of a Device: the unique ID of its chip in hex, where that is better known than its Bluetooth address."""
_HEX = re.compile(r"[0-9a-f]{12,64}")


def hardware_id(board: Board) -> str:
    """What tells a board from all others, in lower-case hex: its chip's ID, or else its MAC address. Empty: nothing does."""
    text = re.sub(r"[\s:-]", "", board.notes.get(HARDWARE_ID) or board.mac).lower()
    return text if _HEX.fullmatch(text) else ""


def id_of(board: Board, domain: TrustDomain) -> SpiffeId | None:
    """The ID of a board in a trust domain; None where nothing tells it from another board of the same name."""
    hardware = hardware_id(board)
    if not hardware:
        return None
    try:
        return device_id(domain, board.key[1], hardware)
    except BadId:
        return None
