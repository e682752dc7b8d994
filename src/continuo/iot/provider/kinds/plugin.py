"""Plugins: code from the object, a ConfigMap or an address, kept as declared whatever an endpoint makes of it."""

from __future__ import annotations

from typing import Any

import msgspec

from continuo.iot import pickled
from continuo.iot.provider.external import Change, Creation, Managed, NotYet, Observation, Refused
from continuo.iot.provider.kinds.common import extra_of, find, lacks, named, path, text, with_extra
from continuo.iot.provider.lists import Row
from continuo.iot.provider.world import Connection, Driver, World
from continuo.iot.signing import code_hash
from continuo.resources.boards import PLUGIN, PluginObservation, PluginParameters
from continuo.resources.boards_plugins import LONGEST_CODE

Plugin = Managed[PluginParameters]


class Plugins:
    """Plugins of one endpoint."""

    def __init__(self, connection: Connection, world: World) -> None:
        self._connection, self._world = connection, world
        self._rows = connection.lists.plugins

    async def observe(self, managed: Plugin) -> Observation:
        """By uuid or marker; compared by the hash of the code, its parameters and `extra`."""
        row = await find(self._rows, managed)
        if row is None:
            return Observation(exists=False)
        if "code" not in row:
            row = await self._connection.rest.get(path("plugins", text(row, "uuid")))
            self._rows.learn(row)
        code = read_code(row)
        writes = not managed.deleting and bool({"Create", "Update"} & set(managed.policies))
        changes = await self._changes(managed, row) if writes else {}
        return Observation(
            exists=True,
            up_to_date=not changes,
            at_provider=PluginObservation(
                uuid=text(row, "uuid"),
                code_hash=code_hash(code) if code is not None else "",
                callable=bool(row.get("callable")),
            ),
            external_name=text(row, "uuid"),
            difference=f"its {', '.join(changes)} differed" if changes else "",
        )

    async def create(self, managed: Plugin) -> Creation:
        """With its code as text, which the endpoint pickles."""
        said = managed.parameters
        body = {
            "name": named(managed, said.name, 36), "code": await self._code(managed), "callable": said.callable,
            "public": said.public, "parameters": dict(said.parameters), "extra": _extra(managed),
        }  # fmt: skip
        row = (await self._connection.rest.call("POST", "plugins", body)).body
        self._rows.learn(row)
        return Creation(row["uuid"])

    async def update(self, managed: Plugin, seen: Observation) -> Change:  # noqa: ARG002
        """What differs. OpenStack's IoTronic stores changed code as it comes, so it gets it pickled."""
        uuid = managed.external_name
        row = await self._connection.rest.get(path("plugins", uuid))
        changes = await self._changes(managed, row)
        if not changes:
            return Change()
        if "code" in changes:
            changes["code"] = pickled.dumps(changes["code"])
        answer = await self._connection.rest.call("PATCH", path("plugins", uuid), changes)
        if isinstance(answer.body, dict) and answer.body.get("uuid") == uuid:
            self._rows.learn(answer.body)
        else:
            self._rows.changed(uuid)
        return Change()

    async def delete(self, managed: Plugin) -> None:
        """Its injections went before."""
        if not managed.external_name:
            return
        try:
            await self._connection.rest.call("DELETE", path("plugins", managed.external_name))
        except Refused as error:
            if error.status != 404:
                raise
        self._rows.drop(managed.external_name)

    async def _changes(self, managed: Plugin, row: Row) -> dict[str, Any]:
        said, changes = managed.parameters, dict[str, Any]()
        wanted = {
            "name": named(managed, said.name, 36), "callable": said.callable, "public": said.public,
            "parameters": dict(said.parameters),
        }  # fmt: skip
        changes = {key: value for key, value in wanted.items() if _plain(row.get(key)) != value}
        code = await self._code(managed)
        if read_code(row) != code:
            changes["code"] = code
        extra = _extra(managed)
        if lacks(row, extra):
            changes["extra"] = with_extra(row, extra)
        return changes

    async def _code(self, managed: Plugin) -> str:
        said = managed.parameters
        if said.code is not None:
            return said.code
        source = said.code_from
        if source is None:
            raise Refused("the plugin has neither code nor codeFrom")
        if source.config_map_key_ref is not None:
            wanted = source.config_map_key_ref
            held = await self._world.config_map(managed.namespace, wanted.name)
            if held is None or wanted.key not in held:
                raise NotYet(f"ConfigMap {managed.namespace}/{wanted.name} has no key {wanted.key}, which has the code")
            return held[wanted.key]
        found = await self._world.fetch(source.url or "", source.sha256 or "", LONGEST_CODE)
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise Refused(f"{source.url} has no code: it is not UTF-8") from None


def _extra(managed: Plugin) -> dict[str, Any]:
    said = managed.parameters
    signature = msgspec.to_builtins(said.signature) if said.signature is not None else None
    grants = msgspec.to_builtins(said.grants) if said.grants is not None else None
    return extra_of(managed, said.extra, signature=signature, grants=grants)


def read_code(row: Row) -> str | None:
    """A plugin's code as text; None where the endpoint has something else, or none."""
    code = row.get("code")
    if not isinstance(code, str):
        return None
    try:
        return pickled.loads(code)
    except pickled.NotText:
        return code


def _plain(value: Any) -> Any:
    """As we would say it: an endpoint may leave out what is empty."""
    return {} if value is None else value


PLUGINS: Driver[PluginParameters] = Driver(PLUGIN, PluginParameters, Plugins)
