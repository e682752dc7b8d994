"""What who may do, by URI: a table, and nothing else is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from continuo.iot.hub.wamp.identity import Newcomer, Who
from continuo.iot.wire import REGISTER, hub_procedure

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    REGISTER: ("code", "session", "key"),
    hub_procedure("connection"): ("uuid", "session", "info"),
    hub_procedure("wamp_alive"): ("board_uuid", "board_name"),
    hub_procedure("alive"): (),
    hub_procedure("echo"): ("data",),
    hub_procedure("notify_result"): ("board_uuid", "wampmessage"),
    hub_procedure("report"): ("uuid", "report"),
}
"""The hub's procedures and their parameters, which are given by name or by place."""

OPTIONAL = frozenset({"key", "board_name", "data"})

_OWN = ("uuid", "board_uuid")
_METHOD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

NOT_AUTHORIZED = "wamp.error.not_authorized"
INVALID_ARGUMENT = "wamp.error.invalid_argument"
NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure"


class Forbidden(Exception):
    """It may not do that; `uri` is WAMP's error."""

    def __init__(self, uri: str, sentence: str) -> None:
        super().__init__(sentence)
        self.uri = uri


def method_of(who: Who, session: int, uri: str, options: Mapping[str, Any]) -> str:
    """The method that a session registers; raises Forbidden for anything but `iotronic.<own session>.<own uuid>.*`."""
    if isinstance(who, Newcomer):
        raise Forbidden(NOT_AUTHORIZED, "a session without identity may not register procedures")
    prefix = f"iotronic.{session}.{who.uuid}."
    name = uri.removeprefix(prefix)
    if not uri.startswith(prefix) or not _METHOD.fullmatch(name):
        raise Forbidden(NOT_AUTHORIZED, f"{uri[:200]} may not be registered here; this session's are {prefix}<Method>")
    if options.get("match", "exact") != "exact" or options.get("invoke", "single") != "single":
        raise Forbidden(NOT_AUTHORIZED, "procedures are registered for exactly one URI and by one session")
    return name


def arguments_of(
    who: Who, session: int, uri: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The arguments of a call to the hub by name; raises Forbidden where it may not be called so."""
    if (uri == REGISTER) is not isinstance(who, Newcomer) or uri not in PARAMETERS:
        raise Forbidden(NOT_AUTHORIZED, f"{uri[:200]} may not be called by {_kind(who)}")
    given = _bound(uri, args or (), kwargs or {})
    for name in _OWN:
        if name in given and given[name] != who.name:
            raise Forbidden(NOT_AUTHORIZED, f"{name} is not this session's board")
    if str(given.get("session", session)) != str(session):
        raise Forbidden(INVALID_ARGUMENT, f"session has to be this session's number, {session}")
    return given


def _kind(who: Who) -> str:
    return "a session without identity" if isinstance(who, Newcomer) else "a board"


def _bound(uri: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = PARAMETERS[uri]
    if len(args) > len(names):
        raise Forbidden(INVALID_ARGUMENT, f"{uri} takes {len(names)} arguments, not {len(args)}")
    given = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names or name in given:
            raise Forbidden(INVALID_ARGUMENT, f"{uri} takes {', '.join(names) or 'nothing'}, each once")
        given[name] = value
    missing = [name for name in names if name not in given and name not in OPTIONAL]
    if missing:
        raise Forbidden(INVALID_ARGUMENT, f"{uri} needs {', '.join(missing)}")
    return given
