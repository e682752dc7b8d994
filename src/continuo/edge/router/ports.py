"""What the Router Manager needs of a relay. `edge.relay.client` is one over HTTP; tests have others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from continuo.edge.relay.model import Route, RouteStatus, Source


@dataclass(frozen=True, slots=True)
class Heard:
    """What a relay says of itself."""

    instance: str
    """Another one after each start: routes that were told to the one before may have been lost."""
    routes: tuple[RouteStatus, ...]
    """Those that changed; all of them in the first message of a stream."""


class RelayPort(Protocol):
    """The relay, as far as routes go. All methods raise ApiError; every call has a timeout."""

    async def put_route(self, route: Route) -> None:
        """Let the relay have this route; saying it again changes nothing."""
        ...

    async def delete_route(self, name: str) -> None:
        """Let the relay have it no more; nothing happens if it never had."""
        ...

    async def routes(self) -> list[str]:
        """The names of all routes that it has."""
        ...

    async def ingest_url(self, source: Source, rule: str) -> str:
        """Where KubeEdge's router is to send a source's readings."""
        ...

    def follow(self) -> AsyncIterator[Heard]:
        """What it says of its routes, as it changes; ends when the connection does."""
        ...
