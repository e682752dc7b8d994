"""Records as REST tells them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from continuo.iot import pickled
from continuo.iot.hub.desired import hash_of
from continuo.iot.hub.hub import Hub
from continuo.iot.hub.model import (
    Board,
    Exposed,
    Fleet,
    Injection,
    Json,
    Network,
    Owned,
    Plugin,
    Port,
    Record,
    Result,
    Service,
    Workload,
)
from continuo.iot.hub.registry import Registry
from continuo.iot.hub.setting import AGENT
from continuo.iot.hub.workloads import shown

BOARD_SHORT = (
    "name", "code", "status", "uuid", "session", "type", "fleet", "lr_version", "connectivity", "agent", "wstun_ip",
)  # fmt: skip
PLUGIN_SHORT = ("name", "uuid", "owner", "public", "callable")
SERVICE_SHORT = ("uuid", "name", "port", "protocol")
FLEET_SHORT = ("uuid", "name", "project", "description")
PLACEHOLDER = "<REGISTRATION-TOKEN>"
"""What Lightning-rod takes for no code."""


def _head(record: Record, collection: str) -> Json:
    path = f"{collection}/{record.uuid}"
    return {
        "uuid": record.uuid, "created_at": record.created_at, "updated_at": record.updated_at,
        "links": [{"href": f"/v1/{path}", "rel": "self"}, {"href": f"/{path}", "rel": "bookmark"}],
    }  # fmt: skip


def _owned(record: Owned, collection: str) -> Json:
    return {
        **_head(record, collection), "name": record.name, "owner": record.owner, "project": record.project,
        "extra": record.extra,
    }  # fmt: skip


def board(registry: Registry, it: Board, code: str | None = None) -> Json:
    """A board; its code only where it was just said."""
    session = registry.sessions.get(it.uuid)
    return {
        **_owned(it, "boards"), "code": code, "status": registry.status(it), "type": it.type, "fleet": it.fleet,
        "session": None if session is None else str(session), "agent": AGENT, "wstun_ip": registry.setting.public,
        "mobile": it.mobile, "lr_version": it.lr_version, "connectivity": it.connectivity, "location": it.location,
        "config": it.config if it.registered else _first_config(registry, code),
        "registration": _registration(registry, it), "capabilities": it.capabilities,
        "agent_version": it.agent_version,
    }  # fmt: skip


def _first_config(registry: Registry, code: str | None) -> Json:
    """The first settings.json of the device."""
    agent = {"url": registry.setting.wamp_url, "realm": registry.setting.realm}
    return {"iotronic": {"board": {"code": code or PLACEHOLDER}, "wamp": {"registration-agent": agent}}}


def _registration(registry: Registry, it: Board) -> Json:
    late = registry.clock() > it.code_expires
    return {"state": "spent" if it.code_spent else "expired" if late else "open", "expires_at": int(it.code_expires)}


def plugin(_: Registry, it: Plugin) -> Json:
    """A plugin; its code as IoTronic's server hands it out."""
    return {
        **_owned(it, "plugins"), "code": pickled.dumps(it.code), "public": it.public, "callable": it.callable,
        "parameters": it.parameters,
    }  # fmt: skip


def service(_: Registry, it: Service) -> Json:
    """A service."""
    return {**_owned(it, "services"), "port": it.port, "protocol": it.protocol}


def fleet(_: Registry, it: Fleet) -> Json:
    """A fleet."""
    return {**_owned(it, "fleets"), "description": it.description}


def network(_: Registry, it: Network) -> Json:
    """A network."""
    return {
        **_owned(it, "networks"), "cidr": it.cidr, "gateway": it.gateway, "mtu": it.mtu, "encryption": it.encryption,
        "security_groups": it.security_groups,
    }  # fmt: skip


def injection(_: Registry, it: Injection) -> Json:
    """A plugin of a board, in a list."""
    return {
        "plugin": it.plugin, "status": it.status, "onboot": it.onboot, "created_at": it.created_at,
        "updated_at": it.updated_at,
    }  # fmt: skip


def one_injection(hub: Hub, it: Injection) -> Json:
    """The same with what its board says of it."""
    results = [
        result for result in hub.registry.table(Result).by("board", it.board)
        if (request := hub.requests.get(result.request)) is not None and (request.expect or {}).get("object") == it.plugin
    ]  # fmt: skip
    last = results[-1] if results else None
    told = None if last is None else {"request": last.request, "result": last.result, "message": last.message}
    return {**reported_injection(hub.registry, it), "result": told}


def reported_injection(registry: Registry, it: Injection) -> Json:
    """A plugin of a board, and what the board said last that it is."""
    said = registry.report(it.board).get("plugins", {}).get(it.plugin, {})
    return {
        **injection(registry, it), "board": it.board, "state": said.get("state"), "hash": said.get("hash"),
        "alive": said.get("state") == "running" and registry.online(it.board), "message": said.get("message"),
        "since": said.get("since"), "running": it.running, "parameters": it.parameters,
        "pinned": hash_of(it.pinned["code"]) if it.pinned else None,
    }  # fmt: skip


def exposed(_: Registry, it: Exposed) -> Json:
    """A service of a board at its public port."""
    return {
        "service": it.service, "public_port": it.public_port, "created_at": it.created_at, "updated_at": it.updated_at
    }  # fmt: skip


def port(hub: Hub, it: Port) -> Json:
    """A port of a board."""
    said = hub.registry.report(it.board).get("ports", {}).get(it.uuid, {})
    return {
        **_head(it, "ports"), "VIF_name": it.vif, "MAC_add": it.mac, "ip": it.ip, "network": it.network,
        "board_uuid": it.board, "name": it.name, "project": it.project, "security_groups": it.security_groups,
        "allowed_addresses": it.allowed_addresses, "extra": it.extra, "up": bool(said.get("up")),
        "connected": hub.attaching.connected(it), "message": said.get("message"),
    }  # fmt: skip


def workload(hub: Hub, it: Workload) -> Json:
    """A workload, with how it goes."""
    told = {
        **_owned(it, "workloads"), **shown(it.spec), "board": it.board,
        "fleet": it.fleet, "parent": it.parent, "generation": it.generation,
    }  # fmt: skip
    if it.fleet is None:
        return {**told, "status": hub.workloads.status(it)}
    parts = [
        {"board": child.board, "workload": child.uuid, "status": hub.workloads.status(child)}
        for child in hub.workloads.children(it)
    ]
    return {**told, "parts": parts}


def result(_: Registry, it: Result) -> Json:
    """How a request went at a board."""
    return {
        "board_uuid": it.board, "request_uuid": it.request, "result": it.result, "message": it.message,
        "created_at": it.created_at, "updated_at": it.updated_at,
    }  # fmt: skip


View = Callable[[Any], Json]
Views = Mapping[str, View]
