"""`/api/v1/tokens` and `/api/v1/accounts`: logging in, and what the operator decides about who may."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from continuo.broker.catalog.accounts import SCOPES, Account, Login
from continuo.broker.catalog.tokens import LIFETIME
from continuo.broker.offers.reading import IDENTITY
from continuo.server.catalog_face import CatalogParts, fields, json_body
from continuo.server.catalog_openapi import answers, body, json_answer, parameter, texts
from continuo.server.problems import Problem
from continuo.server.routes.catalog_offers import bodies

_TOKENS: dict[str, Any] = {
    "type": "object",
    "required": ["access_token", "refresh_token", "token_type", "expires_in", "scope"],
    "properties": {name: {"type": "string"} for name in ("access_token", "refresh_token", "token_type", "scope")},
}
_ACCOUNT: dict[str, Any] = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"enum": ["provider", "consumer"]}, "name": {"type": "string"}, "region": {"type": "string"},
        "scopes": {"type": "array", "items": {"type": "string"}}, "cluster_id": {"type": "string"},
        "auth_url": {"type": "string"}, "disabled": {"type": "boolean"}, "secret": {"type": "string"},
    },
    "example": {"role": "provider", "name": "Example provider", "region": "eu-south"},
}  # fmt: skip
_ANY: dict[str, Any] = {"type": "object"}
_LOGIN = texts("account", "secret", optional=("scope",))
_REFUSED = (401, 403)


def accounts_router(parts: CatalogParts) -> APIRouter:
    """Tokens, keys and accounts."""
    router = APIRouter(prefix="/api/v1", tags=["accounts"])
    accounts = parts.accounts

    async def operator(request: Request) -> None:
        (await parts.caller(request)).only("operator", "managing accounts")

    def known(id: str) -> Account:
        return accounts.need(id)

    @router.post(
        "/tokens",
        **json_answer(_TOKENS, 400, 401, 415, 422, 429),
        **body(texts("account", "secret", optional=("scope",))),
    )
    async def login(request: Request) -> Response:
        """Exchange an account's secret for an access token (minutes) and a refresh token (good once)."""
        given = await fields(request, ("account", "secret"), ("scope",))
        wanted = frozenset(given["scope"].split()) if given.get("scope") else None
        return _tokens(await accounts.login(given["account"], given["secret"], wanted))

    @router.post("/tokens:refresh", **json_answer(_TOKENS, 400, 401, 415, 422), **body(texts("refresh_token")))
    async def refresh(request: Request) -> Response:
        """New tokens for a refresh token. A second use of the same one revokes the login."""
        return _tokens(await accounts.refresh((await fields(request, ("refresh_token",)))["refresh_token"]))

    @router.post("/tokens:revoke", status_code=204, **answers(204, None, *_REFUSED))
    async def revoke(request: Request) -> Response:
        """End this login: its access and refresh tokens."""
        caller = await parts.caller(request)
        if not caller.family:
            caller.only("provider", "revoking a login")
        await accounts.revoke(caller.family)
        return Response(status_code=204)

    @router.get("/keys", **json_answer(_ANY))
    async def keys() -> Response:
        """The public keys of access tokens (JWK set)."""
        return bodies(parts.signer.public_keys())

    dropping = parameter("drop", "Also end every access token that older keys have signed.", {"type": "boolean"})

    @router.post("/keys:rotate", openapi_extra={"parameters": [dropping]}, **json_answer(_ANY, 400, *_REFUSED))
    async def rotate(request: Request) -> Response:
        """Sign with a new key; tokens of the last one stay good until they expire, unless older keys are dropped."""
        await operator(request)
        drop = request.query_params.get("drop", "false")
        if drop not in ("true", "false"):
            raise Problem(400, "query-invalid", f"drop: must be true or false, not {drop[:32]!r}")
        return bodies({"kid": await parts.signer.rotate(drop=drop == "true")})

    @router.get("/accounts", **json_answer(_ANY, *_REFUSED))
    async def everyone(request: Request) -> Response:
        """All accounts; never their secrets."""
        await operator(request)
        return bodies({"items": accounts.all()})

    @router.get("/accounts/{id}", **json_answer(_ANY, *_REFUSED, 404))
    async def one(id: str, request: Request) -> Response:
        """One account."""
        await operator(request)
        return bodies(known(id))

    @router.put("/accounts/{id}", **answers(200, _ANY, 201, 400, *_REFUSED, 409, 415, 422), **body(_ACCOUNT))
    async def put(id: str, request: Request) -> Response:
        """Create or change an account. A new one gets a secret, told once, unless one is given."""
        await operator(request)
        account, secret = _read(id, await json_body(request))
        before = accounts.get(id)
        if before is not None and before.role != account.role:
            raise Problem(409, "role-fixed", f"{id} is a {before.role}; delete it first to make it a {account.role}")
        made = await accounts.put(account, secret)
        told = {**msgspec.to_builtins(account), **({"secret": made} if made else {})}
        return bodies(told, 200 if before else 201)

    @router.post("/accounts/{id}/secret", **json_answer(_ANY, *_REFUSED, 404))
    async def renew(id: str, request: Request) -> Response:
        """A new secret, told once; every login made with the old one ends."""
        await operator(request)
        return bodies({"id": id, "secret": await accounts.renew_secret(id)})

    @router.post("/accounts/{id}/revoke", status_code=204, **answers(204, None, *_REFUSED, 404))
    async def revoke_all(id: str, request: Request) -> Response:
        """End every login of an account."""
        await operator(request)
        await accounts.revoke_all(known(id).id)
        return Response(status_code=204)

    @router.delete("/accounts/{id}", status_code=204, **answers(204, None, *_REFUSED, 404, 409))
    async def delete(id: str, request: Request) -> Response:
        """Remove an account that has no offers any more."""
        await operator(request)
        if known(id) and parts.catalog.index.of_provider(id):
            raise Problem(409, "account-in-use", f"{id} still has offers; withdraw them, or disable the account")
        if any(contract.state not in ("ended", "failed") for contract in parts.contracts.concerning(id)):
            raise Problem(409, "account-in-use", f"{id} still has contracts; end them, or disable the account")
        await accounts.delete(id)
        return Response(status_code=204)

    return router


def _tokens(login: Login) -> Response:
    return bodies(
        {
            "access_token": login.access, "refresh_token": login.refresh, "token_type": "Bearer",
            "expires_in": LIFETIME, "scope": " ".join(sorted(login.scopes)),
        }
    )  # fmt: skip


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    """What the operator says about an account."""

    role: str
    name: str = ""
    region: str = ""
    scopes: tuple[str, ...] = ()
    cluster_id: str = ""
    auth_url: str = ""
    disabled: bool = False
    secret: str = ""


def _read(id: str, value: Any) -> tuple[Account, str | None]:
    if not IDENTITY.fullmatch(id):
        raise Problem(
            422, "account-invalid", "an account's id must be 1 to 128 letters, digits, dots, dashes, underscores"
        )
    try:
        given = msgspec.convert(value, _Given)
    except msgspec.ValidationError as error:
        raise Problem(422, "account-invalid", f"the account is not right: {error}") from error
    allowed = SCOPES.get(given.role)
    if allowed is None:
        raise Problem(422, "account-invalid", f"role: must be provider or consumer, not {given.role[:64]!r}")
    for scope in given.scopes:
        if scope not in allowed:
            there = ", ".join(sorted(allowed))
            raise Problem(
                422, "account-invalid", f"scopes: {scope[:64]!r} is none for a {given.role}; there are {there}"
            )
    if given.secret and not 12 <= len(given.secret) <= 1024:
        raise Problem(422, "account-invalid", "secret: must have 12 to 1024 characters")
    for field in ("name", "region", "cluster_id", "auth_url"):
        text = getattr(given, field)
        if len(text) > 512 or any(ord(char) < 32 for char in text):
            raise Problem(422, "account-invalid", f"{field}: must be at most 512 printable characters")
    if given.auth_url and not given.auth_url.startswith("https://"):
        raise Problem(422, "account-invalid", "auth_url: must be an https address")
    told = {
        field: getattr(given, field) for field in ("name", "region", "scopes", "cluster_id", "auth_url", "disabled")
    }
    return Account(id, "provider" if given.role == "provider" else "consumer", **told), given.secret or None
