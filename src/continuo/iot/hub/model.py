"""The hub's records: frozen data, as they are kept in memory and, as JSON, in the storage."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = dict[str, Any]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every record has. `uuid` is its key; pairs such as injections have `<board>/<object>`."""

    uuid: str
    created_at: str = ""
    updated_at: str | None = None


class Owned(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Named things of a project."""

    name: str
    owner: str
    project: str
    extra: Json = {}


class Board(Owned, frozen=True, kw_only=True, omit_defaults=True):
    """A board. Whether it is online is its session's to say, which is in memory only."""

    type: str | None = None
    fleet: str | None = None
    mobile: bool = False
    location: list[Json] = []
    code_hash: str | None = None
    """Of its registration code."""
    code_expires: float = 0.0
    """Unix seconds."""
    code_spent: bool = False
    registered: bool = False
    key: str | None = None
    """The public key of its agent, hex."""
    realm_hash: str | None = None
    """Of the secret realm that is an unmodified Lightning-rod's credential."""
    lr_version: str | None = None
    agent_version: str | None = None
    connectivity: Json = {}
    capabilities: list[str] = []
    config: Json = {}


class Fleet(Owned, frozen=True, kw_only=True, omit_defaults=True):
    """A group of boards."""

    description: str | None = None


class Plugin(Owned, frozen=True, kw_only=True, omit_defaults=True):
    """Code for boards, as text."""

    code: str
    public: bool = False
    callable: bool = False
    parameters: Json = {}


class Service(Owned, frozen=True, kw_only=True, omit_defaults=True):
    """A port of boards that may be exposed."""

    port: int
    protocol: str = "TCP"


class Injection(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A plugin that a board should have."""

    board: str
    plugin: str
    onboot: bool = False
    status: str = "injected"
    running: bool = False
    parameters: Json = {}
    told: bool = True
    """Whether a board that is not told its whole desired state has heard of this."""
    pinned: Json = {}
    """What a plugin of another project was when this was injected, if it is another since: nobody else's boards get new code
    before they ask for it."""


class Exposed(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A service of a board that should be reached at a public port."""

    board: str
    service: str
    public_port: int


class Network(Owned, frozen=True, kw_only=True, omit_defaults=True):
    """A layer-2 network with the addresses of its ports."""

    cidr: str
    gateway: str | None = None
    mtu: int = 1400
    encryption: str = "tls"
    security_groups: list[Json] = []


class Port(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A board's place in a network."""

    name: str
    board: str
    network: str
    project: str
    mac: str
    ip: str
    vif: str
    security_groups: list[str] = []
    allowed_addresses: list[str] = []
    """Networks that it leads to, as CIDRs."""
    extra: Json = {}


class Workload(Owned, frozen=True, kw_only=True, omit_defaults=True):
    """A process or container, of one board or of a fleet; a fleet's has a child for each board that runs it."""

    board: str | None = None
    fleet: str | None = None
    parent: str | None = None
    generation: int = 1
    spec: Json = {}


class Request(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Something that boards were asked."""

    destination: str
    project: str
    action: str
    main: str | None = None
    pending: int = 1
    done: bool = False
    fleet: bool = False
    expect: Json | None = None
    """What a report has to say for it to be done; None: the call's answer, or a notification, says so."""


class Result(Record, frozen=True, kw_only=True, omit_defaults=True):
    """How a request went at a board."""

    board: str
    request: str
    result: str = "RUNNING"
    message: str = ""

    @property
    def open_at(self) -> str:
        """The board that has not said yet how it went; empty where that is known."""
        return self.board if self.result == "RUNNING" else ""


class Token(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who may use the REST interface; `uuid` is the hash of the token."""

    id: str
    user: str
    project: str
    role: str


class SigningKey(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A public key by which plugins may be signed; `uuid` is its id."""

    public: str


class Report(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What a board said last that it has; `uuid` is the board's."""

    said: Json = {}


class Answered(Record, frozen=True, kw_only=True, omit_defaults=True):
    """An Idempotency-Key and the request that it made; `uuid` is `<project>/<key>`."""

    request: str
    asked: str
    """The hash of what was asked."""
    object: str | None = None
    at: float = 0.0


class Former(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A key that was a board's until that was deleted or registered anew; `uuid` is `<board>/<key>`."""


class Secret(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A secret of the hub's own; `uuid` is its name."""

    value: str


KINDS: dict[str, type[Record]] = {
    kind.__name__.lower(): kind
    for kind in (
        Board, Fleet, Plugin, Service, Injection, Exposed, Network, Port, Workload, Request, Result, Token, SigningKey,
        Report, Answered, Former, Secret,
    )
}  # fmt: skip


def kind_of(record: Record | type[Record]) -> str:
    """The name under which such records are stored."""
    return (record if isinstance(record, type) else type(record)).__name__.lower()
