"""What goes over a board's wire, as somebody sees who taps it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_ALL = 0x0003
_ROOM = 1 << 22


@dataclass(slots=True)
class Tapped:
    """What was seen."""

    frames: int = 0
    readable: int = 0
    """How many of them have the text that somebody looks for."""


@contextmanager
def tapping(interface: str, text: bytes) -> Iterator[Tapped]:
    """Look at everything that passes there meanwhile; what was seen is told afterwards."""
    tapped = Tapped()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        wire.bind((interface, _ALL))
        wire.setblocking(False)
        yield tapped
        with contextlib.suppress(BlockingIOError):
            while frame := wire.recv(65535):
                tapped.frames += 1
                tapped.readable += text in frame
