"""`/api/v1/offers`: lists with filters, ranking and pages; writes that say which version they mean."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from continuo.broker.catalog.catalog import Guard, Stale
from continuo.broker.catalog.entries import Entry
from continuo.broker.catalog.query import MOST, Asked, check_order
from continuo.broker.catalog.where import compile_where
from continuo.broker.offers.reading import read_offer
from continuo.server.catalog_face import Caller, CatalogParts, json_body
from continuo.server.catalog_openapi import LIST, OFFER, SEARCH, answers, body, json_answer, parameter
from continuo.server.preconditions import tags_in
from continuo.server.problems import Problem

_QUERY = ("where", "order", "limit", "cursor")


def offers_router(parts: CatalogParts) -> APIRouter:
    """The modern form of the catalog's lists and offers."""
    router = APIRouter(prefix="/api/v1", tags=["offers"])
    catalog = parts.catalog

    @router.get("/offers", openapi_extra={"parameters": query_parameters()}, **json_answer(LIST, 304, 400, 401, 403))
    async def offers(request: Request) -> Response:
        """Offers that match, in pages."""
        return await answer_list(parts, request, *asked_of(parts, await parts.caller(request), request))

    @router.post("/offers:search", **json_answer(LIST, 400, 401, 403, 415, 422), **body(SEARCH))
    async def search(request: Request) -> Response:
        """The same list, for filters that are too long for an address."""
        caller = await parts.caller(request)
        given = await json_body(request)
        if not isinstance(given, dict) or set(given) - set(_QUERY):
            raise Problem(422, "body-invalid", f"the body must be an object with some of {', '.join(_QUERY)}")
        if any(not isinstance(value, str | int) or isinstance(value, bool) for value in given.values()):
            raise Problem(422, "body-invalid", "where, order and cursor must be text, and limit a whole number")
        texts = {name: str(value) for name, value in given.items()}
        return await answer_list(parts, request, *_asked(parts, caller, texts))

    @router.get("/offers/{id}", **json_answer(OFFER, 304, 401, 403, 404))
    async def one(id: str, request: Request) -> Response:
        """One offer, with its tag."""
        caller = await parts.caller(request)
        entry = catalog.own(id, parts.sees(caller) or None)
        if _seen(request, entry.etag):
            return Response(status_code=304, headers={"ETag": entry.etag})
        return _entry(entry)

    @router.put("/offers/{id}", openapi_extra={**_write_headers(), **_put_body()}, **answers(200, OFFER, *_PUT))
    async def put(id: str, request: Request) -> Response:
        """Create (`If-None-Match: *`) or replace (`If-Match: TAG`) an offer."""
        caller, guard = await _writer(request)
        account = parts.accounts.need(caller.id)
        offer = read_offer(await json_body(request), id=id, provider=caller.id, region=account.region)
        entry, new = await catalog.publish(offer, guard)
        return _entry(entry, 201 if new else 200)

    @router.delete("/offers/{id}", openapi_extra=_write_headers(), status_code=204, **answers(204, None, *_DELETE))
    async def delete(id: str, request: Request) -> Response:
        """Withdraw an offer; contracts for it stay as they are."""
        caller, guard = await _writer(request)
        await catalog.withdraw(id, caller.id, guard)
        return Response(status_code=204)

    async def _writer(request: Request) -> tuple[Caller, Guard]:
        caller = await parts.caller(request)
        caller.require("offers:write")
        caller.only("provider", "writing offers")
        return caller, _guard(request)

    return router


_PUT = (201, 400, 401, 403, 404, 409, 412, 415, 422, 428)
_DELETE = (400, 401, 403, 404, 412, 428)


def query_parameters() -> list[dict[str, Any]]:
    """The parameters of a list."""
    return [
        parameter("where", "A condition in CEL over price, resources, labels, region, provider, kind, measured."),
        parameter("order", "id, name, region, provider, price, resources.NAME, measured.NAME; - before the numbers."),
        parameter(
            "limit", f"At most so many offers, from 1 to {MOST}.", {"type": "integer", "minimum": 1, "maximum": MOST}
        ),
        parameter("cursor", "Where to go on, as the page before said."),
    ]


def asked_of(parts: CatalogParts, caller: Caller, request: Request) -> tuple[Asked, int, str | None]:
    """What the query of a request asks for."""
    query = request.query_params
    for name in query:
        if name not in _QUERY:
            raise Problem(400, "query-invalid", f"{name[:64]}: is no parameter; there are {', '.join(_QUERY)}")
        if len(query.getlist(name)) > 1:
            raise Problem(400, "query-invalid", f"{name}: is given more than once")
    return _asked(parts, caller, dict(query))


def _asked(parts: CatalogParts, caller: Caller, given: Mapping[str, str]) -> tuple[Asked, int, str | None]:
    provider = parts.sees(caller)
    limit = given.get("limit", "100")
    if not limit.isascii() or not limit.isdigit() or len(limit) > 5 or not 1 <= int(limit) <= MOST:
        raise Problem(400, "query-invalid", f"limit: must be a whole number from 1 to {MOST}, not {limit[:32]!r}")
    order = given.get("order", "id")
    check_order(order)
    where = given.get("where", "")
    if "where" in given:
        compile_where(where)
    return Asked(where, order, provider), int(limit), given.get("cursor")


async def answer_list(parts: CatalogParts, request: Request, asked: Asked, limit: int, cursor: str | None) -> Response:
    """One page, of bytes that were made when the offers changed."""
    named = hashlib.sha256(msgspec.json.encode((asked, limit, cursor))).hexdigest()[:16]
    etag = f'"{parts.catalog.index.revision}-{named}"'
    if _seen(request, etag):
        return Response(status_code=304, headers={"ETag": etag})
    page = await parts.queries.page(asked, limit, cursor)
    etag = f'"{page.revision}-{named}"'
    items = [_with_plans(entry, plans) if asked.where else entry.body for _, entry, plans in page.matches]
    tail = msgspec.json.encode({"revision": page.revision, "next_cursor": page.cursor})
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if page.cursor is not None:
        following = request.url.include_query_params(cursor=page.cursor)
        headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return Response(b'{"items":[%b],%b' % (b",".join(items), tail[1:]), headers=headers, media_type="application/json")


def _with_plans(entry: Entry, plans: tuple[str, ...]) -> bytes:
    return b'%b,"matches":%b}' % (entry.body[:-1], msgspec.json.encode(plans))


def bodies(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that nobody may keep."""
    kept = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(value), status, kept, media_type="application/json")


def _entry(entry: Entry, status: int = 200) -> Response:
    headers = {"ETag": entry.etag, "Cache-Control": "private, no-cache"}
    return Response(entry.body, status, headers, media_type="application/json")


def _seen(request: Request, etag: str) -> bool:
    given = request.headers.get("if-none-match")
    return given is not None and (given.strip() == "*" or etag.strip('"') in tags_in(given))


def _guard(request: Request) -> Guard:
    """What If-Match and If-None-Match demand of the current version; one of them is needed."""
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    if match is None and none_match is None:
        raise Problem(
            428, "precondition-required",
            "say which version you mean: If-Match with the offer's ETag, or If-None-Match: * for a new offer",
        )  # fmt: skip
    if none_match is not None and none_match.strip() != "*":
        raise Problem(400, "precondition-invalid", "If-None-Match: only * makes sense for a write")
    wanted = None if match is None else tags_in(match)

    def guard(current: Entry | None) -> None:
        if none_match is not None and current is not None:
            raise Stale(f"the offer {current.offer.id} exists already, at {current.etag}")
        if match is None or (current is not None and match.strip() == "*"):
            return
        if current is None or current.etag.strip('"') not in (wanted or ()):
            raise Stale(
                f"the offer is not at {match[:128]} but {'at ' + current.etag if current else 'absent'}; read it again"
            )

    return guard


def _put_body() -> dict[str, Any]:
    made: dict[str, Any] = body(OFFER)["openapi_extra"]
    return made


def _write_headers() -> dict[str, Any]:
    return {
        "parameters": [
            parameter("If-Match", "The ETag of the version that is meant.", place="header"),
            parameter("If-None-Match", "* for an offer that must be new.", place="header"),
        ]
    }
