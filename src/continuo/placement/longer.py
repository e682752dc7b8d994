"""A longer search of the heuristic in a process of its own: a packed problem on stdin, its answer as JSON on stdout."""

from __future__ import annotations

import sys

import msgspec

from continuo.placement.heuristic import place
from continuo.placement.replay import unpack


def main() -> int:
    """Answer what stands on stdin."""
    sys.stdout.buffer.write(msgspec.json.encode(place(unpack(sys.stdin.read()))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
