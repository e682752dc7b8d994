"""Services, networks, ports and workloads against the hub itself; only boards' sessions, tunnels and switch are doubles."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cli.command import continuo
from continuo.iot.hub import model
from continuo.iot.hub.desired import run_of
from continuo.iot.provider.kinds import exposed
from continuo.iot.wire import Message, Outcome
from continuo.resources import kinds
from continuo.resources.boards import BOARD, EXPOSED_SERVICE, FLEET, PORT, SERVICE, VIRTUAL_NETWORK, WORKLOAD
from continuo.resources.meta import Kind, condition
from iot.hub.bench import Bench as HubBench
from iot.hub.bench import hub

from .bench import SLOW, Bench, provider_world
from .test_hub import connected

pytestmark = pytest.mark.anyio
CAPABLE = ("desire", "process", "tap")


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[Bench, HubBench]]:
    """A hub, and a provider for which the next poll is far away: only events bring it back in time."""
    async with (
        hub(str(folder / "hub.sqlite"), unsigned=True) as there,
        provider_world(settings=SLOW, started=False) as bench,
    ):
        await connected(bench, there)
        await bench.start()
        yield bench, there


async def come(bench: Bench, there: HubBench, name: str, *capabilities: str, labels: Any = None) -> str:
    """A Board whose agent registered and came."""
    await bench.make(BOARD, name, labels=labels or {})
    await bench.until_ready(BOARD, name, type_="Synced")
    data = bench.api.get(kinds.SECRET, f"{name}-board", "default")["data"]
    code, uuid = (base64.b64decode(data[key]).decode() for key in ("code", "uuid"))
    await there.core.presence.register(code, 1, "ab" * 32)
    await there.boards.come(uuid, *(capabilities or CAPABLE))
    return uuid


def seen(bench: Bench, kind: Kind, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (bench.get(kind, name).get("status") or {}).get("atProvider") or {}
    return found


def why(bench: Bench, kind: Kind, name: str, type_: str = "Ready") -> str:
    return str((condition(bench.get(kind, name), type_) or {}).get("message") or "")


def count(there: HubBench, table: type) -> int:
    return len(there.core.registry.table(table))


async def report(there: HubBench, board: str, section: str, uuid: str, **said: Any) -> None:
    """The board's agent says something else of one thing."""
    agent = there.boards.agents[board]
    agent.said[section] = {**agent.said[section], uuid: {**agent.said[section].get(uuid, {}), **said}}
    await there.core.presence.reported(board, agent.said)


async def gone(bench: Bench, *what: tuple[Kind, str]) -> None:
    for kind, name in what:
        await bench.cluster.delete(kind, name, "default")
    for kind, name in what:
        await bench.until_gone(kind, name)


async def test_a_service_is_exposed_opened_again_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposed, "PATIENCE", 0.05)
    async with both(tmp_path) as (bench, there):
        board = await come(bench, there, "pump")
        await bench.make(SERVICE, "ssh", {"port": 22})
        fields = {"boardRef": {"name": "pump"}, "serviceRef": {"name": "ssh"}}
        await bench.make(EXPOSED_SERVICE, "ssh", fields, writeConnectionSecretToRef={"name": "pump-ssh"})
        await bench.make(EXPOSED_SERVICE, "web", {"boardSelector": {}, "port": 8080})
        await bench.until_ready(EXPOSED_SERVICE, "ssh", "web")
        told = seen(bench, EXPOSED_SERVICE, "ssh")
        assert bench.external(EXPOSED_SERVICE, "ssh") == f"{board}/{bench.external(SERVICE, 'ssh')}"
        assert told["publicPort"] in there.tunnels.open_ports and told["up"]
        data = bench.api.get(kinds.SECRET, "pump-ssh", "default")["data"]
        said = {key: base64.b64decode(value).decode() for key, value in data.items()}
        assert said == {
            "host": told["host"],
            "port": str(told["publicPort"]),
            "endpoint": f"{told['host']}:{told['publicPort']}",
        }
        # a tunnel that stays dead is opened again
        del there.tunnels.open_ports[told["publicPort"]]
        there.hub.tunnel_changed(told["publicPort"], False)
        await bench.until(EXPOSED_SERVICE, lambda _: told["publicPort"] in there.tunnels.open_ports)
        await bench.until_ready(EXPOSED_SERVICE, "ssh")
        # somebody closes it behind our back
        client = await there.client(project="p")
        service = bench.external(SERVICE, "ssh")
        await client.ask("POST", f"/v1/boards/{board}/services/{service}/action", {"action": "ServiceDisable"})
        await bench.until(EXPOSED_SERVICE, lambda _: count(there, model.Exposed) == 2)
        # a board that is away
        await there.boards.leave(board)
        await bench.until(EXPOSED_SERVICE, lambda _: "offline" in why(bench, EXPOSED_SERVICE, "ssh"))
        await bench.until_ready(EXPOSED_SERVICE, "ssh", "web", status="False")
        await bench.until_ready(EXPOSED_SERVICE, "ssh", type_="Synced")
        await there.boards.come(board, *CAPABLE)
        await bench.until_ready(EXPOSED_SERVICE, "ssh", "web")
        await gone(bench, (SERVICE, "ssh"), (BOARD, "pump"), (EXPOSED_SERVICE, "ssh"), (EXPOSED_SERVICE, "web"))
        assert (count(there, model.Exposed), count(there, model.Service), there.tunnels.open_ports) == (0, 0, {})


async def test_a_network_with_ports_whatever_the_order(tmp_path: Path) -> None:
    async with both(tmp_path) as (bench, there):
        fields = {"boardRef": {"name": "one"}, "networkRef": {"name": "lab"}, "ip": "10.5.0.7"}
        await bench.make(PORT, "one", fields)
        await bench.make(PORT, "two", {"boardRef": {"name": "two"}, "networkRef": {"name": "lab"}})
        boards = [await come(bench, there, "one"), await come(bench, there, "two", "desire")]
        await bench.make(VIRTUAL_NETWORK, "lab", {"cidr": "10.5.0.0/24", "mtu": 1300})
        await bench.until_ready(PORT, "one")
        told = seen(bench, PORT, "one")
        assert told["ip"].startswith("10.5.0.7") and told["boardEnd"] and told["mac"] and len(told["vifName"]) <= 15
        # who may make no interface says what to grant, and gets its port when that was granted
        await bench.until(PORT, lambda _: "CAP_NET_ADMIN" in why(bench, PORT, "two"))
        await bench.until_ready(PORT, "two", type_="Synced")
        await there.boards.leave(boards[1])
        there.boards.agents.clear()
        await there.boards.come(boards[1], *CAPABLE)
        await bench.until_ready(PORT, "two")
        await bench.until(VIRTUAL_NETWORK, lambda _: seen(bench, VIRTUAL_NETWORK, "lab").get("ports") == 2)
        # the board's end goes down and says why
        there.boards.agents[boards[1]].said.update({"plugins": {}})
        port = bench.external(PORT, "two")
        await report(there, boards[1], "ports", port, up=False, message="the device is busy")
        await bench.until(PORT, lambda _: why(bench, PORT, "two") == "the device is busy")
        # what somebody removed is made again, with the address that was asked for
        client = await there.client(project="p")
        await there.boards.come(boards[0], *CAPABLE)
        first = bench.external(PORT, "one")
        await client.ask("DELETE", f"/v1/ports/{first}")
        await bench.until(PORT, lambda _: bench.external(PORT, "one") not in ("", first))
        await bench.until_ready(PORT, "one")
        assert seen(bench, PORT, "one")["ip"].startswith("10.5.0.7")
        # security groups change while it is used
        groups = [{"name": "web", "rules": [{"protocol": "tcp", "portMin": 80}]}]
        await bench.change(VIRTUAL_NETWORK, "lab", spec={"forProvider": {"securityGroups": groups, "mtu": 1280}})
        await bench.until(
            VIRTUAL_NETWORK, lambda _: there.networks.configs[bench.external(VIRTUAL_NETWORK, "lab")]["mtu"] == 1280
        )
        await bench.change(PORT, "one", spec={"forProvider": {"securityGroups": ["web"]}})
        await bench.until(
            PORT, lambda _: ["web"] in [port.security_groups for port in there.core.registry.table(model.Port).all()]
        )
        await gone(bench, (VIRTUAL_NETWORK, "lab"), (BOARD, "one"), (PORT, "one"), (PORT, "two"))
        assert (count(there, model.Port), count(there, model.Network)) == (0, 0)


async def test_a_job_of_a_fleet_runs_once_for_each_generation(tmp_path: Path) -> None:
    async with both(tmp_path) as (bench, there):
        boards = [await come(bench, there, f"b{number}", labels={"site": "north"}) for number in range(3)]
        await bench.make(FLEET, "north", {"memberSelector": {"matchLabels": {"site": "north"}}})
        await bench.secret("words", key="hidden")
        fields = {
            "fleetRef": {"name": "north"}, "command": ["measure"], "job": {}, "env": {"A": "1"},
            "secretEnv": {"WORD": {"name": "words", "key": "key"}},
        }  # fmt: skip
        await bench.make(WORKLOAD, "survey", fields)
        await bench.until(WORKLOAD, lambda _: seen(bench, WORKLOAD, "survey").get("running") == 3)
        assert (condition(bench.get(WORKLOAD, "survey"), "Ready") or {})["reason"] == "Creating"
        parent = bench.external(WORKLOAD, "survey")
        parts = {each.board: each.uuid for each in there.core.registry.table(model.Workload).by("parent", parent)}
        stored = there.core.registry.table(model.Workload).get(parent)
        assert stored is not None and run_of(stored.spec)["env"] == {"A": "1", "WORD": "hidden"}
        for board in boards[:2]:
            await report(there, board, "workloads", parts[board], phase="Succeeded", exitCode=0, result=f"from {board}")
        await report(there, boards[2], "workloads", parts[boards[2]], phase="Failed", exitCode=3, message="no sensor")
        counts = {"succeeded": 2, "failed": 1}
        await bench.until(WORKLOAD, lambda _: counts.items() <= seen(bench, WORKLOAD, "survey").items())
        told = seen(bench, WORKLOAD, "survey")
        assert told["boards"][0] == {
            "board": boards[2], "name": "b2", "phase": "Failed", "exitCode": 3, "restarts": 0, "message": "no sensor"
        }  # fmt: skip
        assert {each["result"] for each in told["boards"][1:]} == {f"from {board}" for board in boards[:2]}
        sentence = "failed on 1 of 3 boards: b2 with exit code 3: no sensor"
        await bench.until(WORKLOAD, lambda _: why(bench, WORKLOAD, "survey") == sentence)
        # it was removed behind our back: a job that ran is not run again
        client = await there.client(project="p")
        fleet = bench.external(FLEET, "north")
        assert (await client.ask("DELETE", f"/v1/fleets/{fleet}/workloads/{parent}")).status == 204
        await bench.until(WORKLOAD, lambda _: "not run again" in why(bench, WORKLOAD, "survey"))
        assert count(there, model.Workload) == 0 and seen(bench, WORKLOAD, "survey")["succeeded"] == 2
        # a new generation is a new run
        await bench.change(WORKLOAD, "survey", spec={"forProvider": {"env": {"A": "2"}}})
        await bench.until(WORKLOAD, lambda _: seen(bench, WORKLOAD, "survey").get("running") == 3)
        parent = bench.external(WORKLOAD, "survey")
        for each in there.core.registry.table(model.Workload).by("parent", parent):
            assert each.board is not None
            await report(there, each.board, "workloads", each.uuid, phase="Succeeded", exitCode=0)
        await bench.until_ready(WORKLOAD, "survey")
        await there.boards.leave(boards[0])
        await bench.until_ready(BOARD, "b0", status="False")
        await bench.until_ready(WORKLOAD, "survey")  # what ended stays so
        await gone(bench, (FLEET, "north"), (WORKLOAD, "survey"))
        assert count(there, model.Workload) == 0


async def test_what_a_workload_writes_is_printed_and_followed(tmp_path: Path) -> None:
    async with both(tmp_path) as (bench, there):
        board = await come(bench, there, "b0")
        await bench.make(WORKLOAD, "one", {"boardRef": {"name": "b0"}, "command": ["watch"]})
        await bench.until_ready(WORKLOAD, "one")
        agent = there.boards.agents[board]
        agent.answers["WorkloadLogs"] = lambda _uuid, tail: f"the last {tail} lines\n"
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(bench.kubeconfig, encoding="utf-8")
        logs = ("boards", "logs", "one", "--kubeconfig", str(kubeconfig), "-n", "default", "--tail", "7")
        assert (await asyncio.to_thread(continuo, *logs)).out == "the last 7 lines\n"
        parts = iter(["grüße\n", "mehr\n", ""])

        def follow(_uuid: str, _since: int | None, _tail: int | None = None) -> Message:
            text = next(parts)
            return Message({"text": text, "next": 1, "over": not text}, Outcome.SUCCESS)

        agent.answers["WorkloadFollow"] = follow
        assert (await asyncio.to_thread(continuo, *logs, "--follow")).out == "grüße\nmehr\n"


async def test_a_service_of_boards_is_repaired_replaced_and_spread(tmp_path: Path) -> None:
    async with both(tmp_path) as (bench, there):
        boards = [await come(bench, there, f"b{number}", labels={"site": "north"}) for number in range(3)]
        await bench.make(FLEET, "north", {"memberSelector": {"matchLabels": {"site": "north"}}})
        await bench.make(WORKLOAD, "all", {"fleetRef": {"name": "north"}, "command": ["serve"], "replicas": 2})
        await bench.make(WORKLOAD, "one", {"boardRef": {"name": "b0"}, "command": ["watch"]})
        await bench.until_ready(WORKLOAD, "all", "one")
        assert seen(bench, WORKLOAD, "all")["running"] == 2
        # changed behind our back, and removed behind our back
        client = await there.client(project="p")
        uuid = bench.external(WORKLOAD, "one")
        await client.ask("PATCH", f"/v1/boards/{boards[0]}/workloads/{uuid}", {"command": ["mine"]})
        table = there.core.registry.table(model.Workload)
        await bench.until(
            WORKLOAD, lambda _: table.get(uuid) is not None and table.get(uuid).spec["command"] == ["watch"]
        )  # type: ignore[union-attr]
        await client.ask("DELETE", f"/v1/boards/{boards[0]}/workloads/{uuid}")
        await bench.until(WORKLOAD, lambda _: bench.external(WORKLOAD, "one") not in ("", uuid))
        await bench.until_ready(WORKLOAD, "one")
        # all boards where no number is said; who joins has it, too
        await bench.change(WORKLOAD, "all", spec={"forProvider": {"replicas": None}})
        await bench.until(WORKLOAD, lambda _: seen(bench, WORKLOAD, "all")["running"] == 3)
        await come(bench, there, "b3", labels={"site": "north"})
        await bench.until(WORKLOAD, lambda _: seen(bench, WORKLOAD, "all")["running"] == 4)
        await bench.change(WORKLOAD, "all", spec={"forProvider": {"replicas": 9}})
        sentence = "5 of 9 replicas have no board that fits"
        await bench.until(WORKLOAD, lambda _: why(bench, WORKLOAD, "all") == sentence)
        await there.boards.leave(boards[0])
        await bench.until(WORKLOAD, lambda _: "offline" in why(bench, WORKLOAD, "one"))
        assert seen(bench, WORKLOAD, "one")["boards"][0]["phase"] == "Offline"
        await bench.until(WORKLOAD, lambda _: seen(bench, WORKLOAD, "all")["offline"] == 1)
        await gone(bench, (WORKLOAD, "all"), (WORKLOAD, "one"))
        assert count(there, model.Workload) == 0
