"""The catalog's first routes, as they are known from the outside: five for providers and a socket for everybody else.

`GET /offers` also answers `where`, `order`, `limit` and `cursor`, and then in the modern form.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket

from continuo.broker.catalog.accounts import Account, NotKnown
from continuo.broker.offers.reading import read_offer
from continuo.server.catalog_face import Caller, CatalogParts, fields, json_body
from continuo.server.catalog_openapi import EXAMPLE_TOKEN, OFFER, answers, body, json_answer
from continuo.server.catalog_sockets import serve_socket
from continuo.server.problems import Problem
from continuo.server.routes.catalog_offers import answer_list, asked_of, bodies, query_parameters

_CLUSTER = ("clusterID", "clusterId", "cluster_id", "account")
_TOKEN = ("authToken", "token", "authenticationToken", "secret")
_URL = ("authURL", "authUrl", "authenticationURL", "endpoint")


def thesis_router(parts: CatalogParts) -> APIRouter:
    """`/authenticate`, `/offers`, `/offer/{id}` and the socket."""
    router = APIRouter(tags=["catalog, first form"])
    catalog = parts.catalog

    async def provider(request: Request, scope: str) -> Caller:
        caller = await parts.caller(request)
        caller.require(scope)
        caller.only("provider", "this route")
        return caller

    @router.post("/authenticate", **json_answer(EXAMPLE_TOKEN, 400, 401, 415, 422, 429), **body({"type": "object"}))
    async def authenticate(request: Request) -> Response:
        """Exchange peering credentials (cluster ID, authentication URL and token) for a JWT."""
        given = await fields(request, (), (*_CLUSTER, *_TOKEN, *_URL, "clusterName"))
        cluster, secret, url = (_first(given, names) for names in (_CLUSTER, _TOKEN, _URL))
        if not cluster or not secret:
            raise Problem(
                422, "body-invalid", "send clusterID, authToken and authURL: the cluster's peering credentials"
            )
        account = _account(parts, cluster)
        if account is None:
            account = Account(cluster, "provider")  # unknown: the login takes as long, and fails
        login = await parts.accounts.login(account.id, secret)
        if url and url != account.auth_url:
            await _remember(parts, account, cluster, url)
        return bodies({"token": login.access, "refreshToken": login.refresh, "expiresIn": 900})

    @router.get("/offers", openapi_extra={"parameters": query_parameters()}, **json_answer({}, 304, 400, 401, 403))
    async def offers(request: Request) -> Response:
        """A provider's own offers; everybody's for consumers. With a query, as `/api/v1/offers`."""
        caller = await parts.caller(request)
        if request.query_params:
            return await answer_list(parts, request, *asked_of(parts, caller, request))
        mine = parts.sees(caller) or (caller.id if caller.kind == "provider" else "")
        entries = catalog.index.of_provider(mine) if mine else catalog.index.after("")
        return Response(b"[" + b",".join(entry.thesis for entry in entries) + b"]", media_type="application/json")

    @router.get("/offer/{id}", **json_answer(OFFER, 401, 403, 404))
    async def one(id: str, request: Request) -> Response:
        """One offer."""
        caller = await parts.caller(request)
        return Response(catalog.own(id, parts.sees(caller) or None).thesis, media_type="application/json")

    @router.post("/offer/{id}", **answers(200, OFFER, 201, 400, 401, 403, 404, 409, 415, 422), **body(OFFER))
    async def put(id: str, request: Request) -> Response:
        """Create an offer, or replace it if it exists."""
        caller = await provider(request, "offers:write")
        account = parts.accounts.need(caller.id)
        offer = read_offer(await json_body(request), id=id, provider=caller.id, region=account.region)
        entry, new = await catalog.publish(offer)
        return Response(entry.thesis, 201 if new else 200, media_type="application/json")

    @router.delete("/offer/{id}", status_code=204, **answers(204, None, 401, 403, 404))
    async def delete(id: str, request: Request) -> Response:
        """Delete an offer."""
        caller = await provider(request, "offers:write")
        await catalog.withdraw(id, caller.id)
        return Response(status_code=204)

    @router.websocket("/offers")
    async def socket(socket: WebSocket) -> None:
        await serve_socket(parts, socket)

    @router.websocket("/")
    async def root_socket(socket: WebSocket) -> None:
        await serve_socket(parts, socket)

    return router


def _first(given: dict[str, Any], names: tuple[str, ...]) -> str:
    found = [given[name] for name in names if given.get(name)]
    if len(set(found)) > 1:
        raise Problem(422, "body-invalid", f"{', '.join(names[:2])} are the same thing but differ; leave one out")
    return found[0] if found else ""


def _account(parts: CatalogParts, cluster: str) -> Account | None:
    direct = parts.accounts.get(cluster)
    if direct is not None:
        return direct
    return next((account for account in parts.accounts.all() if account.cluster_id == cluster), None)


async def _remember(parts: CatalogParts, account: Account, cluster: str, url: str) -> None:
    """Where buyers will reach the cluster. Proven by the login, so the operator need not type it."""
    import msgspec

    if not url.startswith("https://") or len(url) > 512 or any(char.isspace() for char in url):
        raise Problem(422, "body-invalid", "authURL: must be an https address of at most 512 characters")
    if parts.accounts.get(account.id) is None:
        raise NotKnown("the account and its secret do not belong together")
    await parts.accounts.put(msgspec.structs.replace(account, cluster_id=account.cluster_id or cluster, auth_url=url))
