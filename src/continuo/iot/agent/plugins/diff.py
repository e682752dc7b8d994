"""What is to be done so that a board has the plugins that it shall have: pure, by uuid, in an order that is safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from continuo.iot.agent.plugins.spec import Plugin


@dataclass(frozen=True, slots=True)
class Actual:
    """A plugin that is on the board. `over`: a run of it that was wanted has ended by itself."""

    plugin: Plugin
    running: bool = False
    over: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do."""

    do: Literal["stop", "remove", "inject", "start"]
    uuid: str
    plugin: Plugin | None = None


def steps(wanted: Mapping[str, Plugin], actual: Mapping[str, Actual]) -> list[Step]:
    """First what ends, then what comes, then what starts; nothing where all is as it shall be."""
    ending: list[Step] = []
    coming: list[Step] = []
    starting: list[Step] = []
    for uuid in sorted(actual.keys() - wanted.keys()):
        if actual[uuid].running:
            ending.append(Step("stop", uuid))
        ending.append(Step("remove", uuid))
    for uuid in sorted(wanted):
        plugin, has = wanted[uuid], actual.get(uuid)
        same = has is not None and plugin.same_program(has.plugin)
        asked = same and has is not None and plugin.parameters == has.plugin.parameters
        stays = plugin.state == "running" and asked
        if has is not None and has.running and not stays:
            ending.append(Step("stop", uuid))
        if has is None or has.plugin != plugin:
            coming.append(Step("inject", uuid, plugin))
        begun = has is not None and stays and (has.running or (has.over and has.plugin.state == "running"))
        if plugin.state == "running" and not begun:
            starting.append(Step("start", uuid, plugin))
    return ending + coming + starting
