"""Virtual networks: of a hub, which has a switch. Where the endpoint has none, a port names Neutron's network itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from continuo.iot.provider.external import Absent, Change, Creation, Managed, Neighbours, Observation, Refused
from continuo.iot.provider.kinds.common import (
    extra_of,
    lacks,
    marked,
    named,
    path,
    removed,
    text,
    untouched,
    with_extra,
)
from continuo.iot.provider.lists import Row
from continuo.iot.provider.references import external_name, for_provider
from continuo.iot.provider.world import Connection, Driver, World
from continuo.resources.boards import PORT, VIRTUAL_NETWORK, VirtualNetworkObservation, VirtualNetworkParameters
from continuo.resources.meta import Key, Kind, Object, key_of

Network = Managed[VirtualNetworkParameters]


class VirtualNetworks:
    """Networks of one endpoint."""

    def __init__(self, connection: Connection, world: World) -> None:  # noqa: ARG002
        self._rest, self._lists = connection.rest, connection.lists

    async def observe(self, managed: Network) -> Observation:
        """By uuid or marker, with how many ports it has."""
        row = await self._find(managed)
        if row is None:
            return Observation(exists=False)
        uuid = text(row, "uuid")
        ports = [text(port, "uuid") for port in await self._lists.ports.all() if port.get("network") == uuid]
        difference = ", ".join(_changes(managed, row))
        late = {"cidr": row["cidr"]} if managed.parameters.cidr is None and row.get("cidr") else {}
        return Observation(
            exists=True, up_to_date=not difference, external_name=uuid, difference=difference, late=late,
            at_provider=VirtualNetworkObservation(
                uuid=uuid, cidr=text(row, "cidr"), gateway=text(row, "gateway"), ports=len(ports)
            ),
            subjects=frozenset({f"network:{uuid}", *(f"port:{port}" for port in ports)}),
        )  # fmt: skip

    async def create(self, managed: Network) -> Creation:
        """Make it."""
        said = managed.parameters
        body = {**_wanted(managed), "cidr": said.cidr, "extra": extra_of(managed, said.extra)}
        if said.gateway is not None:
            body["gateway"] = said.gateway
        try:
            row = (await self._rest.call("POST", "networks", body)).body
        except Absent:
            raise self._none() from None
        self._lists.networks.learn(row)
        return Creation(row["uuid"], subjects=frozenset({f"network:{row['uuid']}"}))

    async def update(self, managed: Network, seen: Observation) -> Change:  # noqa: ARG002
        """Its name, MTU and security groups; addresses stay."""
        row = await self._lists.networks.find(managed.external_name)
        if row is not None and (changes := _changes(managed, row)):
            answer = await self._rest.call("PATCH", path("networks", managed.external_name), changes)
            self._lists.networks.learn(answer.body)
        return Change()

    async def delete(self, managed: Network) -> None:
        """Its ports went before."""
        if managed.external_name:
            await removed(self._rest, path("networks", managed.external_name))
            self._lists.networks.drop(managed.external_name)

    async def _find(self, managed: Network) -> Row | None:
        networks = self._lists.networks
        try:
            if untouched(managed):
                if not managed.deleting:
                    await networks.all()  # so that who has no networks is known before one is asked for
                return None
            if managed.external_name:
                return await networks.find(managed.external_name)
            return await networks.search(lambda row: marked(row, managed))
        except Absent:
            if managed.deleting:
                return None
            raise self._none() from None

    def _none(self) -> Refused:
        return Refused(
            f"{self._rest.endpoint} has no networks of its own (there is no /v1/networks): use a Continuo hub, or name a "
            "network and a subnet of Neutron in networkId and subnetId of each Port"
        )


def _wanted(managed: Network) -> dict[str, Any]:
    said = managed.parameters
    return {
        "name": named(managed, said.name, 36), "mtu": said.mtu, "encryption": said.encryption.value,
        "security_groups": [
            {
                "name": group.name,
                "rules": [
                    {key: value for key, value in _rule(msgspec.structs.asdict(rule)).items() if value is not None}
                    for rule in group.rules
                ],
            }
            for group in said.security_groups
        ],
    }  # fmt: skip


def _rule(fields: dict[str, Any]) -> dict[str, Any]:
    told = {key: getattr(value, "value", value) for key, value in fields.items()}
    if told.get("port_min") is not None and told.get("port_max") is None:
        told["port_max"] = told["port_min"]
    return told


def _changes(managed: Network, row: Row) -> dict[str, Any]:
    changes = {key: value for key, value in _wanted(managed).items() if row.get(key) != value}
    extra = extra_of(managed, managed.parameters.extra)
    return {**changes, "extra": with_extra(row, extra)} if lacks(row, extra) else changes


def concerned(_kind: Kind, old: Object | None, new: Object | None, neighbours: Neighbours) -> Iterable[Key]:
    """The network that a Port came to, or left: how many it has changed."""
    before, after = (external_name(each) if each is not None else "" for each in (old, new))
    port = new or old
    assert port is not None
    network = for_provider(port).get("networkId")
    if before != after and network:
        found = neighbours.by_external_name(VIRTUAL_NETWORK, str(network))
        if found is not None:
            yield key_of(found)


VIRTUAL_NETWORKS: Driver[VirtualNetworkParameters] = Driver(
    VIRTUAL_NETWORK, VirtualNetworkParameters, VirtualNetworks, wakes={PORT: concerned}
)
