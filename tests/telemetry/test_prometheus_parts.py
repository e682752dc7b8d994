"""What is said of sensors, contracts, readings and boards, by a real Prometheus that scrapes the processes that know it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from continuo.resources.broker import CONTRACT
from continuo.telemetry.grafana import ROWS
from continuo.telemetry.rules import ALERTS, RECORDINGS
from continuo.telemetry.scraping import configuration

from .parts_world import Parts, parts, send
from .prometheus import Prometheus, running
from .test_prometheus import filled, quick, rules

pytestmark = pytest.mark.anyio

WITHOUT_OPERATOR = {"ContinuoOperatorDown", "ContinuoContractNotReady", "ContinuoReadingsLost"}
"""What is wrong in this world: no operator, a contract whose provider has no kubeconfig, and a buyer who is not there."""
EXPECTED: dict[str, dict[tuple[str, ...], float]] = {
    "sum by (type) (continuo_sensors)": {("Temperature",): 2, ("Humidity",): 2},
    "sum by (type) (continuo_flavors)": {("Sensor",): 2, ("K8Slice",): 1},
    "sum by (market, state) (continuo_contracts)": {
        ("fluidos", "Active"): 1, ("broker", "Ready"): 1, ("broker", "NotReady"): 1,
    },
    "sum by (status) (continuo_boards)": {("online",): 1, ("offline",): 0, ("registered",): 0},
    "sum(continuo_hub_boards_online)": {(): 1},
    "sum(continuo_hub_boards)": {(): 1},
    "sum by (route) (continuo_relay_queue_readings)": {("humidity",): 0, ("lost",): 0},
    "continuo:boards:online_ratio": {(): 1},
    "sum(continuo_relay_routes)": {(): 2},
    "sum by (route) (continuo_relay_readings_delivered_total)": {("humidity",): 6, ("lost",): 0},
    "sum by (route) (continuo_relay_readings_dead_total)": {("humidity",): 0, ("lost",): 6},
    "sum by (route) (continuo_relay_latency_seconds_count)": {("humidity",): 6, ("lost",): 0},
    "continuo_agent_online": {("127.0.0.1",): 1},
    "count by (part) (continuo_build_info)": {(part,): 1 for part in ("edge", "relay", "broker", "hub", "boards")},
}  # fmt: skip


@pytest.mark.long
async def test_expressions_about_sensors_contracts_and_boards(prometheus_folder: Path, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(parts(tmp_path / "parts"))
        jobs = {f"continuo-{part}": [at] for part, at in made.at.items() if part != "ingest"}
        config = quick(configuration(jobs, [], rules(tmp_path, at_once=True)))
        main = await stack.enter_async_context(running(prometheus_folder, tmp_path / "main", config))
        for job in jobs:
            await main.until(f'up{{job="{job}"}} == 1')
        await main.until('continuo_relay_readings_delivered_total{route="lost"}')
        await send(made, 6)
        await _values(main)
        await _expressions(main)
        assert await _firing(main, WITHOUT_OPERATOR) == WITHOUT_OPERATOR
        await _mended(made, main)


async def _values(main: Prometheus) -> None:
    for expr, wanted in EXPECTED.items():
        for labels, value in wanted.items():
            found = await main.until(f"({expr}) == {value}", f"of {labels}")
            said = [tuple(v.partition(":")[0] for k, v in each["metric"].items() if k[0] != "_") for each in found]
            assert any(set(labels) <= set(each) for each in said), (expr, labels, found)


async def _expressions(main: Prometheus) -> None:
    """Every panel and every recording of these parts has series."""
    (row,) = [row for row in ROWS if row.title == "Sensors, contracts, boards"]
    for panel in row.panels:
        for expr, _ in panel.queries:
            if "hub_port" not in expr:  # of boards' networks: see test_prometheus_networks
                await main.until(filled(expr), f"for the panel {panel.title!r}")
    for rule in RECORDINGS:
        if "relay" in rule.record or "boards" in rule.record:
            await main.until(rule.record, f"though it is {rule.expr}")
    (latency,) = [
        each
        for each in await main.query("continuo:relay_latency_seconds:p95_5m")
        if each["metric"]["route"] == "humidity"
    ]
    assert 0 < float(latency["value"][1]) < 60


async def _firing(main: Prometheus, wanted: set[str]) -> set[str]:
    for name in wanted:
        await main.until(f'ALERTS{{alertname="{name}", alertstate="firing"}}')
    said = await main.ask("rules")
    found = [rule for group in said["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in found} == {"ok"}, [rule for rule in found if rule["health"] != "ok"]
    assert {rule["name"] for rule in found if rule["type"] == "alerting"} == {alert.name for alert in ALERTS}
    return {rule["name"] for rule in found if rule.get("state") == "firing"}


async def _mended(made: Parts, main: Prometheus) -> None:
    """What is put right fires no more; what breaks does."""
    made.api.delete(CONTRACT, "c1")
    await main.until('absent(ALERTS{alertname="ContinuoContractNotReady"})')
    edge = made.children[0]
    edge.terminate()
    await main.until('ALERTS{alertname="ContinuoPartDown", alertstate="firing", job="continuo-edge"}')
    made.children[-1].terminate()  # the agent
    await main.until("sum(continuo_hub_boards_online) == 0")
    await main.until('ALERTS{alertname="ContinuoBoardsOffline", alertstate="firing"}')
