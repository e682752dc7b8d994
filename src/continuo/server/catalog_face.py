"""What the catalog's routes share: its parts, who calls, and what its refusals are over HTTP."""

from __future__ import annotations

import asyncio
import gc
import hmac
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from continuo.broker.catalog.accounts import Accounts
from continuo.broker.catalog.catalog import Catalog, Refused
from continuo.broker.catalog.contracts import Contracts
from continuo.broker.catalog.following import Follower
from continuo.broker.catalog.query import Queries
from continuo.broker.catalog.ranking import BadQuery
from continuo.broker.catalog.secrets import digest
from continuo.broker.catalog.tokens import BadToken, Signer
from continuo.broker.catalog.where import compile_where
from continuo.broker.measurements.publishing import Publisher
from continuo.broker.offers.reading import BadOffer, decode
from continuo.expressions.tree import BadExpression
from continuo.server.catalog_fan import Fan
from continuo.server.problems import MEDIA_TYPE, Problem
from continuo.storage.database import Database, StorageFailed

log = logging.getLogger(__name__)

HEARTBEAT = 15.0
_STATUS: Mapping[str, int] = {
    "offer-unknown": 404, "account-unknown": 404, "contract-unknown": 404, "plan-unknown": 404, "offer-changed": 412,
    "catalog-full": 409, "idempotency-key-reused": 422, "not-authenticated": 401, "too-many-attempts": 429,
    "provider-unreachable": 503,
}  # fmt: skip

OperatorCheck = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what this call may do."""

    kind: Literal["operator", "provider", "consumer", "anonymous"]
    id: str = ""
    scopes: frozenset[str] = frozenset()
    family: str = ""
    expires: float = float("inf")

    def require(self, scope: str) -> None:
        """Raises the problem when the caller has not this scope."""
        if self.kind == "operator" or scope in self.scopes:
            return
        if self.kind == "anonymous":
            raise unauthenticated("authenticate first, at /api/v1/tokens or /authenticate")
        raise Problem(403, "scope-missing", f"this needs the scope {scope}, which {self.kind} {self.id} has not")

    def only(self, kind: str, what: str) -> None:
        """Raises the problem for everybody but callers of this kind."""
        if self.kind == "anonymous":
            raise unauthenticated("authenticate first, at /api/v1/tokens or /authenticate")
        if self.kind != kind:
            raise Problem(403, "not-allowed", f"{what} is for a {kind}, not for {self.kind} {self.id}".rstrip())


@dataclass(frozen=True, slots=True)
class Rotation:
    """After how many seconds keys are changed by themselves; infinity: never."""

    tokens: float = 30 * 86400.0
    measurements: float = float("inf")


@dataclass(frozen=True, slots=True)
class CatalogParts:
    """What the catalog's routes serve, made once per process."""

    database: Database
    catalog: Catalog
    accounts: Accounts
    signer: Signer
    queries: Queries
    contracts: Contracts
    measured: Publisher
    operator: OperatorCheck
    fan: Fan
    rotation: Rotation
    anonymous: bool = False
    origins: frozenset[str] = frozenset()
    tickets: Tickets = field(default_factory=lambda: Tickets())
    follower: Follower | None = None
    """Who looks after links that others can take away."""

    async def admit(self, authorization: str | None) -> Caller:
        """Who calls; raises the problem when that is not clear."""
        if authorization is None:
            return Caller("anonymous", scopes=frozenset(("offers:read",)) if self.anonymous else frozenset())
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise unauthenticated("Authorization must be: Bearer TOKEN")
        token = token.strip()
        if token.count(".") != 2:
            if await self.operator(token):
                return Caller("operator", "operator")
            raise unauthenticated("the token is not known")
        try:
            claims = self.accounts.believe(token)
        except BadToken as error:
            if await self.operator(token):  # the management cluster's tokens may be JWTs too
                return Caller("operator", "operator")
            raise unauthenticated(str(error)) from error
        kind: Literal["provider", "consumer"] = "provider" if claims.role == "provider" else "consumer"
        return Caller(kind, claims.account, claims.scopes, claims.family, claims.expires)

    async def caller(self, request: Request) -> Caller:
        """Who sent this request."""
        return await self.admit(request.headers.get("authorization"))

    def sees(self, caller: Caller) -> str:
        """The provider to whose offers a caller's view is confined; empty: it sees all."""
        caller.require("offers:read")
        return caller.id if caller.kind == "provider" and not self.anonymous else ""


class Tickets:
    """One-use proofs for browsers, which cannot send headers when they open a socket."""

    LIFETIME = 30.0
    _MOST = 10_000

    def __init__(self) -> None:
        self._open: dict[str, tuple[float, Caller]] = {}

    def issue(self, caller: Caller, now: float) -> str:
        """A ticket that stands for the caller once."""
        self._open = {key: held for key, held in self._open.items() if held[0] > now}
        if len(self._open) >= self._MOST:
            raise Problem(503, "busy", "too many tickets wait to be used", headers={"Retry-After": "5"})
        ticket = secrets.token_urlsafe(24)
        self._open[digest(ticket)] = (now + self.LIFETIME, caller)
        return ticket

    def redeem(self, ticket: str, now: float) -> Caller | None:
        """Whom it stands for; nobody the second time."""
        until, caller = self._open.pop(digest(ticket), (0.0, None))
        return caller if until > now else None


def unauthenticated(detail: str) -> Problem:
    """401, with the header that it demands."""
    return Problem(401, "not-authenticated", detail, headers={"WWW-Authenticate": 'Bearer realm="catalog"'})


def token_operator(token: str) -> OperatorCheck:
    """The operator is who has this token."""
    wanted = digest(token)

    async def check(given: str) -> bool:
        return hmac.compare_digest(digest(given), wanted)

    return check


@asynccontextmanager
async def running(parts: CatalogParts) -> AsyncIterator[None]:
    """The catalog's life: storage first, streams end before it."""
    compile_where("true")  # the first expression loads the parser, which no caller shall wait for
    await parts.database.open()
    await parts.accounts.load()
    await parts.signer.load()
    await parts.catalog.load()
    await parts.queries.prepare("price")  # what everybody asks for
    if parts.follower is not None:
        await parts.follower.load()
    await parts.contracts.load()
    gc.freeze()  # what was loaded mostly stays: looking through it again and again would stall everybody for long
    await parts.measured.load()
    beat, fan = asyncio.create_task(_beat(parts)), asyncio.create_task(parts.fan.run())
    ending = [beat, *([asyncio.create_task(parts.follower.run())] if parts.follower is not None else [])]
    try:
        yield
    finally:
        for task in ending:
            task.cancel()
        parts.catalog.feed.close()
        await asyncio.gather(*ending, fan, return_exceptions=True)
        await parts.contracts.close()
        await parts.database.close()


async def _beat(parts: CatalogParts) -> None:
    """Streams look at their tokens; contracts are metered; keys and measurements age. No failure ends any of it."""
    while True:
        await asyncio.sleep(HEARTBEAT)
        parts.catalog.feed.beat()
        try:
            if parts.follower is not None:
                await parts.follower.beat()
            await parts.contracts.meter()
        except Exception:
            log.exception("usage could not be recorded; it is tried again")
        try:
            await parts.signer.rotate_after(parts.rotation.tokens)
            await parts.measured.measurements.rotate_after(parts.rotation.measurements)
        except Exception:
            log.exception("the keys could not be changed; it is tried again")
        try:
            await parts.measured.refresh()
        except Exception:
            log.exception("measured values could not be told; it is tried again")


def problem_of(error: Exception) -> Problem:
    """What a refusal of the catalog is over HTTP."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, BadOffer):
        return Problem(422, "offer-invalid", error.problems[0], {"problems": error.problems})
    if isinstance(error, BadExpression):
        return Problem(400, "where-invalid", f"where: {error}")
    if isinstance(error, BadQuery):
        return Problem(400, "query-invalid", str(error))
    if isinstance(error, Refused):
        status = _STATUS.get(error.code, 409)
        if status == 401:
            return unauthenticated(str(error))
        return Problem(status, error.code, str(error), headers={"Retry-After": "60"} if status == 429 else {})
    return Problem(503, "storage-failed", "the catalog's storage does not answer; its log says why")


def handle_refusals(app: FastAPI) -> None:
    """Every refusal of the catalog becomes application/problem+json."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error)
        if problem.status >= 500:
            log.error("%s %s: %s", request.method, request.url.path, error)
        return JSONResponse(problem.to_dict(), problem.status, dict(problem.headers), MEDIA_TYPE)

    for kind in (BadOffer, BadExpression, BadQuery, Refused, StorageFailed):
        app.add_exception_handler(kind, refused)


async def json_body(request: Request) -> Any:
    """The decoded body with exact numbers; raises the problem when it is no JSON."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(415, "media-type", f"send application/json, not {media_type or 'a body without Content-Type'}")
    try:
        return decode(await request.body())
    except BadOffer as error:
        raise Problem(400, "body-invalid", str(error)) from error


async def fields(request: Request, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, str]:
    """A body that is an object of texts; raises the problem that names what is wrong."""
    body = await json_body(request)
    if not isinstance(body, dict):
        raise Problem(422, "body-invalid", "the body must be a JSON object")
    for name in required:
        if name not in body:
            raise Problem(422, "body-invalid", f"{name}: is missing")
    for name, value in body.items():
        if name not in (*required, *optional):
            known = ", ".join((*required, *optional))
            raise Problem(422, "body-invalid", f"{name[:64]}: is not known; known are {known}")
        if not isinstance(value, str) or (name in required and not value):
            what = "text that is not empty" if name in required else "text"
            raise Problem(422, "body-invalid", f"{name}: must be {what}")
        if len(value) > 4096:
            raise Problem(422, "body-invalid", f"{name}: has more than 4096 characters")
    return dict(body)
