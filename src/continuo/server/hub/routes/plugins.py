"""`/v1/plugins`, and plugins of boards."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from continuo.iot import pickled
from continuo.iot.hub.desired import pinning
from continuo.iot.hub.model import Injection, Json, Plugin
from continuo.iot.hub.records import Change
from continuo.iot.hub.refusals import bad, taken
from continuo.server.hub import bodies, views
from continuo.server.hub.answers import answer, told
from continuo.server.hub.face import ACTION, REFUSALS, Face, takes
from continuo.server.hub.identity import Caller, allow
from continuo.server.hub.listing import FIELDS_QUERY, QUERY, listed, narrowed

_QUERY = [
    *QUERY, *({"name": name, "in": "query", "schema": {"type": "string"}} for name in ("with_public", "all_plugins")),
]  # fmt: skip


def source(code: str) -> str:
    """Code as it is said, plain or pickled; raises Refused."""
    try:
        return pickled.code_of(code)
    except pickled.NotText as error:
        raise bad(f"code: {error}") from None


def plugins_router(face: Face) -> APIRouter:
    """The routes of plugins themselves."""
    router = APIRouter(prefix="/v1/plugins", tags=["plugins"], responses=REFUSALS)
    registry = face.registry

    def rows(caller: Caller, request: Request) -> list[Plugin]:
        allow(caller, "iot:thing:get")
        query, every = request.query_params, registry.table(Plugin).all()
        if _yes(query.get("all_plugins")) and (caller.admin or caller.trusted):
            return every
        public = _yes(query.get("with_public"))
        return [each for each in every if each.project == caller.project or (public and each.public)]

    @router.get("", openapi_extra={"parameters": _QUERY})
    async def plugins(request: Request) -> Response:
        """The project's plugins, and public ones where asked for."""
        found = rows(face.who(request), request)
        return answer(listed(request, "plugins", found, lambda it: views.plugin(registry, it), views.PLUGIN_SHORT))

    @router.get("/detail", openapi_extra={"parameters": _QUERY})
    async def plugins_detail(request: Request) -> Response:
        """The same with all fields."""
        return answer(
            listed(request, "plugins", rows(face.who(request), request), lambda it: views.plugin(registry, it))
        )

    @router.post("", status_code=201, openapi_extra=takes(bodies.PLUGIN))
    async def create(request: Request) -> Response:
        """A new plugin."""
        caller = face.who(request)
        allow(caller, "iot:thing:create")
        said = await face.body(request, bodies.PLUGIN)
        made = Plugin(
            uuid=registry.make_uuid(), created_at=registry.now(), owner=caller.user, project=caller.project,
            **{**said, "code": source(said["code"])},
        )  # fmt: skip
        await registry.records.commit(Change().add(made))
        return answer(views.plugin(registry, made), 201)

    @router.get("/{plugin}", openapi_extra={"parameters": FIELDS_QUERY})
    async def one(plugin: str, request: Request) -> Response:
        """A plugin."""
        found = face.plugin(face.who(request), plugin)
        return answer(narrowed(views.plugin(registry, found), request.query_params.get("fields")))

    @router.patch("/{plugin}", openapi_extra=takes(bodies.PLUGIN, partial=True))
    async def update(plugin: str, request: Request) -> Response:
        """Change a plugin. Boards of our agents get new code at once, others when it is injected again.

        Boards of other projects keep what they have until somebody of theirs injects it again.
        """
        caller = face.who(request)
        face.plugin(caller, plugin, "iot:thing:change")
        said, _ = await face.patch(request, bodies.PLUGIN)
        changes: Json = {**said, **({"code": source(said["code"])} if "code" in said else {})}
        before = face.plugin(caller, plugin, "iot:thing:change")
        after = registry.stamped(before, **changes)
        await registry.records.commit(Change().add(after, *pinning(registry, before, after)))
        for row in registry.table(Injection).by("plugin", after.uuid):
            face.hub.pusher.push(row.board)
        return answer(views.plugin(registry, after))

    @router.delete("/{plugin}", status_code=204)
    async def delete(plugin: str, request: Request) -> Response:
        """Delete a plugin that no board has."""
        found = face.plugin(face.who(request), plugin, "iot:thing:change")
        count = registry.table(Injection).count("plugin", found.uuid)
        if count:
            raise taken(f"Plugin {found.uuid} is injected into {count} boards: remove it there first.")
        await registry.records.commit(Change().remove(found))
        return Response(status_code=204)

    return router


def injections_router(face: Face) -> APIRouter:
    """The routes of boards' plugins."""
    router = APIRouter(prefix="/v1/boards/{board}/plugins", tags=["plugins"], responses=ACTION)
    hub, registry = face.hub, face.registry

    @router.get("", openapi_extra={"parameters": QUERY})
    async def injections(board: str, request: Request) -> Response:
        """A board's plugins."""
        found = face.board(face.who(request), board)
        rows = registry.table(Injection).by("board", found.uuid)
        return answer(
            listed(request, "injections", rows, lambda it: views.injection(registry, it), marker=lambda it: it.plugin)
        )

    @router.put("", openapi_extra=takes(bodies.INJECT))
    async def inject(board: str, request: Request) -> Response:
        """Put a plugin on a board, or its code as it is now."""
        caller = face.who(request)
        face.board(caller, board, "iot:board:act")
        said = await face.body(request, bodies.INJECT)
        found, manner = face.board(caller, board, "iot:board:act"), await face.manner(request, said)
        plugin = face.plugin(caller, said["plugin"])
        return told(await hub.actions.inject(found, plugin, said.get("onboot") or False, manner))

    @router.get("/{plugin}")
    async def one(board: str, plugin: str, request: Request) -> Response:
        """One plugin of a board, with what the board says of it."""
        caller = face.who(request)
        found = face.injection(face.board(caller, board), face.plugin(caller, plugin))
        return answer(views.one_injection(hub, found))

    @router.post("/{plugin}", openapi_extra=takes(bodies.PLUGIN_ACTION))
    async def act(board: str, plugin: str, request: Request) -> Response:
        """Start, stop, call, restart or ask a plugin."""
        caller = face.who(request)
        face.board(caller, board, "iot:board:act")
        said = await face.body(request, bodies.PLUGIN_ACTION)
        found, manner = face.board(caller, board, "iot:board:act"), await face.manner(request, said)
        which = face.plugin(caller, plugin)
        return told(await hub.actions.plugin(found, which, said["action"], said.get("parameters") or {}, manner))

    @router.delete("/{plugin}", status_code=204)
    async def remove(board: str, plugin: str, request: Request) -> Response:
        """Take a plugin from a board."""
        caller = face.who(request)
        found, which = face.board(caller, board, "iot:board:act"), face.plugin(caller, plugin)
        return told(await hub.actions.remove(found, which, await face.manner(request)), 204)

    return router


def _yes(said: str | None) -> bool:
    return (said or "").lower() in ("1", "t", "true", "on", "y", "yes")
