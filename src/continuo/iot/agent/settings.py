"""What the board was given to begin with, and what the hub made of it: bootstrap settings, identity, key."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from continuo.iot.agent import files
from continuo.iot.agent.confinement.limits import BadAmount, Limits
from continuo.iot.wire import REALM

ALLOWED = ("mount", "packages", "reboot", "rest")
"""What the settings can allow besides: DeviceMountFs, DevicePkgOperation, DeviceReboot, DeviceRestSubmit."""


class BadSettings(Exception):
    """What is wrong with the settings, in a sentence."""


class _Own(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The part of the settings that is ours: under the key `continuo`."""

    ca: str | None = None
    allow: list[str] = []
    strict: bool = False
    limits: dict[str, Any] = {}
    uids: tuple[int, int] | None = (70_000, 70_999)
    groups: list[int] = []
    devices: list[str] = []
    readable: list[str] = []


@dataclass(frozen=True, slots=True)
class Settings:
    """All that an agent is told on its board."""

    home: Path
    url: str
    code: str | None = None
    realm: str = REALM
    ca: Path | None = None
    allow: frozenset[str] = frozenset()
    strict: bool = False
    """Programs run only where everything can be enforced."""
    limits: Mapping[str, Any] = field(default_factory=dict)
    """The most that any program may have, whatever the hub grants."""
    uids: tuple[int, int] | None = (70_000, 70_999)
    groups: tuple[int, ...] = ()
    devices: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()

    def tls(self) -> ssl.SSLContext | None:
        """How the hub proves who it is; None for an address without TLS. Raises BadSettings."""
        if urlsplit(self.url).scheme == "ws":
            return None
        try:
            return ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        except (OSError, ssl.SSLError) as error:
            raise BadSettings(f"ca {self.ca}: {error}") from None


def load(
    file: Path | None, home: Path, *, code: str | None = None, url: str | None = None, ca: Path | None = None
) -> Settings:
    """Read the bootstrap file, which is what IoTronic gives for a new board; options say more. Raises BadSettings."""
    said = _file(file) if file else {}
    own = _own(said, file)
    board = _part(said, "iotronic", "board")
    agent = _part(said, "iotronic", "wamp", "main-agent") or _part(said, "iotronic", "wamp", "registration-agent")
    authority = ca or (Path(own.ca) if own.ca else None)
    if authority and file and not ca and not authority.is_absolute():
        authority = file.parent / authority
    chosen = url or agent.get("url") or _known_url(home)
    if not chosen:
        raise BadSettings("no hub: give --hub wss://HOST:PORT, or settings with iotronic.wamp.registration-agent.url")
    settings = Settings(
        home, _url(chosen), code or board.get("code"), agent.get("realm") or REALM, authority, frozenset(own.allow),
        own.strict, own.limits, own.uids, tuple(own.groups), tuple(own.devices), tuple(own.readable),
    )  # fmt: skip
    settings.tls()
    return settings


def _file(path: Path) -> dict[str, Any]:
    try:
        said = files.read(path)
    except (OSError, files.Damaged) as error:
        raise BadSettings(str(error)) from None
    if said is None:
        raise BadSettings(f"there is no settings file {path}")
    if not isinstance(said, dict):
        raise BadSettings(f"{path} is no JSON object")
    return said


def _own(said: Mapping[str, Any], file: Path | None) -> _Own:
    try:
        own = msgspec.convert(said.get("continuo", {}), _Own)
        Limits.read(own.limits)
    except (msgspec.ValidationError, BadAmount) as error:
        raise BadSettings(f"{file}: continuo: {error}") from None
    unknown = sorted(set(own.allow) - set(ALLOWED))
    if unknown:
        raise BadSettings(f"{file}: continuo.allow names {unknown[0]!r}, which is none of {', '.join(ALLOWED)}")
    unknown = sorted(set(own.limits) - {name for name in Limits.__dataclass_fields__})
    if unknown:
        raise BadSettings(f"{file}: continuo.limits names {unknown[0]!r}, which is none of "
                          f"{', '.join(sorted(Limits.__dataclass_fields__))}")  # fmt: skip
    if own.uids is not None and not 0 < own.uids[0] <= own.uids[1]:
        raise BadSettings(f"{file}: continuo.uids is a range of user ids from low to high, none of them 0")
    return own


def _part(said: Mapping[str, Any], *path: str) -> dict[str, Any]:
    found: Any = said
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is none
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise BadSettings(f"the hub's address {text!r} is none: it is like wss://hub.example.org:8181")
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme == "ws" and not local:
        raise BadSettings(
            f"the hub's address {text!r} is not encrypted; wss:// is, and ws:// is for this machine alone"
        )
    return text


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this board is, since the hub took its code."""

    uuid: str
    name: str
    url: str
    realm: str
    location: Any = None


def identity(home: Path) -> Identity | None:
    """As it was kept; None before registration. Raises BadSettings."""
    try:
        said = files.read(home / "identity.json")
        return None if said is None else msgspec.convert(said, Identity)
    except (files.Damaged, msgspec.ValidationError, OSError) as error:
        raise BadSettings(
            f"{home / 'identity.json'} is damaged ({error}); remove it and give the board a new code"
        ) from None


def _known_url(home: Path) -> str | None:
    known = identity(home)
    return known.url if known else None


def configured(said: Any, settings: Settings) -> Identity:
    """The identity in what the hub answered to the code. Raises BadSettings."""
    board = _part(said, "iotronic", "board") if isinstance(said, Mapping) else {}
    agent = _part(said, "iotronic", "wamp", "main-agent") if isinstance(said, Mapping) else {}
    uuid = board.get("uuid")
    if not isinstance(uuid, str) or not uuid:
        raise BadSettings("the hub's answer to the code names no board")
    # the address is the one that was just used: a hub may know itself by another name than its boards do
    return Identity(uuid, str(board.get("name") or uuid), settings.url, agent.get("realm") or settings.realm,
                    board.get("location"))  # fmt: skip


def keep(home: Path, known: Identity) -> None:
    """Remember who this board is."""
    files.write(home / "identity.json", known)


def prepare(home: Path) -> None:
    """The agent's folder. Others may pass through it, to folders that are theirs, but read nothing. Raises BadSettings."""
    try:
        home.mkdir(mode=0o711, parents=True, exist_ok=True)
        home.chmod(0o711)
    except OSError as error:
        raise BadSettings(f"the folder {home} cannot be used: {error.strerror}") from None
