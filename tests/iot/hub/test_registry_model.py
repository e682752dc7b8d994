"""The records against a plain model, with restarts anywhere: what was answered is there, and what is gone stays gone."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from continuo.iot.hub.actions import Manner
from continuo.iot.hub.hub import Core, Hub
from continuo.iot.hub.model import Board, Exposed, Fleet, Injection, Network, Plugin, Port, Service
from continuo.iot.hub.records import Change
from continuo.iot.hub.refusals import Refused
from continuo.iot.hub.setting import Setting
from iot.hub.bench import PLACE, Boards, Clock, Networks, Tunnels

T = TypeVar("T")
NAMES = st.sampled_from(["a", "b", "c"])
PROJECTS = st.sampled_from(["p", "q"])


class Machine(RuleBasedStateMachine):
    """`boards` and the like are the model: name and project to what should be found."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="hub"))
        self.outside = Boards()
        self.boards: dict[tuple[str, str], str] = {}
        self.plugins: dict[str, str] = {}
        self.injected: set[tuple[str, str]] = set()
        self.exposed: dict[str, int] = {}
        self.ports: dict[str, tuple[str, str]] = {}
        self.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def start(self) -> None:
        self.core = Core(str(self.folder / "h.sqlite"), Setting(patience=5.0), Clock())
        self.outside.sessions.clear()
        self.outside.presence = self.core.presence
        self.opening = self.core.opened()
        self.run(self.opening.__aenter__())
        self.switch, self.tunnels = Networks(), Tunnels()
        self.hub = Hub(self.core, self.outside, self.tunnels, self.switch)
        self.running = self.hub.running()
        self.run(self.running.__aenter__())
        registry = self.core.registry
        if not registry.table(Network).all():
            network = self.hub.attaching.new_network({"name": "lan", "cidr": "10.0.0.0/29"}, "me", "p")
            self.run(self.hub.attaching.put(network))
            head = {"created_at": registry.now(), "owner": "me", "project": "p"}
            change = Change().add(Service(uuid="ssh", name="ssh", port=22, **head), Fleet(uuid="f", name="f", **head))
            self.run(registry.records.commit(change))
        for board in self.outside.agents:
            self.run(self.outside.come(board))

    def stop(self) -> None:
        self.run(self.running.__aexit__(None, None, None))
        self.run(self.opening.__aexit__(None, None, None))

    def teardown(self) -> None:
        self.stop()
        self.loop.close()
        shutil.rmtree(self.folder)

    @rule()
    def restart(self) -> None:
        self.stop()
        self.start()

    @rule(name=NAMES, project=PROJECTS)
    def create(self, name: str, project: str) -> None:
        said = {"name": name, "code": f"{name}-{project}", "location": PLACE}
        registry = self.core.registry
        if (name, project) in self.boards:
            with pytest.raises(Refused, match="already exists"):
                registry.new_board(said, "me", project)
            return
        board = registry.new_board(said, "me", project)
        self.run(registry.records.commit(Change().add(board)))
        self.run(self.core.presence.register(said["code"], 1, "ab" * 32))
        self.run(self.outside.come(board.uuid, "desire", "tap"))
        self.boards[name, project] = board.uuid

    @rule(name=NAMES)
    def publish(self, name: str) -> None:
        registry = self.core.registry
        if name not in self.plugins:
            plugin = Plugin(uuid=registry.make_uuid(), name=name, owner="me", project="p", code=name)
            self.run(registry.records.commit(Change().add(plugin)))
            self.plugins[name] = plugin.uuid

    def pick(self, data: st.DataObject) -> Board:
        uuid = self.boards[data.draw(st.sampled_from(sorted(self.boards)))]
        found = self.core.registry.table(Board).get(uuid)
        assert found is not None
        return found

    @precondition(lambda self: self.boards and self.plugins)
    @rule(data=st.data(), away=st.booleans())
    def inject_or_remove(self, data: st.DataObject, away: bool) -> None:
        board = self.pick(data)
        plugin = self.core.registry.table(Plugin).get(self.plugins[data.draw(st.sampled_from(sorted(self.plugins)))])
        assert plugin is not None
        pair = board.uuid, plugin.uuid
        if away and pair not in self.injected:
            with pytest.raises(Refused, match="is not injected"):
                self.run(self.hub.actions.remove(board, plugin, Manner()))
        elif away:
            self.run(self.hub.actions.remove(board, plugin, Manner()))
            self.injected.discard(pair)
        else:
            self.run(self.hub.actions.inject(board, plugin, False, Manner()))
            self.injected.add(pair)

    @precondition(lambda self: self.boards)
    @rule(data=st.data(), off=st.booleans())
    def expose_or_not(self, data: st.DataObject, off: bool) -> None:
        board, service = self.pick(data), self.core.registry.table(Service).get("ssh")
        assert service is not None
        if off and board.uuid not in self.exposed:
            with pytest.raises(Refused, match="is not exposed"):
                self.run(self.hub.exposing.act(board, service, "ServiceDisable", Manner()))
            return
        self.run(self.hub.exposing.act(board, service, "ServiceDisable" if off else "ServiceEnable", Manner()))
        if off:
            del self.exposed[board.uuid]
            return
        port = self.hub.exposing.find(board, service).public_port
        assert self.exposed.setdefault(board.uuid, port) == port, "enabled again: the same port"

    @precondition(lambda self: self.boards)
    @rule(data=st.data(), count=st.integers(1, 3))
    def attach(self, data: st.DataObject, count: int) -> None:
        board, [network] = self.pick(data), self.core.registry.table(Network).all()

        async def race() -> list[Any]:
            asked = (self.hub.attaching.attach(board, network, {"network": "lan"}, Manner()) for _ in range(count))
            return await asyncio.gather(*asked, return_exceptions=True)

        made = [answer for answer in self.run(race()) if not isinstance(answer, Refused)]
        assert len(made) == min(count, 6 - len(self.ports))
        for answer in made:
            port = self.core.registry.table(Port).get(answer.object)
            assert port is not None
            self.ports[port.uuid] = board.uuid, port.ip

    @precondition(lambda self: self.ports)
    @rule(data=st.data())
    def detach(self, data: st.DataObject) -> None:
        uuid = data.draw(st.sampled_from(sorted(self.ports)))
        port = self.core.registry.table(Port).get(uuid)
        assert port is not None
        board = self.core.registry.table(Board).get(port.board)
        assert board is not None
        self.run(self.hub.attaching.detach(board, port, Manner()))
        del self.ports[uuid]

    @precondition(lambda self: self.boards)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        board = self.pick(data)
        self.run(self.hub.drop_board(board))
        self.outside.agents.pop(board.uuid)
        self.boards = {key: uuid for key, uuid in self.boards.items() if uuid != board.uuid}
        self.injected = {pair for pair in self.injected if pair[0] != board.uuid}
        self.exposed.pop(board.uuid, None)
        self.ports = {uuid: port for uuid, port in self.ports.items() if port[0] != board.uuid}

    @invariant()
    def holds(self) -> None:
        registry = self.core.registry
        assert {(row.name, row.project): row.uuid for row in registry.table(Board).all()} == self.boards
        for (name, project), uuid in self.boards.items():
            assert registry.find(Board, name, project).uuid == uuid
        assert {(row.board, row.plugin) for row in registry.table(Injection).all()} == self.injected
        assert {row.board: row.public_port for row in registry.table(Exposed).all()} == self.exposed
        assert {port: board for board, port in self.exposed.items()} == self.tunnels.open_ports
        assert {row.uuid: (row.board, row.ip) for row in registry.table(Port).all()} == self.ports
        assert len({ip for _, ip in self.ports.values()}) == len(self.ports)
        [config] = self.switch.configs.values()
        assert {uuid: port["ip"] for uuid, port in config["ports"].items()} == {
            uuid: ip for uuid, (_, ip) in self.ports.items()
        }
        for board in self.boards.values():
            desired = registry.desired(board)
            assert set(desired["plugins"]) == {plugin for owner, plugin in self.injected if owner == board}
            assert set(desired["ports"]) == {uuid for uuid, (owner, _) in self.ports.items() if owner == board}
            assert all(port["token"] for port in desired["ports"].values())


TestRegistry = Machine.TestCase
TestRegistry.settings = settings(max_examples=12, stateful_step_count=25, deadline=None, derandomize=True)
