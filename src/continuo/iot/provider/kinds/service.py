"""Services: names for ports that boards listen on."""

from __future__ import annotations

from typing import Any

from continuo.iot.provider.external import Change, Creation, Managed, Observation
from continuo.iot.provider.kinds.common import extra_of, find, lacks, named, path, removed, text, with_extra
from continuo.iot.provider.lists import Row
from continuo.iot.provider.world import Connection, Driver, World
from continuo.resources.boards import SERVICE, ServiceObservation, ServiceParameters

Service = Managed[ServiceParameters]


class Services:
    """Services of one endpoint."""

    def __init__(self, connection: Connection, world: World) -> None:  # noqa: ARG002
        self._rest, self._rows = connection.rest, connection.lists.services

    async def observe(self, managed: Service) -> Observation:
        """By uuid or marker."""
        row = await find(self._rows, managed)
        if row is None:
            return Observation(exists=False)
        difference = ", ".join(_changes(managed, row))
        return Observation(
            exists=True, up_to_date=not difference, at_provider=ServiceObservation(uuid=text(row, "uuid")),
            external_name=text(row, "uuid"), difference=difference,
            late={} if managed.parameters.port or not row.get("port") else {"port": row["port"]},
        )  # fmt: skip

    async def create(self, managed: Service) -> Creation:
        """Make it."""
        extra = extra_of(managed, managed.parameters.extra)
        row = (await self._rest.call("POST", "services", {**_wanted(managed), "extra": extra})).body
        self._rows.learn(row)
        return Creation(row["uuid"])

    async def update(self, managed: Service, seen: Observation) -> Change:  # noqa: ARG002
        """Boards that have it exposed follow, where the endpoint tells them."""
        row = await self._rows.find(managed.external_name)
        if row is not None and (changes := _changes(managed, row)):
            self._rows.learn((await self._rest.call("PATCH", path("services", managed.external_name), changes)).body)
        return Change()

    async def delete(self, managed: Service) -> None:
        """Whoever exposes it went before."""
        if managed.external_name:
            await removed(self._rest, path("services", managed.external_name))
            self._rows.drop(managed.external_name)


def _wanted(managed: Service) -> dict[str, Any]:
    said = managed.parameters
    return {"name": named(managed, said.name, 36), "port": said.port, "protocol": said.protocol.value}


def _changes(managed: Service, row: Row) -> dict[str, Any]:
    changes = {
        key: value for key, value in _wanted(managed).items()
        if value is not None and str(row.get(key)).upper() != str(value).upper()
    }  # fmt: skip
    if row.get("name") != named(managed, managed.parameters.name, 36):
        changes["name"] = named(managed, managed.parameters.name, 36)
    extra = extra_of(managed, managed.parameters.extra)
    return {**changes, "extra": with_extra(row, extra)} if lacks(row, extra) else changes


SERVICES: Driver[ServiceParameters] = Driver(SERVICE, ServiceParameters, Services)
