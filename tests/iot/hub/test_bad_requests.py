"""What is wrong with a request is said, all of it, and nothing is changed by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iot.hub.bench import CODE, PLACE, Bench, Client, hub

pytestmark = pytest.mark.anyio
UUID = "99999999-9999-4999-8999-999999999999"
BOARD = {"name": "new", "code": "c", "location": PLACE}

BAD: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/v1/boards", {}, 400, "name is missing; code is missing; location is missing"),
    ("POST", "/v1/boards", {**BOARD, "name": "one"}, 409, "A board with name one already exists."),
    ("POST", "/v1/boards", {**BOARD, "code": "code-one"}, 409, "A board with this code already exists"),
    ("POST", "/v1/boards", {**BOARD, "name": UUID}, 400, "looks like a uuid"),
    ("POST", "/v1/boards", {**BOARD, "code": "c" * 37}, 400, "code has 37 characters; 36 are possible"),
    ("POST", "/v1/boards", {**BOARD, "location": []}, 400, "must have a place as its first element"),
    ("POST", "/v1/boards", {**BOARD, "location": [{"longitude": 1}]}, 400, "longitude as a text"),
    ("POST", "/v1/boards", {**BOARD, "mobile": "yes"}, 400, "mobile must be true or false, not 'yes'"),
    ("POST", "/v1/boards", {**BOARD, "fleet": "none"}, 404, "Fleet none could not be found."),
    ("POST", "/v1/boards", {**BOARD, "colour": "red", "typ": 1}, 400, "'colour' is no field here"),
    ("POST", "/v1/boards", [1], 400, "the body must be a JSON object, not [1]"),
    ("POST", "/v1/boards", b"{", 400, "the body is no JSON"),
    ("PATCH", "/v1/boards/one", {"name": "two"}, 409, "A board with name two already exists."),
    ("PATCH", "/v1/boards/one", {"fleet": 5}, 400, "fleet must be a text, not 5"),
    ("GET", f"/v1/boards/{UUID}", None, 404, f"Board {UUID} could not be found."),
    ("DELETE", "/v1/boards/nobody", None, 404, "Board nobody could not be found."),
    ("GET", "/v1/boards?limit=0", None, 400, "limit: '0' is no whole number of at least 1"),
    ("GET", "/v1/boards?sort_key=extra", None, 400, "sort_key: extra cannot be sorted by"),
    ("GET", "/v1/boards?sort_key=hair", None, 400, "there is no field 'hair'"),
    ("GET", "/v1/boards?sort_dir=up", None, 400, "sort_dir: 'up' is neither asc nor desc"),
    ("GET", f"/v1/boards?marker={UUID}", None, 400, "is none of the list's"),
    ("GET", "/v1/boards?fields=name,hair", None, 400, "fields: hair: no such field"),
    ("GET", f"/v1/boards?project={UUID}", None, 400, "only an admin may ask"),
    ("POST", "/v1/boards/one/action", {"action": "Dance"}, 400, "'Dance' is none of DevicePing"),
    ("POST", "/v1/boards/two/action", {"action": "DevicePing"}, 400, "is not connected."),
    ("POST", "/v1/plugins", {"name": "p" * 37, "code": CODE}, 400, "name has 37 characters"),
    ("POST", "/v1/plugins", {"name": "p", "code": "cos\nsystem\n(S'id'\ntR."}, 400, "any other pickle is refused"),
    ("POST", "/v1/plugins", {"name": "p", "code": CODE, "callable": 1}, 400, "callable must be true or false"),
    ("PUT", "/v1/boards/one/plugins", {"plugin": "nothing"}, 404, "Plugin nothing could not be found."),
    ("PUT", "/v1/boards/one/plugins", {"plugin": "twice"}, 409, "2 have the name 'twice'; say the uuid"),
    ("PUT", "/v1/boards/one/plugins", {"onboot": True}, 400, "plugin is missing"),
    ("POST", "/v1/boards/one/plugins/hello", {"action": "PluginStart"}, 400, "needs every too"),
    ("POST", "/v1/boards/one/plugins/once", {"action": "PluginStop"}, 404, "is not injected into board"),
    ("POST", "/v1/services", {"name": "s", "port": 70000, "protocol": "TCP"}, 400, "port 70000 is not between 1"),
    ("POST", "/v1/services", {"name": "s", "port": 1, "protocol": "IPX"}, 400, "'IPX' is none of TCP, UDP"),
    ("POST", "/v1/boards/one/services/ssh/action", {"action": "ServiceRestore"}, 404, "is not exposed on board"),
    ("POST", "/v1/fleets", {"name": "f", "description": "d" * 301}, 400, "description has 301 characters"),
    ("DELETE", "/v1/fleets/all", None, 409, "has 1 boards and 0 workloads"),
    ("POST", "/v1/networks", {"name": "n", "cidr": "10.0.0.0/31"}, 400, "between 16 and 30"),
    ("POST", "/v1/networks", {"name": "n", "cidr": "10.0.0.0/24", "gateway": "10.1.0.1"}, 400, "gateway: 10.1.0.1"),
    ("POST", "/v1/networks", {"name": "n", "cidr": "10.0.0.0/24", "encryption": "wireguard"}, 400, "not offered"),
    ("POST", "/v1/networks", {"name": "n", "cidr": "10.0.0.0/24", "mtu": 9}, 400, "mtu 9 is not between 576"),
    ("PUT", "/v1/boards/one/ports", {"network": "lan", "subnet": UUID}, 400, "one range of addresses"),
    ("PUT", "/v1/boards/one/ports", {"network": "lan", "security_groups": ["x"]}, 400, "x are none of the network's"),
    ("PUT", "/v1/boards/one/ports", {"network": "lan", "mac": "01:00:00:00:00:01"}, 400, "for groups or for nobody"),
    ("PUT", "/v1/boards/one/ports", {"network": "lan", "ip": "10.1.0.9"}, 409, "10.1.0.9 is in use"),
    ("POST", "/v1/networks", {"name": "n", "cidr": "10.0.0.0/24", "extra": {"routes": ["10.9.0.0/24"]}}, 400, "say gateway"),
    ("GET", f"/v1/ports/{UUID}", None, 404, f"Port {UUID} could not be found."),
    ("POST", "/v1/boards/one/workloads", {"name": "w"}, 400, "command is missing, which a process needs"),
    ("POST", "/v1/boards/one/workloads", {"name": "w", "runtime": "container"}, 400, "image is missing"),
    ("POST", "/v1/boards/one/webservices/enable", {"dns": "a", "zone": "b", "email": "c"}, 501, "DNS provider"),
    ("PUT", "/v1/boards/one/webservices", {"name": "w", "port": 80}, 501, "Expose the board's port as a service"),
    ("POST", "/v1/requests", {}, 405, "POST is not for /v1/requests."),
    ("POST", "/v1/webservices", {}, 405, "POST is not for /v1/webservices."),
    ("GET", "/v1/sites", None, 404, "There is nothing at /v1/sites."),
    ("GET", "/v1/events?since=x", None, 400, "since: 'x' is no event's number"),
    ("GET", "/v1/events?since=12345678", None, 410, "begin without a number"),
]  # fmt: skip


async def furnished(bench: Bench) -> Client:
    lab = await bench.client()
    await lab.made("fleets", name="all")
    await bench.online(lab, "one", fleet="all")
    await lab.board("two")
    for name in ("twice", "twice", "once"):
        await lab.plugin(name)
    await lab.plugin("hello", parameters={"every": 1})
    await lab.ask("PUT", "/v1/boards/one/plugins", {"plugin": "hello"})
    await lab.made("services", name="ssh", port=22, protocol="TCP")
    await lab.made("networks", name="lan", cidr="10.1.0.0/24", gateway="10.1.0.1")
    await lab.ask("PUT", "/v1/boards/one/ports", {"network": "lan", "ip": "10.1.0.9"})
    return lab


async def test_each_is_refused_with_its_sentence_and_nothing_is_changed(tmp_path: Path) -> None:
    async with hub(str(tmp_path / "h.sqlite")) as bench:
        lab = await furnished(bench)
        before, tunnels = bench.core.feed.last, dict(bench.tunnels.open_ports)
        for method, path, body, status, sentence in BAD:
            if isinstance(body, bytes):
                answer = await lab.ask(method, path, data=body)
            else:
                answer = await lab.ask(method, path, body)
            assert (answer.status, sentence in answer.fault) == (status, True), (method, path, body, answer.body)
        assert (bench.core.feed.last, bench.tunnels.open_ports) == (before, tunnels)


async def test_two_problems_are_told_at_once(tmp_path: Path) -> None:
    async with hub(str(tmp_path / "h.sqlite")) as bench:
        lab = await bench.client()
        answer = await lab.ask("POST", "/v1/services", {"name": "", "port": "x", "protocol": "TCP", "poort": 1})
        said = "name must not be empty; port must be a whole number, not 'x'"
        assert answer.fault == f"'poort' is no field here; there are extra, name, port, protocol; {said}"


async def test_a_body_without_end_is_refused(tmp_path: Path) -> None:
    async with hub(str(tmp_path / "h.sqlite")) as bench:
        lab = await bench.client()
        answer = await lab.ask("POST", "/v1/plugins", data=b" " * (5 << 20))
        assert answer.status == 413 and "which is the most that is read here" in answer.fault


async def test_versions(tmp_path: Path) -> None:
    async with hub(str(tmp_path / "h.sqlite"), no_auth=True) as bench:
        header = "X-OpenStack-Iotronic-API-Version"
        for said, status in (("1.0", 200), ("latest", 200), ("1.9", 406), ("x", 406)):
            answer = await bench.anybody.ask("GET", "/v1/boards", **{header: said})
            assert answer.status == status
            assert answer.headers["X-OpenStack-Iotronic-API-Maximum-Version"] == "1.0"
            assert answer.headers["Openstack-Request-Id"].startswith("req-")
        assert (await bench.anybody.get("/v1/")).json["id"] == "v1"
        believed = await bench.anybody.get("/v1/boards", X_Project_Id="me")
        assert believed.status == 400 and "X-Project-Id 'me' is no uuid" in believed.fault


ROLES = ("admin", "admin_iot_project", "manager_iot_project", "user_iot")
POLICY: list[tuple[str, str, Any, tuple[int, int, int, int]]] = [
    ("POST", "/v1/boards", {**BOARD, "name": "by-{role}", "code": "by-{role}"}, (403, 201, 403, 403)),
    ("GET", "/v1/boards", None, (200, 200, 200, 200)),
    ("PATCH", "/v1/boards/one", {"mobile": True}, (200, 200, 200, 403)),
    ("POST", "/v1/boards/one/action", {"action": "DevicePing"}, (200, 200, 200, 403)),
    ("PUT", "/v1/boards/one/plugins", {"plugin": "hello"}, (200, 200, 200, 403)),
    ("PUT", "/v1/boards/one/ports", {"network": "lan"}, (200, 200, 200, 403)),
    ("POST", "/v1/boards/one/webservices/enable", {"dns": "a", "zone": "b", "email": "c"}, (501, 501, 501, 403)),
    ("POST", "/v1/plugins", {"name": "mine", "code": CODE}, (403, 201, 201, 201)),
    ("PATCH", "/v1/plugins/hello", {"public": False}, (200, 200, 200, 403)),
    ("POST", "/v1/networks", {"name": "n-{role}", "cidr": "10.2.0.0/24"}, (201, 201, 201, 403)),
    ("GET", "/v1/agent-policy", None, (200, 200, 200, 200)),
    ("PUT", "/v1/agent-policy/keys/k", {"public": "ab" * 32}, (200, 403, 403, 403)),
    ("POST", "/v1/tokens", {"project": "p", "role": "admin"}, (201, 403, 403, 403)),
]  # fmt: skip


def _filled(value: Any, role: str) -> Any:
    return value.replace("{role}", role) if isinstance(value, str) else value


async def test_who_may_do_what(tmp_path: Path) -> None:
    async with hub(str(tmp_path / "h.sqlite")) as bench:
        await furnished(bench)
        users = {role: await bench.client(role) for role in ROLES}
        for method, path, body, statuses in POLICY:
            for role, status in zip(ROLES, statuses, strict=True):
                said = {name: _filled(value, role) for name, value in body.items()} if body else None
                answer = await users[role].ask(method, path, said)
                assert answer.status == status, (method, path, role, answer.body)
        assert (await users["user_iot"].ask("DELETE", "/v1/boards/one")).status == 403
        assert (await users["manager_iot_project"].ask("DELETE", "/v1/boards/one")).status == 204
        foreign = await bench.client(project=UUID)
        for path in ("/v1/boards/two", "/v1/plugins/hello", "/v1/services/ssh", "/v1/networks/lan", "/v1/fleets/all"):
            assert (await foreign.get(path)).status == 404, "names and uuids of others lead nowhere"
        assert (await foreign.get("/v1/boards")).json == {"boards": []}
        assert (await bench.anybody.get("/v1/boards")).status == 401
        wrong = await bench.anybody.get("/v1/boards", X_Auth_Token="guessed")
        assert wrong.status == 401 and "none of this hub's tokens" in wrong.fault
