"""What a kind may ask of the cluster and of the machine besides its endpoint, and what it gets to its endpoint with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from continuo.iot.provider.external import Details, External, Managed, Neighbours, Reference, Wake
from continuo.iot.provider.injections import Injections
from continuo.iot.provider.lists import Lists
from continuo.iot.provider.looks import Looks
from continuo.iot.provider.rest import Rest
from continuo.resources.meta import Kind

P = TypeVar("P", bound=Struct)


class Connection(Protocol):
    """One ProviderConfig's endpoint, shared by all objects that use it."""

    rest: Rest
    lists: Lists
    injections: Injections
    looks: Looks
    """Single things that are in no list."""
    memory: dict[str, object]
    """What kinds remember of objects, by UID, until those are gone or this process is."""
    host: str
    """Where it is: the host of its address."""

    @property
    def ours(self) -> bool:
        """Whether it is a hub of ours, which offers more than IoTronic does."""

    @property
    def told(self) -> bool:
        """Whether the endpoint tells of changes now, which only a hub of ours does."""


class World(Protocol):
    """Effects and caches besides the endpoint."""

    neighbours: Neighbours

    def now(self) -> float:
        """Unix seconds."""

    def make_code(self) -> str:
        """A secret that nobody guesses: at most 36 letters and digits."""

    async def secret(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """What a Secret holds; None where there is none."""

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """What a ConfigMap holds; None where there is none."""

    async def publish(self, managed: Managed[Any], details: Details) -> None:
        """Put details into the object's connection Secret now, beside what is there. Raises Refused."""

    async def fetch(self, url: str, digest: str, most: int) -> bytes:
        """What is at an address: at most so many bytes, of that SHA-256. Raises Refused, Unknown."""


@dataclass(frozen=True, slots=True)
class Driver(Generic[P]):
    """One kind, as the provider runs it."""

    kind: Kind
    parameters: type[P]
    external: Callable[[Connection, World], External[P]]
    references: tuple[Reference, ...] = ()
    wakes: Mapping[Kind, Wake] = field(default_factory=dict)
    """Which objects are looked at again when objects of other kinds change, besides those that they refer to."""
    secret: Callable[[str], str] | None = None
    """The name of the connection Secret where none is named; None: none is written then."""


Job = Callable[[], Awaitable[None]]
