"""What a board should have, from the records alone: our agents are told it whole."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from continuo.iot.hub.addresses import read_cidr
from continuo.iot.hub.model import Board, Exposed, Injection, Json, Network, Plugin, Port, Service, Workload
from continuo.iot.signing import code_hash

if TYPE_CHECKING:
    from continuo.iot.hub.registry import Registry


@lru_cache(maxsize=1024)
def hash_of(code: str) -> str:
    """The name of code; the same plugin is asked for by each of its boards."""
    return code_hash(code)


def program_of(plugin: Plugin) -> Json:
    """What of a plugin a board runs."""
    return {
        "name": plugin.name, "code": plugin.code, "callable": plugin.callable, "parameters": plugin.parameters,
        "extra": plugin.extra,
    }  # fmt: skip


def injected(plugin: Plugin, injection: Injection) -> Plugin:
    """The plugin as this board should have it."""
    return msgspec.structs.replace(plugin, **injection.pinned) if injection.pinned else plugin


def pinning(registry: Registry, before: Plugin, after: Plugin) -> list[Injection]:
    """Injections into boards of other projects, which keep what the plugin was."""
    if program_of(before) == program_of(after):
        return []
    rows = registry.table(Injection).by("plugin", before.uuid)
    foreign = [row for row in rows if not row.pinned and _project(registry, row) != before.project]
    return [msgspec.structs.replace(row, pinned=program_of(before)) for row in foreign]


def _project(registry: Registry, injection: Injection) -> str | None:
    board = registry.table(Board).get(injection.board)
    return None if board is None else board.project


def desired_of(registry: Registry, board: str) -> dict[str, Any]:
    """The whole of what a board should have."""
    return {
        "policy": policy_of(registry),
        "plugins": {
            each.plugin: _plugin(registry, each) for each in registry.table(Injection).by("board", board)
            if registry.table(Plugin).get(each.plugin) is not None
        },
        "services": {each.service: _service(registry, each) for each in registry.table(Exposed).by("board", board)},
        "ports": {each.uuid: _port(registry, each) for each in registry.table(Port).by("board", board)},
        "workloads": {
            each.uuid: {**run_of(each.spec), "name": each.name, "extra": each.extra, "generation": each.generation}
            for each in registry.table(Workload).by("board", board)
        },
    }  # fmt: skip


def run_of(spec: Json) -> Json:
    """What a board has to know of a workload: not on how many others it is."""
    told = {key: value for key, value in spec.items() if key not in ("replicas", "placement", "secret_env")}
    secret = {name: each["value"] for name, each in (spec.get("secret_env") or {}).items()}
    return {**told, "env": {**(told.get("env") or {}), **secret}} if secret else told


def policy_of(registry: Registry) -> Json:
    """Whose code agents may run, and within which limits."""
    setting = registry.setting
    return {"keys": registry.keys(), "unsigned": setting.unsigned, "limits": dict(setting.limits)}


def _plugin(registry: Registry, injection: Injection) -> Json:
    plugin = registry.table(Plugin).get(injection.plugin)
    assert plugin is not None
    plugin = injected(plugin, injection)
    return {
        "name": plugin.name, "code": plugin.code, "hash": hash_of(plugin.code),
        "signature": plugin.extra.get("signature"), "callable": plugin.callable, "onboot": injection.onboot,
        "state": "running" if injection.running else "injected",
        "parameters": injection.parameters or plugin.parameters, "grants": plugin.extra.get("grants") or {},
    }  # fmt: skip


def _service(registry: Registry, exposed: Exposed) -> Json:
    service = registry.table(Service).get(exposed.service)
    assert service is not None, "a service that is exposed is not deleted"
    return {
        "name": service.name, "port": service.port, "public_port": exposed.public_port,
        "url": registry.setting.tunnel_url, "token": registry.tokens.get(exposed.uuid, ""),
    }  # fmt: skip


def _port(registry: Registry, port: Port) -> Json:
    network = registry.table(Network).get(port.network)
    assert network is not None, "a network that has ports is not deleted"
    return {
        "vif": port.vif, "mac": port.mac, "ip": f"{port.ip}/{read_cidr(network.cidr).prefixlen}", "mtu": network.mtu,
        "url": registry.setting.network_url, "token": registry.tokens.get(port.uuid, ""),
        "routes": routes_of(network) if port.ip != network.gateway else [],
    }  # fmt: skip


def routes_of(network: Network) -> list[Json]:
    """Routes beyond the network's own, which needs none."""
    via = network.gateway
    return [{"to": to, "via": via} for to in network_routes(network)] if via else []


def network_routes(network: Network) -> list[str]:
    """The networks that a network's gateway leads to: `extra.routes`."""
    routes = network.extra.get("routes")
    return [route for route in routes if isinstance(route, str)] if isinstance(routes, list) else []
