"""What the hub's parts are to each other; each can be tested with doubles of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from continuo.iot.wire import Message

Json = Mapping[str, Any]


class BoardNotConnected(Exception):
    """The board has no session now; REST says 400 with `Board <uuid> is not connected.`"""


class CallFailed(Exception):
    """The board has no such method, went away during the call, answered nothing in time, or no message."""


class Boards(Protocol):
    """Calls to boards: what `wamp/` gives to actions, networks and tunnels."""

    def session(self, board: str) -> int | None:
        """The board's current session; None: it is offline."""

    def capabilities(self, board: str) -> frozenset[str]:
        """What its agent said it can (`continuo`, `tap`, `process`, `container`, ...); Lightning-rod says nothing."""

    async def call(
        self, board: str, method: str, *arguments: Any, request: Json | None = None, timeout: float = 50.0
    ) -> Message:
        """Call a method of a board's current session; raises BoardNotConnected and CallFailed."""

    async def close(self, board: str) -> None:
        """End a board's sessions, since it was deleted or has a new code; nothing where it has none."""


class Presence(Protocol):
    """What sessions tell the hub's records: what the registry gives to `wamp/`. Writes are on disk when these return."""

    async def register(self, code: str, session: int, key: str | None) -> Json:
        """Spend a registration code; the configuration for the board. `key`: its Ed25519 public key, hex.

        Raises LookupError where the code is unknown or was spent, in a sentence.
        """

    def key_of(self, board: str) -> str | None:
        """The public key by which a board's sessions are authenticated."""

    def was_key_of(self, board: str, key: str) -> bool:
        """Whether it was that until the board was deleted, or registered with another one."""

    def board_of_realm(self, realm: str) -> str | None:
        """The board whose secret realm this is: an unmodified Lightning-rod's credential."""

    async def connected(self, board: str, session: int, info: Json) -> None:
        """The board is online. `info`: lr_version, connectivity, and of our agents capabilities."""

    async def left(self, session: int) -> None:
        """That session is over; the board is offline unless it has a newer one."""

    async def notified(self, board: str, message: Message) -> None:
        """What was RUNNING has ended."""

    async def reported(self, board: str, report: Json) -> None:
        """What the board has now: plugins, services, ports, workloads, health."""


class Tunnels(Protocol):
    """Reverse tunnels: what `tunnels/` gives to actions."""

    async def open(self, board: str, port: int | None = None) -> tuple[int, str]:
        """Reserve a public port (again the same one, where named and free); the port and the token that opens it once
        for each connection of the board. Raises OSError where none is free.
        """

    async def close(self, port: int) -> None:
        """Close a public port and everything in it; nothing where there is none."""

    def alive(self, port: int) -> bool:
        """Whether the board's end is there."""


class Networks(Protocol):
    """The switch: what `networks/` gives to actions. Configuration is plain data, told whole for each network."""

    async def set(self, network: str, config: Json) -> None:
        """Let there be a network: mtu, and for each port its board, mac, ip, token (hashed) and security groups."""

    async def remove(self, network: str) -> None:
        """End it and its connections; nothing where there is none."""

    def connected(self, port: str) -> bool:
        """Whether a port's board end is there."""

    def on_change(self, heard: Callable[[str, bool], None]) -> None:
        """Be told of ports (id) whose board end comes (True) or goes."""
