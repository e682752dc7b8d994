"""Runs in an environment of its own, where `python-iotronicclient` is: every manager once; what it saw, as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from iotronicclient import client as clients
from iotronicclient import exc

PLACE = [{"longitude": "15.5", "latitude": "38.2", "altitude": "10"}]


def refusal(call: Any, *arguments: Any, **more: Any) -> str:
    try:
        call(*arguments, **more)
    except exc.ClientException as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def main(url: str, token: str, board: str, network: str) -> dict[str, Any]:
    client = clients.get_client("1", os_auth_token=token, iotronic_url=url, max_retries=0)  # asks for version 1.9 first
    seen: dict[str, Any] = {}
    fleet = client.fleet.create(name="all", description="everything")
    seen["fleet"] = client.fleet.update(fleet.uuid, {"description": "all of them"}).description
    client.board.update(board, {"fleet": fleet.uuid, "extra": {"room": "4"}})
    made = client.board.create(name="second", code="code-second", location=PLACE, type="gateway", mobile=True)
    seen["created"] = [made.name, made.code, made.status, made.mobile]
    seen["boards"] = sorted(each.name for each in client.board.list())
    seen["paged"] = [each.name for each in client.board.list(limit=0, sort_key="name", sort_dir="desc", detail=True)]
    seen["one"] = [each.name for each in client.board.list(limit=1, sort_key="name")]
    seen["online"] = [each.name for each in client.board.list(status="online")]
    seen["narrow"] = sorted(client.board.get(board, fields=["name", "status"]).to_dict())
    seen["extra"] = client.board.get("first").extra
    seen["members"] = [each.name for each in client.fleet.boards_in_fleet(fleet=fleet.uuid)]
    plugin = client.plugin.create(name="hello", code="x = 1\n", callable=True, public=False, parameters={"who": "me"})
    seen["code"] = plugin.code
    seen["plugin"] = client.plugin.update(plugin.uuid, {"code": "x = 2\n"}).code
    seen["plugins"] = [each.name for each in client.plugin.list(with_public=True)]
    seen["inject"] = client.plugin_injection.plugin_inject(board, plugin.uuid, onboot=True)
    seen["injections"] = [[each.plugin == plugin.uuid, each.status, each.onboot]
                          for each in client.plugin_injection.plugins_on_board(board)]  # fmt: skip
    seen["call"] = client.plugin_injection.plugin_action(board, plugin.uuid, "PluginCall", {"who": "you"})
    seen["missing"] = refusal(client.plugin_injection.plugin_action, board, plugin.uuid, "PluginCall", {})
    client.plugin_injection.plugin_remove(board, plugin.uuid)
    seen["removed"] = refusal(client.plugin_injection.plugin_remove, board, plugin.uuid)
    service = client.service.create(name="ssh", port=22, protocol="TCP")
    seen["service"] = client.service.update(service.uuid, {"port": 2222}).port
    seen["enable"] = client.exposed_service.service_action(board, service.uuid, "ServiceEnable")
    seen["exposed"] = [each.public_port for each in client.exposed_service.services_on_board(board)]
    seen["restored"] = [each.public_port for each in client.exposed_service.restore_services(board)]
    seen["disable"] = client.exposed_service.service_action(board, service.uuid, "ServiceDisable")
    seen["attach"] = client.portonboard.attach_port(board, network, network)
    ports = client.port.list()
    seen["ports"] = [[each.ip, each.board_uuid == board] for each in ports]
    client.portonboard.detach_port(board, ports[0].uuid)
    seen["ports left"] = len(client.port.list())
    seen["webservices"] = [
        client.webservice.list(),
        client.webserviceonboard.list(board),
        client.enabledwebservice.list(),
    ]
    seen["dns"] = refusal(client.webserviceonboard.enable_webservice, board, "a", "b.org", "me@b.org")
    seen["expose"] = refusal(client.webserviceonboard.expose, board, "www", 80, True)
    seen["no such"] = refusal(client.board.get, "nobody")
    seen["taken"] = refusal(client.board.create, name="second", code="another", location=PLACE)
    seen["offline"] = refusal(client.plugin_injection.plugin_inject, made.uuid, plugin.uuid)
    client.board.update(board, {"fleet": None})
    for manager, ident in (
        (client.plugin, plugin),
        (client.service, service),
        (client.fleet, fleet),
        (client.board, made),
    ):
        manager.delete(ident.uuid)
    seen["left"] = [len(manager.list()) for manager in (client.plugin, client.service, client.fleet, client.board)]
    version = client.http_client.os_iotronic_api_version
    return {**seen, "version": version}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
