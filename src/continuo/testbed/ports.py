"""Free ports, and how they stay the same over restarts: kubeconfigs that were handed out name them."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from continuo.testbed.credentials import write_private


class Ports:
    """Ports by name, remembered in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            self._known = {str(name): int(port) for name, port in said.items()}
        except (OSError, ValueError, AttributeError):
            self._known = {}

    def take(
        self, names: Sequence[str], wanted: dict[str, int] | None = None, usual: dict[str, int] | None = None
    ) -> dict[str, int]:
        """A port for each name: the wanted one, else the one of last time, the usual one or any, whichever is free."""
        self._known = (usual or {}) | self._known | (wanted or {})
        taken: dict[str, int] = {}
        with ExitStack() as open_ones:  # held until all are chosen, so that none is given twice
            for name in names:
                probe = open_ones.enter_context(socket.socket())
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", self._known.get(name, 0)))
                except OSError:
                    if wanted and name in wanted:
                        raise
                    probe.bind(("127.0.0.1", 0))
                taken[name] = probe.getsockname()[1]
        self._known.update(taken)
        write_private(self._path, json.dumps(self._known))
        return taken
