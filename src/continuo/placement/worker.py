"""A process that does jobs of placement for whoever started it.

Frames in both directions: eight bytes of length, then a job as JSON; back comes `+` and its result, or `-` and a sentence.
It ends with its stdin, whatever it is doing then: who asked is gone.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
from typing import BinaryIO

import msgspec

from continuo.placement.jobs import Job

HEAD, NICE = 8, 2
"""What has to answer goes first: leases, watches, requests."""
log = logging.getLogger(__name__)


def framed(text: bytes) -> bytes:
    """With its length before it."""
    return len(text).to_bytes(HEAD, "big") + text


def main() -> int:
    """Do jobs until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is for who started us, who ends us then
    os.nice(NICE)
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, asked), daemon=True).start()
    decoder = msgspec.json.Decoder(Job)
    while True:
        sys.stdout.buffer.write(framed(_done(decoder, asked.get())))
        sys.stdout.buffer.flush()


def _read(source: BinaryIO, asked: queue.SimpleQueue[bytes]) -> None:
    while len(head := source.read(HEAD)) == HEAD:
        size = int.from_bytes(head, "big")
        text = source.read(size)
        if len(text) < size:
            break
        asked.put(text)
    os._exit(0)


def _done(decoder: msgspec.json.Decoder[Job], text: bytes) -> bytes:
    try:
        return b"+" + msgspec.json.encode(decoder.decode(text).do())
    except Exception as error:  # the next job may be another one's
        log.exception("a job of placement failed")
        return b"-" + f"{type(error).__name__}: {error}".encode()


if __name__ == "__main__":
    raise SystemExit(main())
