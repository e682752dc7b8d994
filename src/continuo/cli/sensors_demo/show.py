"""The demo from its beginning to its end, however it ends."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from continuo.cli import demo_folder, places
from continuo.cli.demo_ending import told_to_end
from continuo.cli.demo_saying import head, since
from continuo.cli.sensors_demo import market, scene, stage, steps
from continuo.cli.sensors_demo.receivers import receiving
from continuo.cli.sensors_demo.steps import Play
from continuo.cli.sensors_demo.trust import trusting


async def show(data: Path, timeout: float, hold: bool) -> None:
    """Everything, in order. Nothing runs afterwards; with `hold` it all goes on until Ctrl-C."""
    from rich.console import Console

    console = Console()
    data = demo_folder.usable(data, stage.DEMO)
    with told_to_end():
        async with AsyncExitStack() as stack:
            play = await _begin(stack, console, data, timeout)
            await steps.perform(play)
            if hold:
                await _hold(play)
    console.print("\nNothing of it runs any more.", highlight=False)


async def _begin(stack: AsyncExitStack, console: Any, data: Path, timeout: float) -> Play:
    began = time.perf_counter()
    head(console, 1, "a provider's cluster with two edge worker nodes, two consumers' clusters ...")
    trust = await stack.enter_async_context(trusting())
    identities = {
        party: await trust.identity(scene.receiver_id(party)) for party in (scene.FIRST, scene.SECOND)
    }  # fmt: skip
    receivers = await stack.enter_async_context(receiving(dict(identities), scene.RELAY_ID))
    made = await stack.enter_async_context(stage.staged(data, trust))
    address = f"https://{made.address(scene.PROVIDER)}"
    buyers = [
        await stack.enter_async_context(
            market.buying(party, await trust.identity(scene.buyer_id(party)), address)
        ) for party in (scene.FIRST, scene.SECOND)
    ]  # fmt: skip
    play = Play(console, made, receivers, buyers[0], buyers[1], timeout)
    play.say(f"MQTT at each edge node: {made.broker}")
    play.say(
        f"trust domains {', '.join(scene.domain(each) for each in (scene.PROVIDER, scene.FIRST, scene.SECOND))}: every "
        f"REAR call, the relay's control and two of the three endpoints are mutual TLS ({since(began)})",
    )  # fmt: skip
    return play


async def _hold(play: Play) -> None:
    """Say how to look around, and wait to be ended."""
    made = play.stage
    door = await made.trust.door(scene.buyer_id(scene.FIRST))
    lines = [
        "", "It goes on until Ctrl-C. Look around in another terminal:",
        f"  export KUBECONFIG={places.kubeconfig_path(made.data)}",
        *(f"  export {name}={value}" for name, value in door.items()),
        f"  export CONTINUO_SELLER=https://{made.address(scene.PROVIDER)}",
        f"  continuo sensors ls --allow {scene.site_id(scene.PROVIDER)}",
        f"  continuo sensors contracts --allow {scene.site_id(scene.PROVIDER)}",
        f"  kubectl --context {scene.PROVIDER} -n {scene.SPACE} get flavors,contracts,rules",
        f"  kubectl --context {scene.SECOND} -n {scene.SPACE} get solvers,contracts,allocations",
        f"  curl -s http://{made.address('monitor')}/metrics",
    ]  # fmt: skip
    play.console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    await asyncio.Event().wait()
