"""The demo from its beginning to its end, however it ends."""

from __future__ import annotations

import asyncio
import base64
import logging
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from continuo.cli import demo_folder, places
from continuo.cli.demo_ending import told_to_end
from continuo.cli.demo_saying import WIDTH, head, say, since
from continuo.cli.host import Host
from continuo.cli.loop_demo import scene
from continuo.cli.loop_demo.scene import DATABASE, DESK, EAST, NAME, NAMESPACE, WEB, WEST
from continuo.cli.loop_demo.watching import Watching, place_of, ready, runs, without
from continuo.embedded.standins import faults
from continuo.embedded.standins.settings import Settings as StandIns
from continuo.kube.config import connect
from continuo.kube.port import Cluster
from continuo.orchestrator.settings import Settings
from continuo.resources import kinds

SPEED = 3.0


@dataclass(slots=True)
class Play:
    """What the steps need."""

    console: Any
    host: Host
    api: Cluster
    watching: Watching

    def say(self, what: str) -> None:
        say(self.console, what)


async def show(data: Path, timeout: float, hold: bool) -> None:
    """Everything, in order. Nothing runs afterwards; with `hold` it all goes on until Ctrl-C."""
    from rich.console import Console

    console = Console()
    data = demo_folder.usable(data, NAME)
    demo_folder.empty(data)
    logging.basicConfig(filename=data / "engine.log", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with told_to_end():
        async with AsyncExitStack() as stack:
            play = await stack.enter_async_context(_staged(console, data, timeout))
            await _perform(play)
            if hold:
                await _hold(play, data)
    console.print("\nNothing of it runs any more.", highlight=False)


@asynccontextmanager
async def _staged(console: Any, data: Path, timeout: float) -> AsyncIterator[Play]:
    host = Host(data, port=0, standins=StandIns(speed=SPEED), seed=1)
    await host.start()
    operator = host.operator(Settings(lost_after=1.0, retry_first=0.3))
    api = connect(host.engine.kubeconfig("management"), name="management")
    watching = Watching(api, lambda who, what: _line(console, who, what), timeout)
    tasks = [asyncio.create_task(operator.run()), asyncio.create_task(watching.run())]
    try:
        yield Play(console, host, api, watching)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await operator.management.close()
        await api.close()
        await host.stop()


def _line(console: Any, who: str, what: str) -> None:
    """One decision, in lines for a terminal."""
    lines = textwrap.fill(what, WIDTH, initial_indent=f"  {who}", subsequent_indent=" " * (len(who) + 2))
    console.print(lines, highlight=False, markup=False)


async def _perform(play: Play) -> None:
    began = time.perf_counter()
    await _declare(play)
    await _load_rises(play)
    await _outage(play)
    await _load_falls(play)
    play.console.print(
        f"\n{play.watching.decisions} decisions in {since(began)}, each with its reason; nobody was asked.",
        highlight=False,
    )


async def _declare(play: Play) -> None:
    head(play.console, 1, "two clusters, two applications, and three loops that look after them ...")
    play.say("shop/web goes wherever it fits, shop/db belongs on east, and east is the home of desk")
    clouds = kinds.SECRET.new("openstack-cloud-config", NAMESPACE, stringData={"clouds.yaml": "clouds: {}"})
    await play.api.apply(clouds, manager="continuo-cli")
    await play.api.apply(scene.declaration(), manager="continuo-cli")
    await play.watching.until(ready, "the declaration")
    await _load(play, scene.LITTLE)
    play.say("everything runs")


async def _load_rises(play: Play) -> None:
    head(play.console, 2, "shop/web gets four times as much to do ...")
    await _load(play, scene.MORE)
    await play.watching.until(runs(WEB, ready="3/3"), "three pods of shop/web")
    head(play.console, 3, "... and then more than there is room for")
    await _load(play, scene.MUCH)
    obj = await play.watching.until(runs(WEB, "burst-1", ready="9/9"), "nine pods of shop/web on a new cluster")
    play.say(f"shop/web runs on {place_of(obj, WEB)}, which nobody declared, with nine pods")


async def _outage(play: Play) -> None:
    head(play.console, 4, "east does not answer any more ...")
    breaking = faults.Faults(play.host.engine)
    began = time.perf_counter()
    breaking.inject(faults.API_OUTAGE, kinds.CLUSTER, f"{NAME}-{EAST}", NAMESPACE)
    for path in (DATABASE, DESK):
        obj = await play.watching.until(runs(path, WEST, "burst-1"), f"{path} elsewhere")
        play.say(f"{path} runs on {place_of(obj, path)}, {since(began)} after the outage began")
    head(play.console, 5, "... and does again")
    breaking.heal(faults.API_OUTAGE, kinds.CLUSTER, f"{NAME}-{EAST}", NAMESPACE)
    for path in (DATABASE, DESK):
        await play.watching.until(runs(path, EAST), f"{path} at home")
    play.say("what belongs on east is home again; what east still ran from before was removed first")


async def _load_falls(play: Play) -> None:
    head(play.console, 6, "shop/web has little to do ...")
    await _load(play, scene.LITTLE)
    await play.watching.until(runs(WEB, WEST, EAST, ready="1/1"), "one pod of shop/web on a declared cluster")
    await play.watching.until(without("burst-1"), "the end of burst-1")
    play.say("everything is as it was declared, and burst-1 is gone")


async def _load(play: Play, cpu: str) -> None:
    """Say what the pods of shop/web have to do together; its Deployment is in the application's home."""
    secret = await play.api.get(kinds.SECRET, f"{NAME}-{WEST}-kubeconfig", NAMESPACE)
    west = connect(base64.b64decode(secret["data"]["value"]).decode(), name=WEST)
    try:
        note = {"metadata": {"annotations": {"continuo.dev/simulated-load": f"cpu={cpu}"}}}
        await west.patch(kinds.DEPLOYMENT, "web", note, "shop")
    finally:
        await west.close()


async def _hold(play: Play, data: Path) -> None:
    """Say how to look around, and wait to be ended."""
    config = places.kubeconfig_path(data)
    lines = [
        "", "It goes on until Ctrl-C. Look around in another terminal:",
        f"  export KUBECONFIG={config}",
        f"  continuo status {NAME}",
        f"  continuo decisions --orchestration {NAME}",
        f"  continuo why {WEB}",
        f"  kubectl --context {NAME}-{WEST} top pod -n shop",
        f"  kubectl --context {NAME}-{WEST} annotate --overwrite -n shop deploy/web "
        f"continuo.dev/simulated-load=cpu={scene.MUCH}",
    ]  # fmt: skip
    play.console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    await asyncio.Event().wait()
