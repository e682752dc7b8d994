"""`/api/v1/contracts` and `/api/v1/usage`: buying plans, credentials for what was bought, and what it cost."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from continuo.broker.catalog.contracts import Contract, Purchase
from continuo.broker.catalog.usage import as_csv, as_lines
from continuo.broker.offers.amounts import BadAmount, price
from continuo.server.catalog_face import Caller, CatalogParts, fields, json_body
from continuo.server.catalog_openapi import answers, body, json_answer, parameter, texts
from continuo.server.problems import Problem
from continuo.server.routes.catalog_offers import bodies

_SETTLE = 2.0
_LONGEST = 30.0
"""Seconds for which a request may wait: proxies end those that say nothing for a minute."""
_ANY: dict[str, Any] = {"type": "object"}
_REFUSED = (401, 403)
_REVIEW: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"},
        "spec": {"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}},
    },
}  # fmt: skip
_USAGE = {"text/csv": as_csv, "application/jsonl": as_lines}


def contracts_router(parts: CatalogParts) -> APIRouter:
    """Contracts, their credentials, and their usage."""
    router = APIRouter(prefix="/api/v1", tags=["contracts"])
    contracts = parts.contracts

    async def reader(request: Request) -> tuple[Caller, str | None]:
        caller = await parts.caller(request)
        caller.require("contracts:read")
        return caller, None if caller.kind == "operator" else caller.id

    buying = body(texts("offer", "plan", optional=("cost",)))
    buying["openapi_extra"]["parameters"] = [
        parameter("Idempotency-Key", "The same key and purchase, within a day, is one contract.", place="header")
    ]

    @router.post("/contracts", **answers(201, _ANY, 200, 400, *_REFUSED, 404, 409, 415, 422), **buying)
    async def buy(request: Request) -> Response:
        """Buy a plan. The contract is on its way to active when this answers, and usually there."""
        caller = await parts.caller(request)
        caller.require("contracts:write")
        caller.only("consumer", "buying")
        purchase = _purchase(caller, await fields(request, ("offer", "plan"), ("cost",)))
        made, new = await contracts.buy(purchase, _key(request))
        settled = await contracts.settled(made.id, _SETTLE)
        return bodies(settled.told(), 201 if new else 200, {"Location": f"/api/v1/contracts/{made.id}"})

    @router.get("/contracts", **json_answer(_ANY, *_REFUSED))
    async def mine(request: Request) -> Response:
        """The contracts that one has bought or sold, the newest first."""
        _, account = await reader(request)
        return bodies({"items": [contract.told() for contract in contracts.concerning(account)]})

    bounds = {"type": "number", "minimum": 0, "maximum": _LONGEST}
    told = "Answer as soon as it is active, ended or failed, or after so many seconds as it is then."
    waiting = {"parameters": [parameter("wait", told, bounds)]}

    @router.get("/contracts/{id}", **json_answer(_ANY, 400, *_REFUSED, 404), openapi_extra=waiting)
    async def one(id: str, request: Request) -> Response:
        """One contract, at once or when it is where it was on its way to."""
        _, account = await reader(request)
        within = _seconds(request.query_params.get("wait", "0"))
        contracts.get(id, account)
        return bodies((await contracts.settled(id, within)).told())

    @router.delete("/contracts/{id}", **json_answer(_ANY, *_REFUSED, 404))
    async def end(id: str, request: Request) -> Response:
        """End a contract: its token stops at once, then the link goes. Ending it again changes nothing."""
        caller, account = await reader(request)
        if caller.kind == "consumer":
            caller.require("contracts:write")
        return bodies(
            (await contracts.end(id, account, f"ended by the {_role(caller, contracts.get(id, account))}")).told()
        )

    rotating = {
        "openapi_extra": {"parameters": [parameter("rotate", "Make new ones, and end the old.", {"type": "boolean"})]}
    }

    @router.post(
        "/contracts/{id}/credentials", **json_answer(_ANY, 400, *_REFUSED, 404, 409, 503), openapi_extra=rotating
    )
    async def credentials(id: str, request: Request) -> Response:
        """The peering credentials of a contract, handed over once."""
        caller = await parts.caller(request)
        caller.require("contracts:write")
        caller.only("consumer", "peering credentials")
        rotate = request.query_params.get("rotate", "false")
        if rotate not in ("true", "false"):
            raise Problem(400, "query-invalid", f"rotate: must be true or false, not {rotate[:32]!r}")
        handed = await contracts.credentials(id, caller.id, rotate=rotate == "true")
        seller = parts.accounts.get(contracts.get(id, caller.id).provider)
        cluster, url = (seller.cluster_id or seller.id, seller.auth_url) if seller else ("", "")
        told = {"contract": id, "clusterID": cluster, "authURL": url, "token": handed.token}
        if (access := handed.access) is not None:
            told |= {"namespace": access.namespace, "expires": access.expires, "kubeconfig": access.kubeconfig}
        return bodies(told, headers={"Cache-Control": "no-store"})

    @router.post("/tokenreviews", **answers(200, _ANY, 201, 400, *_REFUSED, 415, 422), **body(_REVIEW))
    async def review(request: Request) -> Response:
        """For providers' API servers (webhook token authentication): whom a peering token stands for."""
        caller = await parts.caller(request)
        caller.require("tokens:review")
        caller.only("provider", "reviewing tokens")
        return bodies(_reviewed(await json_body(request), lambda token: contracts.review(token, caller.id)), 201)

    formats = [
        parameter("format", "jsonl or csv.", {"enum": ["jsonl", "csv"]}),
        parameter("contract", "Only this one's."),
    ]
    described = answers(200, None, 400, *_REFUSED)
    described["responses"][200] = {
        "description": "Usage records.", "content": {media: {"schema": {"type": "string"}} for media in _USAGE},
    }  # fmt: skip

    @router.get("/usage", openapi_extra={"parameters": formats}, **described)
    async def usage(request: Request) -> Response:
        """Usage records of the contracts that one has bought or sold, in order of time."""
        _, account = await reader(request)
        wanted = request.query_params.get("format", "jsonl")
        if wanted not in ("jsonl", "csv"):
            raise Problem(400, "query-invalid", f"format: must be jsonl or csv, not {wanted[:32]!r}")
        media = "text/csv" if wanted == "csv" else "application/jsonl"
        records = await contracts.usage(account, request.query_params.get("contract"))
        return Response(_USAGE[media](records), media_type=media, headers={"Cache-Control": "no-store"})

    return router


def _role(caller: Caller, contract: Contract) -> str:
    if caller.kind == "operator":
        return "operator"
    return "buyer" if caller.id == contract.buyer else "provider"


def _purchase(caller: Caller, given: dict[str, str]) -> Purchase:
    cost = given.get("cost")
    if cost is not None:
        try:
            cost = price(cost)
        except BadAmount as problem:
            raise Problem(422, "body-invalid", f"cost: {problem}") from problem
    return Purchase(caller.id, given["offer"], given["plan"], cost)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= _LONGEST:  # nor is NaN
        raise Problem(
            400, "query-invalid", f"wait: must be a number of seconds from 0 to {_LONGEST:g}, not {text[:32]!r}"
        )
    return seconds


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise Problem(400, "idempotency-key-invalid", "Idempotency-Key: must be 1 to 255 printable characters")
    return key


def _reviewed(given: Any, find: Any) -> dict[str, Any]:
    spec = given.get("spec") if isinstance(given, dict) else None
    token = spec.get("token") if isinstance(spec, dict) else None
    if not isinstance(token, str) or not token:
        raise Problem(422, "body-invalid", "spec.token: is missing; send an authentication.k8s.io/v1 TokenReview")
    contract = find(token)
    status: dict[str, Any] = {"authenticated": contract is not None}
    if contract is not None:
        groups = ["continuo:contracts", f"continuo:buyer:{contract.buyer}"]
        status["user"] = {"username": f"continuo:contract:{contract.id}", "uid": contract.id, "groups": groups}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
