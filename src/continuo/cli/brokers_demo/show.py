"""The demo from its first step to its last."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from continuo.cli import places
from continuo.cli.brokers_demo import latency, market, placing, scene, scheduling, stage
from continuo.cli.brokers_demo.stage import Stage
from continuo.cli.failures import Failed
from continuo.cli.output import make_console, print_table
from continuo.testbed.errors import TestbedError


async def show(data: Path, timeout: float) -> None:
    """Everything, in order. The engine, the broker and the catalog run on afterwards."""
    console, data = make_console(), stage.usable(data)
    _step(console, 1, "an engine with a broker's cluster, four providers and two consumers ...")
    stage.start_engine(data)
    async with stage.connected(data) as made:
        _step(console, 2, "the broker: whom it knows, what is allowed; every cluster uses 10.0.0.0/16 ...")
        await stage.declare(made)
        await stage.start_broker(made, timeout)
        await stage.start_catalog(made)
        bought = await _market(console, made, timeout)
        shown, hidden = await _placing(console, made, timeout)
        sizes = ", ".join(map(str, scheduling.SIZES))
        _step(
            console,
            7,
            f"scheduling latency: {sizes} pods, each way in turn, the median of {scheduling.WAVES} waves ...",
        )
        await _scheduling(console, made, bought, timeout)
        _step(console, 8, "HTTP latency, under the addresses above ...")
        await _http(console, made, shown, hidden)
    console.print(_outlook(data), highlight=False)


def _step(console: Console, number: int, what: str) -> None:
    console.print(f"\n[bold]{number}[/] {what}", highlight=False)


async def _market(console: Console, made: Stage, timeout: float) -> str:
    _step(console, 3, f"the providers publish offers, and {scene.BUYER} follows the catalog:")
    await market.open_accounts(made)
    async with market.following(made, len(scene.PROVIDERS)) as seen:
        await market.publish(made)
        await seen
    console.print(f"\n  it looks for: {market.WANTED}", highlight=False)
    await market.find(made)
    _step(console, 4, f"{scene.BUYER} buys the cheapest; the contract becomes a node of its cluster:")
    node = await market.buy(made, timeout)
    console.print(f"  node {node} of {scene.BUYER} stands for what was bought", highlight=False)
    return node


async def _placing(
    console: Console, made: Stage, timeout: float
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    _step(console, 5, f"a Deployment of {scene.BUYER} through the orchestrator (kubectl get pods at {scene.BUYER}):")
    shown = await placing.deploy(made, placing.SHOP, scene.TRANSPARENT, timeout)
    placing.show(shown)
    sentence, table = await placing.why(made, shown[0])
    console.print(f"\n{sentence}", highlight=False)
    print_table(("PROVIDER", "VERDICT", "POLICY", "RULE", "WHY", "DATA"), table)
    _step(console, 6, "the same through the aggregator: one node, of which nobody says what is behind it:")
    hidden = await placing.deploy(made, placing.BATCH, scene.OPAQUE, timeout)
    placing.show(hidden)
    console.print()
    print_table((f"NODE OF {scene.BUYER.upper()}", "CPU", "MEMORY"), await placing.sizes(made))
    return shown, hidden


async def _scheduling(console: Console, made: Stage, bought: str, timeout: float) -> None:
    found = await scheduling.measure(made, bought, timeout)
    heads = ("PODS", *(f"{way.upper()} (s)" for way in scheduling.WAYS), "ORCHESTRATOR/LINK")
    print_table(heads, scheduling.rows(found))
    console.print(f"\n  {scheduling.SHARED}\n", highlight=False)
    console.print(scheduling.plot(found, console.width), highlight=False, markup=False)


async def _http(console: Console, made: Stage, shown: list[dict[str, object]], hidden: list[dict[str, object]]) -> None:
    try:
        found = await latency.measure(made, shown, hidden)
    except TestbedError as error:
        raise Failed(f"HTTP latency cannot be measured here: {error}") from error
    console.print(f"  {found.about}\n", highlight=False)
    for table in (found.aggregator, found.orchestrator):
        print_table(("CALLED FROM", "MEDIAN ms", "MEAN ms", "P99 ms", "RAW ROUND TRIP ms"), latency.rows(table))
        console.print()


def _outlook(data: Path) -> str:
    return (
        "It keeps running. Look around:\n"
        f"  export KUBECONFIG={places.kubeconfig_path(data)} CONTINUO_DATA={data}\n"
        f"  kubectl --context {scene.BUYER} get pods -A -o wide\n"
        f"  kubectl --context {scene.BROKER} get providers,consumers,brokerpolicies,aggregates,contracts\n"
        f"  continuo catalog why POD -n {placing.SHOP}-{scene.BUYER} --context {scene.BROKER}\n"
        "Change what is allowed and watch pods move:\n"
        f"  kubectl --context {scene.BROKER} patch provider {scene.BOUGHT} --type merge "
        '-p \'{"spec":{"standards":[]}}\'\n'
        f"Stop it:  continuo down --data {data}"
    )
