"""What is asked of boards over HTTP: plugins, services, ports, workloads, fleets; and what a restart leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from continuo.iot import pickled
from continuo.iot.hub.model import Injection
from continuo.iot.hub.ports import CallFailed
from continuo.iot.wire import Message, Outcome
from iot.hub.bench import CODE, Boards, Client, Tunnels, hub, until

pytestmark = pytest.mark.anyio


async def inject(client: Client, board: str, plugin: str, **headers: str) -> Any:
    return await client.ask("PUT", f"/v1/boards/{board}/plugins", {"plugin": plugin}, **headers)


async def until_done(client: Client, request: str) -> Any:
    async def done() -> Any:
        told = (await client.get(f"/v1/requests/{request}")).json
        return told if told["status"] == "COMPLETED" else None

    return await until(done)


async def test_a_plugin_is_put_on_a_board_started_called_and_removed(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        board, agent = await bench.online(lab)
        plugin = await lab.plugin(parameters={"every": 1}, callable=True)
        assert pickled.loads(plugin["code"]) == CODE
        here = f"/v1/boards/{board['uuid']}/plugins"
        put = await inject(lab, "one", "hello")
        assert (put.status, put.json) == (200, "PluginInject result: INJECTED")
        assert (await inject(lab, "one", plugin["uuid"])).json == "PluginInject result: UPDATED"
        action = {"action": "PluginStart", "parameters": {"every": 2}}
        assert (await lab.ask("POST", f"{here}/hello/", action)).json == "STARTED"
        one = (await lab.get(f"{here}/{plugin['uuid']}")).json
        assert (one["state"], one["alive"], one["running"], one["parameters"]) == ("running", True, True, {"every": 2})
        assert one["result"]["result"] == "SUCCESS"
        agent.answers["PluginCall"] = lambda uuid, parameters: f"{uuid} {parameters['every']}"
        action = {"action": "PluginCall", "parameters": {"every": 3}}
        assert (await lab.ask("POST", f"{here}/hello", action)).json == f"{plugin['uuid']} 3"
        assert (await lab.ask("POST", f"{here}/hello", {"action": "PluginStop"})).json == "STOPPED"
        listed = (await lab.get(f"{here}/")).json["injections"]
        assert [(row["plugin"], row["status"], row["onboot"]) for row in listed] == [(plugin["uuid"], "updated", False)]
        gone = await lab.ask("DELETE", f"{here}/hello")
        assert gone.status == 204 and agent.said["plugins"] == {}
        assert (await lab.ask("DELETE", f"{here}/hello")).status == 404


async def test_an_agent_without_desired_state_is_called_as_iotronic_calls(storage: str) -> None:
    async with hub(storage, lightning_rod=True) as bench:
        lab = await bench.client()
        board, agent = await bench.online(lab, "rod", "nothing")
        plugin, service = await lab.plugin(), await lab.made("services", name="ssh", port=22, protocol="TCP")
        agent.answers["PluginInject"] = "PluginInject result: INJECTED"
        assert (await inject(lab, "rod", "hello")).status == 200
        method, told, onboot = agent.calls[-1]
        assert (method, told["uuid"], onboot) == ("PluginInject", plugin["uuid"], False)
        assert pickled.loads(told["code"]) == CODE
        assert agent.requests[-1]["action"] == "PluginInject" and agent.requests[-1]["status"] == "PENDING"
        enabled = await lab.ask("POST", "/v1/boards/rod/services/ssh/action", {"action": "ServiceEnable"})
        assert enabled.status == 200 and agent.calls[-1][:1] == ("ServiceEnable",)
        agent.answers["ServiceDisable"] = Message("no such tunnel", Outcome.ERROR)
        failed = await lab.ask("POST", "/v1/boards/rod/services/ssh/action", {"action": "ServiceDisable"})
        assert failed.status == 500
        assert failed.fault == f"Error in the execution of ServiceDisable on {board['uuid']}: no such tunnel"
        assert bench.tunnels.open_ports == {}, "whatever the board says, nobody comes in any more"
        agent.answers["PluginRemove"] = Message("Plugin paths or files do not exist!", Outcome.ERROR)
        await lab.ask("DELETE", f"/v1/boards/rod/plugins/{plugin['uuid']}")
        assert (await lab.get("/v1/boards/rod/plugins")).json == {"injections": []}
        assert service["port"] == 22


async def test_a_board_that_is_offline_is_a_sentence_and_later_it_has_all(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        board, agent = await bench.online(lab)
        plugin = await lab.plugin()
        await bench.boards.leave(board["uuid"])
        assert (await lab.get("/v1/boards/one")).json["status"] == "offline"
        refused = await inject(lab, "one", "hello")
        assert (refused.status, refused.fault) == (400, f"Board {board['uuid']} is not connected.")
        taken = await inject(lab, "one", "hello", Prefer="respond-async")
        assert taken.status == 202 and taken.json["uuid"] == taken.headers["Iotronic-Request-Uuid"]
        await until_done(lab, taken.json["uuid"])
        [result] = (await lab.get(f"/v1/requests/{taken.json['uuid']}/results")).json["results"]
        assert result["result"] == "WARNING" and result["message"].endswith("it is told when it comes back.")
        stream = await bench.http.get(f"{bench.url}/v1/events?since=0", headers=lab.headers)
        await bench.boards.come(board["uuid"])
        async with asyncio.timeout(10):
            while b"event: injection.changed\n" not in (line := await stream.content.readline()) or not line:
                pass
        stream.close()

        async def has() -> bool:
            return agent.said["plugins"].get(plugin["uuid"], {}).get("state") == "injected"

        await until(has)


async def test_a_fleet_is_asked_once_and_each_board_answers(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        fleet = await lab.made("fleets", name="all")
        agents = [(await bench.online(lab, f"b{n}", fleet="all")) for n in range(5)]
        await lab.board("away", fleet=fleet["uuid"])
        await lab.plugin()
        put = await lab.ask("PUT", f"/v1/fleets/{fleet['uuid']}/plugins", {"plugin": "hello"}, Prefer="respond-async")
        assert (put.status, put.json["type"], put.json["pending_requests"]) == (202, 1, 6)
        assert (await until_done(lab, put.json["uuid"]))["pending_requests"] == 0
        results = (await lab.get(f"/v1/requests/{put.json['uuid']}/results")).json["results"]
        assert sorted(row["result"] for row in results) == ["SUCCESS"] * 5 + ["WARNING"]
        agents[2][1].answers["DevicePing"] = CallFailed("it answered nothing in time")
        ping = await lab.ask("POST", "/v1/fleets/all/action/", {"action": "DevicePing"})
        assert (ping.status, ping.json["status"]) == (200, "COMPLETED")
        results = (await lab.get(f"/v1/requests/{ping.json['uuid']}/results/")).json["results"]
        said = {row["board_uuid"]: (row["result"], row["message"]) for row in results}
        assert said[agents[2][0]["uuid"]] == ("ERROR", "it answered nothing in time")
        assert said[agents[0][0]["uuid"]] == ("SUCCESS", "DevicePing done")
        gone = await lab.ask("DELETE", "/v1/fleets/all/plugins/hello")
        assert gone.status == 200 and all(not agent.said["plugins"] for _, agent in agents)
        assert len((await lab.get("/v1/fleets/all/boards/")).json["boards"]) == 6


async def test_the_same_key_is_the_same_request(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        _, agent = await bench.online(lab)
        bodies = [{"action": "DeviceEcho", "parameters": {"say": said}} for said in ("a", "b")]
        first = await lab.ask("POST", "/v1/boards/one/action", bodies[0], Idempotency_Key="k1")
        again = await lab.ask("POST", "/v1/boards/one/action", bodies[0], Idempotency_Key="k1")
        assert first.headers["Iotronic-Request-Uuid"] == again.headers["Iotronic-Request-Uuid"]
        assert (first.body, len(agent.calls)) == (again.body, len([c for c in agent.calls if c[0] != "DeviceEcho"]) + 1)
        other = await lab.ask("POST", "/v1/boards/one/action", bodies[1], Idempotency_Key="k1")
        assert other.status == 409 and "used for another request" in other.fault


async def test_what_a_board_cannot_do_is_said_and_a_running_call_ends_by_notice(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        board, agent = await bench.online(lab)
        agent.refuses = "the code is not signed"
        await lab.plugin()
        refused = await inject(lab, "one", "hello")
        assert refused.status == 500 and refused.fault.endswith(": the code is not signed")
        agent.refuses = ""
        assert (await inject(lab, "one", "hello")).status == 200, "an old report fails nothing new"
        agent.answers["DevicePkgOperation"] = Message("installing", Outcome.RUNNING)
        body = {"action": "DevicePkgOperation", "parameters": {}}
        going = asyncio.create_task(lab.ask("POST", "/v1/boards/one/action", body))

        async def heard() -> Any:
            return [request for request in agent.requests if request["action"] == "DevicePkgOperation"]

        asked = await until(heard)
        await bench.core.presence.notified("another-board", Message("lies", Outcome.ERROR, asked[0]["uuid"]))
        await bench.core.presence.notified(board["uuid"], Message("installed", Outcome.SUCCESS, asked[0]["uuid"]))
        assert (await going).json == "installed"


async def test_a_service_keeps_its_port_over_a_restart(storage: str) -> None:
    boards = Boards()
    async with hub(storage, boards=boards) as bench:
        lab = await bench.client()
        board, agent = await bench.online(lab)
        await lab.made("services", name="ssh", port=22, protocol="TCP")
        path = "/v1/boards/one/services/ssh/action"
        enabled = await lab.ask("POST", path, {"action": "ServiceEnable"})
        assert enabled.json == "Cloud service 'ssh' exposed on port 50000 on 127.0.0.1"
        again = await lab.ask("POST", path, {"action": "ServiceEnable"})
        assert (again.status, again.json) == (200, enabled.json), "once more is no error"
        [(_, told)] = [call for call in agent.calls if call[0] == "Desire"][-1:]
        [service] = told["services"].values()
        assert (service["port"], service["public_port"], service["token"]) == (22, 50000, "token-of-50000")
    boards.sessions.clear()
    async with hub(storage, boards=boards, tunnels=Tunnels()) as bench:
        lab = Client(bench.http, bench.url, lab.headers)
        assert bench.tunnels.open_ports == {50000: board["uuid"]}
        [row] = (await lab.get("/v1/boards/one/services")).json["exposed"]
        assert row["public_port"] == 50000
        assert (await lab.get("/v1/boards/one")).json["status"] == "offline"
        disabled = await lab.ask("POST", path, {"action": "ServiceDisable"})
        assert disabled.status == 200 and bench.tunnels.open_ports == {}
        assert (await lab.ask("POST", path, {"action": "ServiceDisable"})).status == 404


async def test_ports_get_distinct_addresses_and_the_switch_is_told(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        await bench.online(lab)
        rules = [{"direction": "ingress", "protocol": "icmp", "remote_cidr": "10.1.0.0/29"}]
        network = await lab.made(
            "networks", name="lan", cidr="10.1.0.0/29", gateway="10.1.0.1",
            security_groups=[{"name": "ping", "rules": rules}],
        )  # fmt: skip
        bodies = [{"network": "lan", "name": f"p{n}", "security_groups": ["ping"]} for n in range(6)]
        made = await asyncio.gather(*(lab.ask("PUT", "/v1/boards/one/ports", body) for body in bodies))
        assert sorted(answer.status for answer in made) == [200] * 5 + [409], "five are left of six addresses"
        ports = (await lab.get("/v1/ports")).json["ports"]
        assert len({port["ip"] for port in ports}) == 5 and "10.1.0.1" not in {port["ip"] for port in ports}
        assert all(len(port["VIF_name"]) <= 15 and port["up"] for port in ports)
        config = bench.networks.configs[network["uuid"]]
        assert {each["ip"] for each in config["ports"].values()} == {port["ip"] for port in ports}
        assert (await lab.ask("DELETE", "/v1/networks/lan")).status == 409
        uuid = next(answer for answer in made if answer.status == 200).headers["Iotronic-Object-Uuid"]
        address = (await lab.get(f"/v1/ports/{uuid}")).json["ip"]
        assert (await lab.ask("DELETE", f"/v1/boards/one/ports/{uuid}")).status == 204
        assert len(bench.networks.configs[network["uuid"]]["ports"]) == 4
        back = await lab.ask("PUT", "/v1/boards/one/ports", {"network": network["uuid"], "ip": address})
        assert back.status == 200, "an address that was given back is free"


async def test_a_gateway_is_a_port_that_leads_to_other_networks(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        await bench.online(lab)
        _, agent = await bench.online(lab, "two")
        lan = {"name": "lan", "cidr": "10.1.0.0/29", "gateway": "10.1.0.1"}
        for routes, why in (
            (["192.168.7.0"], None), ("192.168.7.0/24", "must be a list"), (["10.1.0.4/30"], "within the network itself"),
            (["near"], "is no IPv4 network"),
        ):  # fmt: skip
            said = await lab.ask("POST", "/v1/networks", {**lan, "extra": {"routes": routes}, "name": str(routes)})
            assert said.status == 201 if why is None else why in said.fault
        said = await lab.ask("POST", "/v1/networks", {**lan, "gateway": None, "extra": {"routes": ["192.168.7.0/24"]}})
        assert "has no gateway" in said.fault
        network = await lab.made("networks", **lan, extra={"routes": ["192.168.7.0/24"]})
        gateway = {"network": "lan", "name": "gw", "ip": "10.1.0.1", "allowed_addresses": ["192.168.7.0/24"]}
        made = await lab.ask("PUT", "/v1/boards/one/ports", gateway)
        assert made.status == 200, made.fault
        uuid = made.headers["Iotronic-Object-Uuid"]
        assert bench.networks.configs[network["uuid"]]["ports"][uuid]["allowed_addresses"] == ["192.168.7.0/24"]
        assert (await lab.ask("PUT", "/v1/boards/two/ports", {"network": "lan", "name": "p"})).status == 200
        [(_, told)] = [call for call in agent.calls if call[0] == "Desire"][-1:]
        [port] = told["ports"].values()
        assert port["routes"] == [{"to": "192.168.7.0/24", "via": "10.1.0.1"}]
        second = {"network": "lan", "name": "gw2", "allowed_addresses": ["192.168.0.0/16"]}
        refused = await lab.ask("PUT", "/v1/boards/two/ports", second)
        assert refused.status == 400 and "an address is behind one port" in refused.fault
        changed = await lab.ask("PATCH", f"/v1/ports/{uuid}", {"allowed_addresses": []})
        assert changed.json["allowed_addresses"] == []
        assert (await lab.ask("PUT", "/v1/boards/two/ports", second)).status == 200
        refused = await lab.ask("PATCH", f"/v1/ports/{uuid}", {"allowed_addresses": ["far"]})
        assert refused.status == 400 and "allowed_addresses 'far' is no IPv4 network" in refused.fault
        kept = (await lab.get(f"/v1/ports/{uuid}")).json
        assert (kept["allowed_addresses"], kept["ip"]) == ([], "10.1.0.1")


async def test_workloads_of_boards_and_fleets(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        fleet = await lab.made("fleets", name="all")
        _, agent = await bench.online(lab, "one", fleet="all")
        job = {"name": "job", "command": ["echo", "hi"], "job": True}
        made = await lab.ask("POST", "/v1/boards/one/workloads", job)
        assert made.status == 201 and (made.json["generation"], made.json["restart"]) == (1, "OnFailure")

        async def runs() -> bool:
            return (await lab.get("/v1/boards/one/workloads/job")).json["status"]["phase"] == "Running"

        await until(runs)
        agent.answers["WorkloadLogs"] = lambda uuid, tail: "hi\n" * tail
        assert (await lab.get("/v1/boards/one/workloads/job/logs?tail=2")).body == b"hi\nhi\n"
        printed = "hi\nho\n"

        def follow(_uuid: str, since: int | None, tail: int | None = None) -> Message:
            told = printed[since:] if since is not None else "".join(printed.splitlines(keepends=True)[-(tail or 0) :])
            return Message(
                {"text": told[:2], "next": (since or len(printed) - len(told)) + 2, "over": True}, Outcome.SUCCESS
            )

        agent.answers["WorkloadFollow"] = follow
        assert (await lab.get("/v1/boards/one/workloads/job/logs?tail=1&follow=true")).body == b"ho\n"
        agent.answers["WorkloadFollow"] = Message("it is not there", Outcome.ERROR)
        assert "not there" in (await lab.get("/v1/boards/one/workloads/job/logs?follow=true")).fault
        agent.answers["WorkloadResults"] = Message({"files": {"out": "hi"}}, Outcome.SUCCESS)
        assert (await lab.get("/v1/boards/one/workloads/job/results")).json == {"files": {"out": "hi"}}
        changed = await lab.ask("PATCH", "/v1/boards/one/workloads/job", {"command": ["echo", "ho"]})
        assert changed.json["generation"] == 2
        assert (await lab.ask("DELETE", "/v1/boards/one/workloads/job")).status == 204
        spread = await lab.ask("POST", f"/v1/fleets/{fleet['uuid']}/workloads", {"name": "web", "command": ["serve"]})
        assert [part["board"] for part in spread.json["parts"]] == [agent.board]
        late, _ = await bench.online(lab, "late")
        await lab.ask("PATCH", "/v1/boards/late", {"fleet": "all"})
        told = (await lab.get("/v1/fleets/all/workloads/web")).json
        assert told["missing"] == 0 and told["why"].keys() == {agent.board, late["uuid"]}
        more = (await lab.ask("PATCH", "/v1/fleets/all/workloads/web", {"replicas": 5})).json
        assert more["missing"] == 3 and len(more["parts"]) == 2
        parts = told["parts"]
        assert {part["board"] for part in parts} == {agent.board, late["uuid"]}
        part = parts[0]["workload"]
        refused = await lab.ask("DELETE", f"/v1/boards/{parts[0]['board']}/workloads/{part}")
        assert refused.status == 409 and "at its fleet" in refused.fault
        await lab.ask("PATCH", "/v1/boards/late", {"fleet": None})
        assert len((await lab.get("/v1/fleets/all/workloads/web")).json["parts"]) == 1
        assert (await lab.ask("DELETE", "/v1/fleets/all/workloads/web")).status == 204
        assert (await lab.get("/v1/boards/one/workloads")).json == {"workloads": []}


async def test_what_was_pending_at_a_restart_ends(storage: str) -> None:
    boards = Boards()
    async with hub(storage, boards=boards) as bench:
        lab = await bench.client()
        board, agent = await bench.online(lab)
        await lab.plugin()
        agent.answers["DevicePing"] = asyncio.Event()
        call = await lab.ask("POST", "/v1/boards/one/action", {"action": "DevicePing"}, Prefer="respond-async")
        agent.silent = True
        wish = await inject(lab, "one", "hello", Prefer="respond-async")
        assert (await lab.get(f"/v1/requests/{wish.json['uuid']}")).json["status"] == "PENDING"
    agent.silent = False
    boards.sessions.clear()
    async with hub(storage, boards=boards) as bench:
        lab = Client(bench.http, bench.url, lab.headers)
        [result] = (await lab.get(f"/v1/requests/{call.json['uuid']}/results")).json["results"]
        assert result["result"] == "ERROR" and "the hub was restarted" in result["message"]
        await boards.come(board["uuid"])
        await until_done(lab, wish.json["uuid"])
        [result] = (await lab.get(f"/v1/requests/{wish.json['uuid']}/results")).json["results"]
        assert (result["result"], result["message"]) == ("SUCCESS", "PluginInject result: INJECTED")


async def test_deleting_a_board_leaves_nothing_of_it(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        board, agent = await bench.online(lab)
        await lab.plugin()
        await lab.made("services", name="ssh", port=22, protocol="TCP")
        network = await lab.made("networks", name="lan", cidr="10.1.0.0/24")
        await inject(lab, "one", "hello")
        await lab.ask("POST", "/v1/boards/one/services/ssh/action", {"action": "ServiceEnable"})
        await lab.ask("PUT", "/v1/boards/one/ports", {"network": "lan"})
        assert (await lab.ask("DELETE", "/v1/plugins/hello")).status == 409
        assert (await lab.ask("DELETE", "/v1/services/ssh")).status == 409
        assert (await lab.ask("DELETE", "/v1/boards/one")).status == 204
        assert agent.calls[-1] == ("DeviceFactoryReset",) and bench.boards.closed == [board["uuid"]]
        assert bench.tunnels.open_ports == {} and bench.networks.configs[network["uuid"]]["ports"] == {}
        assert bench.core.registry.table(Injection).all() == []
        for path in ("/v1/plugins/hello", "/v1/services/ssh", "/v1/networks/lan"):
            assert (await lab.ask("DELETE", path)).status == 204


async def test_the_oldest_answers_go_where_they_are_too_long_together(storage: str) -> None:
    async with hub(storage, keep_results=1000) as bench:
        lab = await bench.client()
        _, agent = await bench.online(lab, "one")
        await lab.made("plugins", name="p", code=CODE, callable=True)
        await lab.ask("PUT", "/v1/boards/one/plugins", {"plugin": "p"})
        for number in range(4):
            agent.answers["PluginCall"] = Message(str(number) * 400, Outcome.SUCCESS)
            assert (await lab.ask("POST", "/v1/boards/one/plugins/p", {"action": "PluginCall"})).status == 200
        await bench.hub.requests.sweep()
        kept = (await lab.get("/v1/requests")).json["requests"]
        calls = [each["uuid"] for each in kept if each["action"] == "PluginCall"]
        results = [(await lab.get(f"/v1/requests/{each}/results")).json["results"] for each in calls]
        assert [result["message"][0] for (result,) in results] == ["2", "3"]


async def test_what_is_asked_is_counted_by_its_route(storage: str) -> None:
    async with hub(storage) as bench:
        lab = await bench.client()
        board = await lab.board("one")
        await lab.get(f"/v1/boards/{board['uuid']}/")
        await lab.get("/v1/boards/none")
        await lab.get("/elsewhere")
        assert bench.asked == {("POST", "/v1/boards"): 1, ("GET", "/v1/boards/{board}"): 2, ("GET", "none"): 1}
