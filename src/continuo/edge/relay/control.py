"""The relay's control API: routes, what became of them, dead letters; and doors for buyers' commands and gateways' proofs.

Everybody has proved an ID by TLS. The Router Manager's IDs may do everything but command; a buyer may command what it bought;
a gateway may show delegations, each of which says itself whether it is this gateway's.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, unquote
from weakref import WeakValueDictionary

import msgspec

from continuo.edge.relay.answers import Gone, Receive, Refused, Scope, Send, answer_json, body_of, refuse
from continuo.edge.relay.commands import LARGEST as LARGEST_COMMAND
from continuo.edge.relay.commands import Carrier, command
from continuo.edge.relay.endpoints import BadRoute, shown
from continuo.edge.relay.letters import Letter
from continuo.edge.relay.model import Route, Source
from continuo.edge.relay.news import follow
from continuo.edge.relay.proving import LARGEST as LARGEST_PROOF
from continuo.edge.relay.proving import Prover, Shown
from continuo.edge.relay.reading import rfc3339
from continuo.edge.relay.relay import Relay
from continuo.edge.relay.sources import Doors
from continuo.edge.relay.store import Store
from continuo.trust.identity import Peer
from continuo.trust.ids import Authorize, SpiffeId

log = logging.getLogger(__name__)

LARGEST = 1024 * 1024
"""Bytes of a route."""
LETTERS = 1000
"""Dead letters in one answer at most."""


class Asked(msgspec.Struct, frozen=True):
    """Which address is asked for."""

    source: Source
    rule: str


class Control:
    """The ASGI application."""

    def __init__(
        self, relay: Relay, store: Store, doors: Doors, *,
        ingest: str, managers: Authorize | None, carrier: Carrier | None = None, prover: Prover | None = None,
    ) -> None:  # fmt: skip
        """`ingest`: how CloudCore reaches the intake, a URL. `managers` None: whoever connects may do everything."""
        self._relay, self._store, self._doors = relay, store, doors
        self._ingest, self._managers, self._carrier, self._prover = ingest.rstrip("/"), managers, carrier, prover
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._answer(scope, receive, send)
        except Refused as refused:
            await refuse(send, refused.status, refused.detail, close=refused.status == 413)
        except Gone:
            return
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            with suppress(RuntimeError):  # the answer had begun
                await refuse(send, 500, "the relay failed; its log says why", close=True)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        parts = [unquote(part) for part in raw.decode("latin-1").partition("?")[0].strip("/").split("/")]
        method = scope["method"]
        match parts:
            case ["healthz"]:
                await answer_json(send, {"instance": self._relay.instance})
                return
            case ["commands", route, sensor]:
                _only(method, "POST")
                await self._command(scope, receive, send, route, sensor)
                return
            case ["v1", "delegations"] if method == "PUT":
                await self._prove(scope, receive, send)
                return
        self._manager(scope)
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        match parts:
            case ["v1", "routes"]:
                _only(method, "GET")
                await answer_json(send, {"instance": self._relay.instance, "routes": list(self._relay.routes)})
            case ["v1", "routes", name]:
                await self._one_of(method, PUT=self._put, GET=self._get, DELETE=self._delete)(name, receive, send)
            case ["v1", "status"]:
                _only(method, "GET")
                await self._status(query, receive, send)
            case ["v1", "ingest"]:
                _only(method, "POST")
                await self._address(receive, send)
            case ["v1", "dead-letters"]:
                await self._one_of(method, GET=self._letters, POST=self._replay)(query, receive, send)
            case ["v1", "delegations"]:
                _only(method, "GET")
                held = self._prover.all() if self._prover is not None else []
                await answer_json(send, {"instance": self._relay.instance, "delegations": held})
            case _:
                raise Refused(404, "nothing is here; there are /v1/routes, /v1/status, /v1/ingest, /v1/dead-letters and "
                              "/v1/delegations")  # fmt: skip

    def _manager(self, scope: Scope) -> None:
        if self._managers is None:
            return
        peer: SpiffeId | None = scope.get("spiffe_id")
        if peer is None or not self._managers(peer):
            raise Refused(
                403, f"{peer or 'who proves no ID'} may not control this relay; its operator says who may (--allow)"
            )

    @staticmethod
    def _one_of(method: str, **by: Callable[[Any, Receive, Send], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        if method not in by:
            raise Refused(405, f"{method} means nothing here; there are {', '.join(by)}")
        return by[method]

    # routes

    async def _put(self, name: str, receive: Receive, send: Send) -> None:
        body = await body_of(receive, LARGEST)
        try:
            route = msgspec.json.decode(body, type=Route)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(400, f"route {name!r} cannot be read: {error}") from None
        if route.name != name:
            raise Refused(400, f"the route is called {route.name!r}, but it was put under {name!r}; use one name")
        async with self._lock(name):
            known = self._relay.routes.get(name)
            if known is None and len(self._relay.routes) >= self._relay.settings.routes:
                raise Refused(413, f"this relay has {len(self._relay.routes)} routes already, which is all it may have")
            try:
                self._relay.check(route)
            except BadRoute as problem:
                raise Refused(400, f"route {name!r}: {problem}") from None
            if known is None or known.route != route:
                await asyncio.to_thread(self._store.put, route)
                await self._relay.put(route)
        await answer_json(send, {"instance": self._relay.instance, "name": name}, 200 if known else 201)

    async def _get(self, name: str, _receive: Receive, send: Send) -> None:
        live = self._relay.routes.get(name)
        if live is None:
            raise Refused(404, f"there is no route {name!r}")
        await answer_json(send, without_secrets(live.route))

    async def _delete(self, name: str, _receive: Receive, send: Send) -> None:
        async with self._lock(name):
            await asyncio.to_thread(self._store.delete, name)
            had = await self._relay.delete(name)
        await answer_json(send, {"instance": self._relay.instance, "name": name, "deleted": had})

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _address(self, receive: Receive, send: Send) -> None:
        body = await body_of(receive, LARGEST)
        try:
            asked = msgspec.json.decode(body, type=Asked)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(400, f"what is asked for cannot be read: {error}") from None
        if not asked.rule or "/" in asked.rule:
            raise Refused(400, f"{asked.rule!r} is no name of a rule")
        url = f"{self._ingest}{self._doors.path(asked.source, asked.rule)}"
        await answer_json(send, {"instance": self._relay.instance, "url": url})

    # what became of them

    async def _status(self, query: dict[str, str], receive: Receive, send: Send) -> None:
        if query.get("watch", "false") not in ("true", "false"):
            raise Refused(400, f"watch is {query['watch']!r}; it is true or false")
        if query.get("watch") == "true":
            await follow(self._relay, receive, send)
            return
        found = [self._relay.status(name) for name in self._relay.routes]
        await answer_json(send, {"instance": self._relay.instance, "routes": found})

    async def _letters(self, query: dict[str, str], _receive: Receive, send: Send) -> None:
        route, limit = query.get("route"), query.get("limit", "100")
        if not limit.isdecimal() or not 1 <= int(limit) <= LETTERS:
            raise Refused(400, f"limit is {limit[:20]!r}; it is a number from 1 to {LETTERS}")
        if route is not None and route not in self._relay.routes:
            raise Refused(404, f"there is no route {route!r}")
        newest = self._relay.letters.of(route)[-int(limit) :]
        await answer_json(send, {"deadLetters": [_letter(each) for each in newest]})

    async def _replay(self, query: dict[str, str], _receive: Receive, send: Send) -> None:
        route = query.get("route")
        if route is None or route not in self._relay.routes:
            raise Refused(
                404 if route else 400, f"there is no route {route!r}" if route else "say with ?route= which route"
            )
        sent, lost = self._relay.replay(route)
        await answer_json(send, {"replayed": sent, "withoutTarget": lost})

    # the other way

    async def _command(self, scope: Scope, receive: Receive, send: Send, route: str, sensor: str) -> None:
        caller: str | None = None
        if self._managers is not None:
            peer: SpiffeId | None = scope.get("spiffe_id")
            if peer is None:
                raise Refused(403, "a command is taken from the contract's buyer only, who proves it by TLS")
            caller = str(peer)
        body = await body_of(receive, LARGEST_COMMAND)
        source = await command(self._relay, self._carrier, caller, route, sensor, body)
        assert self._carrier is not None
        await answer_json(send, {"delivered": True, "by": self._carrier.name, "node": source.node})

    # gateways

    async def _prove(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer: Peer | None = scope.get("spiffe_peer")
        if self._prover is None or peer is None:
            raise Refused(403, "a delegation counts only over mutual TLS, which this relay does without (--insecure)")
        body = await body_of(receive, LARGEST_PROOF)
        try:
            shown = msgspec.json.decode(body, type=Shown)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(400, f"what is shown cannot be read: {error}") from None
        await answer_json(send, await self._prover.prove(peer, shown))


def without_secrets(route: Route) -> Route:
    """The route as it may be shown."""
    targets = tuple(
        msgspec.structs.replace(
            target, url=shown(target.url), authentication=msgspec.structs.replace(target.authentication, secret="")
        )
        for target in route.targets
    )
    return msgspec.structs.replace(route, targets=targets)


def _letter(letter: Letter) -> dict[str, Any]:
    reading = letter.reading
    return {
        "id": reading.identity, "route": letter.route, "sensor": letter.sensor, "target": shown(letter.url),
        "reason": letter.reason, "attempts": letter.attempts, "at": rfc3339(letter.at), "time": rfc3339(reading.time),
        "body": b64encode(reading.body).decode(),
    }  # fmt: skip


def _only(method: str, allowed: str) -> None:
    if method != allowed:
        raise Refused(405, f"{method} means nothing here; there is {allowed}")
