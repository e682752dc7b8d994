"""Networks, and boards' ports in them."""

from __future__ import annotations

import ipaddress
import logging
from typing import Any

from continuo.iot.hub import secrets
from continuo.iot.hub.actions import Actions, Answer, Manner
from continuo.iot.hub.addresses import allocate, mac_of, read_address, read_cidr, read_mac, vif_of
from continuo.iot.hub.expectations import expectation
from continuo.iot.hub.model import Board, Json, Network, Port
from continuo.iot.hub.networks import config
from continuo.iot.hub.ports import Networks
from continuo.iot.hub.records import Change
from continuo.iot.hub.refusals import Refused, bad, not_connected, taken

log = logging.getLogger(__name__)


class Attaching:
    """Gives addresses, configures the switch, and lets boards know."""

    def __init__(self, actions: Actions, networks: Networks) -> None:
        self._actions, self._networks = actions, networks
        self._registry = actions.registry

    async def start(self) -> None:
        """Let the switch have all networks, with new tokens, before boards come."""
        for network in self._registry.table(Network).all():
            for port in self._registry.table(Port).by("network", network.uuid):
                self._registry.tokens[port.uuid] = secrets.make_token()
            await self.configure(network)

    async def configure(self, network: Network) -> None:
        """Tell the switch how a network is now; one after the other, and the newest last."""
        async with self._actions.calls.lock("network", network.uuid):
            now = self._registry.table(Network).get(network.uuid)
            if now is None:
                await self._networks.remove(network.uuid)
            else:
                await self._networks.set(now.uuid, self._config(now))

    def _config(self, network: Network, *more: Port) -> Json:
        """`more`: ports that are new, or that are others now."""
        now = {port.uuid: port for port in (*self._registry.table(Port).by("network", network.uuid), *more)}
        ports = {
            port.uuid: {
                "board": port.board, "mac": port.mac, "ip": port.ip, "security_groups": port.security_groups,
                "allowed_addresses": port.allowed_addresses, "token": secrets.digest(self._token(port)),
            }
            for port in now.values()
        }  # fmt: skip
        return {**switch_config(network), "ports": ports}

    def _token(self, port: Port) -> str:
        return self._registry.tokens.setdefault(port.uuid, secrets.make_token())

    # networks

    def new_network(self, said: Json, owner: str, project: str) -> Network:
        """A network; not stored yet. Raises Refused."""
        network = Network(
            uuid=self._registry.make_uuid(), created_at=self._registry.now(), owner=owner, project=project,
            name=said["name"], cidr=str(read_cidr(said["cidr"])), gateway=said.get("gateway"),
            mtu=said.get("mtu") or 1400, encryption=said.get("encryption") or "tls",
            security_groups=said.get("security_groups") or [], extra=said.get("extra") or {},
        )  # fmt: skip
        self.check(network)
        return network

    def check(self, network: Network) -> None:
        """Raise Refused for a network that cannot be, with its present ports."""
        cidr = read_cidr(network.cidr)
        if network.gateway is not None:
            read_address(network.gateway, cidr, "gateway")
        check_routes(network)
        self._check_switch(network)

    def _check_switch(self, network: Network, *more: Port) -> None:
        try:
            config.read(network.uuid, {**self._config(network, *more)})
        except ValueError as error:
            raise bad(str(error).removeprefix(f"network {network.uuid}: ")) from None

    async def put(self, network: Network) -> None:
        """Store a network and let the switch have it."""
        event = (
            Change().add(network).event(network.project, "network.changed", object=network.uuid, network=network.uuid)
        )
        await self._registry.records.commit(event)
        await self.configure(network)
        for board in {port.board for port in self._registry.table(Port).by("network", network.uuid)}:
            self._actions.pusher.push(board)

    async def drop(self, network: Network) -> None:
        """End a network; raises Refused while it has ports."""
        count = self._registry.table(Port).count("network", network.uuid)
        if count:
            raise taken(f"Network {network.uuid} has {count} ports: delete those first.")
        await self._registry.records.commit(
            Change()
            .remove(network)
            .event(network.project, "network.changed", object=network.uuid, network=network.uuid, state="gone")
        )
        await self.configure(network)

    # ports

    async def attach(self, board: Board, network: Network, said: Json, manner: Manner) -> Answer:
        """Give a board a port; the answer's object is its uuid."""
        actions = self._actions
        again = actions.requests.repeated(board.project, manner.key, manner.asked)
        if again is not None:
            return await actions.answer(again.request, manner, again.object)
        if not actions.calls.online(board) and not manner.at_once:
            raise not_connected(board.uuid)
        if not (self._registry.speaks_desire(board) and "tap" in board.capabilities):
            raise Refused(
                400,
                f"Board {board.uuid} cannot have ports: its agent does not say that it can make them (tap). Grant it "
                "CAP_NET_ADMIN, and reading and writing /dev/net/tun.",
            )
        port = self.new_port(board, network, said)
        self._registry.tokens[port.uuid] = secrets.make_token()
        change = (
            Change().add(port).event(board.project, "port.changed", board=board.uuid, object=port.uuid, port=port.uuid)
        )
        say = f"Port {port.uuid} of network {network.name}: {port.ip} at {port.vif}"
        part = actions.wishing(change, board, None, "Create_VIF", expectation("ports", port.uuid, "up", say))
        request = part.opened.request.uuid
        actions.requests.remember(change, board.project, manner.key, manner.asked, request, port.uuid)
        begun = self._registry.records.begin(change)  # the address is taken from here on
        await self.configure(network)
        await begun
        part.start()
        return await actions.answer(request, manner, port.uuid)

    def new_port(self, board: Board, network: Network, said: Json) -> Port:
        """A port with an address that no other has; not stored yet. Raises Refused."""
        registry = self._registry
        others = registry.table(Port).by("network", network.uuid)
        uuid = registry.make_uuid()
        name = said.get("name") or f"{board.name}-{uuid[:8]}"
        if any(port.name == name for port in others):
            raise taken(f"name: a port of network {network.uuid} is called {name!r} already")
        used = {port.ip for port in others}
        if network.gateway and said.get("ip") != network.gateway:  # the port that asks for that address is the gateway
            used.add(network.gateway)
        macs = {port.mac for port in others}
        port = Port(
            uuid=uuid, created_at=registry.now(), name=name, board=board.uuid, network=network.uuid,
            project=board.project, mac=read_mac(said["mac"], macs) if said.get("mac") else mac_of(uuid),
            ip=allocate(network.cidr, used, name, said.get("ip")), vif=vif_of(uuid),
            security_groups=said.get("security_groups") or [], allowed_addresses=said.get("allowed_addresses") or [],
            extra=said.get("extra") or {},
        )  # fmt: skip
        check_groups(network, port.security_groups)
        if port.allowed_addresses:
            self._check_switch(network, port)
        return port

    async def change(self, port: Port, said: Json) -> Port:
        """Its name, security groups, the networks that it leads to and extra, while it is used; raises Refused."""
        registry = self._registry
        network = registry.table(Network).get(port.network)
        others = registry.table(Port).by("network", port.network)
        if any(other.name == said.get("name") and other.uuid != port.uuid for other in others):
            raise taken(f"name: a port of network {port.network} is called {said['name']!r} already")
        after = registry.stamped(port, **said)
        if network is not None:
            check_groups(network, after.security_groups)
            self._check_switch(network, after)
        event = {"board": port.board, "object": port.uuid, "port": port.uuid}
        await registry.records.commit(Change().add(after).event(port.project, "port.changed", **event))
        if network is not None:
            await self.configure(network)
        return after

    async def detach(self, board: Board, port: Port, manner: Manner) -> Answer:
        """Take a port away; a board that is offline learns it when it comes back."""
        actions = self._actions
        again = actions.requests.repeated(board.project, manner.key, manner.asked)
        if again is not None:
            return await actions.answer(again.request, manner)
        change = (
            Change()
            .remove(port)
            .event(board.project, "port.changed", board=board.uuid, object=port.uuid, port=port.uuid, state="gone")
        )
        expect = expectation("ports", port.uuid, "absent", "VIF removed")
        part = actions.wishing(change, board, None, "Remove_VIF", expect)
        actions.requests.remember(change, board.project, manner.key, manner.asked, part.opened.request.uuid)
        self._registry.tokens.pop(port.uuid, None)
        await actions.go(change, [part])
        network = self._registry.table(Network).get(port.network)
        if network is not None:
            await self.configure(network)
        return await actions.answer(part.opened.request.uuid, manner)

    def connected(self, port: Port) -> bool:
        """Whether the board's end is there."""
        return self._networks.connected(port.uuid)


def check_groups(network: Network, groups: list[str]) -> None:
    """Raise Refused for security groups that the network has not."""
    known = {"default", *(str(group.get("name")) for group in network.security_groups)}
    if unknown := [group for group in groups if group not in known]:
        raise bad(f"security_groups: {', '.join(unknown)} are none of the network's: {', '.join(sorted(known))}")


def check_routes(network: Network) -> None:
    """Raise Refused for routes that lead nowhere."""
    said = network.extra.get("routes") or []
    if not isinstance(said, list) or not all(isinstance(route, str) for route in said):
        raise bad("extra.routes: must be a list of IPv4 networks, as texts such as 192.168.7.0/24")
    if said and network.gateway is None:
        raise bad("extra.routes: the network has no gateway, through which they would lead: say gateway as well")
    for route in said:
        try:
            net = ipaddress.IPv4Network(route)
        except ValueError:
            raise bad(f"extra.routes: {route!r} is no IPv4 network such as 192.168.7.0/24") from None
        if net.subnet_of(read_cidr(network.cidr)):
            raise bad(f"extra.routes: {route} is within the network itself, {network.cidr}, where no gateway is needed")


def switch_config(network: Network) -> dict[str, Any]:
    """What the switch has to know of a network, but for its ports."""
    return {"mtu": network.mtu, "encryption": network.encryption, "security_groups": network.security_groups}
