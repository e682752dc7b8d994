"""Who may ask, and whose plugins boards run."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from continuo.iot.hub.desired import policy_of
from continuo.iot.hub.model import Board, Json, Token
from continuo.iot.hub.refusals import Refused, bad
from continuo.iot.signing import BadKey, public_key
from continuo.server.hub import bodies
from continuo.server.hub.answers import answer
from continuo.server.hub.face import REFUSALS, Face, takes
from continuo.server.hub.identity import allow


def governing_router(face: Face) -> APIRouter:
    """The agents' policy, and tokens."""
    router = APIRouter(prefix="/v1", tags=["governing"], responses=REFUSALS)
    registry = face.registry

    def tell_all() -> None:
        for board in registry.table(Board).all():
            if registry.online(board.uuid) and registry.speaks_desire(board):
                face.hub.pusher.push(board.uuid)

    @router.get("/agent-policy")
    async def policy(request: Request) -> Response:
        """Whose signature lets boards run a plugin, and within which limits."""
        allow(face.who(request), "iot:policy:get")
        return answer(policy_of(registry))

    @router.put("/agent-policy/keys/{name}", openapi_extra=takes(bodies.KEY))
    async def add_key(name: str, request: Request) -> Response:
        """Admit a key."""
        allow(face.who(request), "iot:policy:change")
        said = await face.body(request, bodies.KEY)
        try:
            public_key(said["public"])
        except BadKey as error:
            raise bad(f"public: {error}") from None
        await registry.add_key(name, said["public"].lower())
        tell_all()
        return answer(policy_of(registry))

    @router.delete("/agent-policy/keys/{name}", status_code=204)
    async def remove_key(name: str, request: Request) -> Response:
        """Admit a key no longer: what it signed stops."""
        allow(face.who(request), "iot:policy:change")
        try:
            await registry.remove_key(name)
        except LookupError as error:
            raise Refused(404, str(error)) from None
        tell_all()
        return Response(status_code=204)

    @router.get("/tokens")
    async def tokens(request: Request) -> Response:
        """Who may ask; never the tokens themselves."""
        allow(face.who(request), "iot:token:change")
        return answer({"tokens": [_token(token) for token in registry.table(Token).all()]})

    @router.post("/tokens", status_code=201, openapi_extra=takes(bodies.TOKEN))
    async def add_token(request: Request) -> Response:
        """Somebody else who may ask; the token is told only here."""
        allow(face.who(request), "iot:token:change")
        said = await face.body(request, bodies.TOKEN)
        token, secret = await registry.add_token(said["project"], said["role"], said.get("user"))
        return answer({**_token(token), "token": secret}, 201)

    @router.delete("/tokens/{token}", status_code=204)
    async def remove_token(token: str, request: Request) -> Response:
        """Let somebody ask no longer."""
        allow(face.who(request), "iot:token:change")
        try:
            await registry.remove_token(token)
        except LookupError as error:
            raise Refused(404, str(error)) from None
        return Response(status_code=204)

    return router


def _token(token: Token) -> Json:
    return {
        "id": token.id, "project": token.project, "role": token.role, "user": token.user,
        "created_at": token.created_at,
    }  # fmt: skip
