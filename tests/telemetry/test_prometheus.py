"""Every expression of the dashboard and the rules, put to a real Prometheus that scrapes a running operator and a server.

A second real Prometheus is that of a workload cluster, and is federated into the first.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from continuo.cli.host import Host
from continuo.cli.outside import Outside
from continuo.cli.together import Together
from continuo.embedded.standins.settings import Settings
from continuo.events.kafka_producer import quiet
from continuo.events.kafka_settings import KafkaSettings
from continuo.kube.config import connect
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.server.app import create_app, make_parts
from continuo.server.subjects import Gate, Policy
from continuo.server.tokens import TokenFile
from continuo.telemetry.grafana import dashboard, expressions
from continuo.telemetry.process import process_metrics
from continuo.telemetry.rules import ALERTS, RECORDINGS, alerts_file, recording_file
from continuo.telemetry.scraping import configuration, federation, places, targets
from continuo.telemetry.served import served
from messaging.brokers import MockBroker
from ports import free_port
from scenarios.beds import Bed
from scenarios.specs import app, cluster, component

from .prometheus import Prometheus, running
from .serving import serving
from .workload import exporting

pytestmark = pytest.mark.anyio

TOKENS = 'root-token,root,0,"system:masters"\n'
ELSEWHERE = re.compile("continuo[_:](sensors|flavors|contracts|boards|relay_|hub_)")
"""What other processes export: see test_prometheus_parts and test_prometheus_networks."""
BOUND = re.compile(r" (?:==|[<>]) [\d.]+(?= or |$)")
"""What makes an alert of a figure."""
SPEC = {
    "clusters": [cluster("green", packages=["loadbalancer", "liqo", "prometheus"], cost={"cpu": 1.0}),
                 cluster("rose", packages=["loadbalancer", "liqo"], cost={"cpu": 2.0})],
    "links": [["green", "rose"]],
    "apps": [{
        **app("shop", "green", component("web", "green"), component("db", "rose")),
        "link-requirements": [{"name": "fast", "members": ["web", "db"], "latencyMs": 500, "jitterMs": 500}],
    }],
}  # fmt: skip


@asynccontextmanager
async def scraped(stack: AsyncExitStack, kafka: str = "") -> AsyncIterator[tuple[Bed, int, str]]:
    """A running operator with what it works on, and a server: the bed, the operator's port, the server's address.

    Where there is a Kafka broker, the operator's events go there.
    """
    host = Host(None, standins=Settings(speed=10.0), seed=1)
    await host.start()
    stack.push_async_callback(host.stop)
    bed = Bed(host)
    stack.push_async_callback(bed.close)
    await bed.credentials()
    operator, beside = host.worker(None, Outside(kafka=kafka), stack)
    task = asyncio.create_task(Together(operator, beside).run())
    face = connect(bed.kubeconfig, name="management")
    parts = make_parts(face, Gate([TokenFile(TOKENS)], Policy()), namespace="default", orchestration="shop")
    try:
        async with (
            served("127.0.0.1", 0, operator.trouble, operator.telling.metrics) as port,
            serving(create_app(parts, None, process_metrics("server"))) as url,
        ):
            yield bed, port, url.removeprefix("http://")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await operator.management.close()
        await face.close()


@contextmanager
def kafka_broker() -> Iterator[str]:
    """The address of a broker that takes events."""
    quiet()
    broker = MockBroker()
    try:
        broker.prepare(KafkaSettings((broker.address,)).topics.configs())
        yield broker.address
    finally:
        broker.close()


@asynccontextmanager
async def forlorn(kubeconfig: str) -> AsyncIterator[str]:
    """The address of a server whose management cluster is not there: so it is not well."""
    away = re.sub(r"(server: https://127\.0\.0\.1):\d+", rf"\g<1>:{free_port()}", kubeconfig)
    face = connect(away, name="management")
    parts = make_parts(face, Gate([TokenFile(TOKENS)], Policy()), namespace="default", orchestration="shop")
    try:
        async with serving(create_app(parts, None, process_metrics("server"))) as url:
            yield url.removeprefix("http://")
    finally:
        await face.close()


def quick(config: Object) -> Object:
    """The same configuration, with pauses for tests."""
    return {
        **config,
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [{**job, "scrape_interval": "1s"} for job in config["scrape_configs"]],
    }


def rules(home: Path, *, at_once: bool = False) -> list[str]:
    """Files of all rules, evaluated every second; `at_once`: what has to last for an alert need not."""
    found = []
    for name, content in (("recording", recording_file()), ("alerts", alerts_file())):
        path = home / f"{name}.yaml"
        content["groups"][0].pop("interval", None)
        for rule in content["groups"][0]["rules"] if at_once else ():
            if "alert" in rule:
                rule["for"] = "0s"
        path.write_text(yaml.safe_dump(content))
        found.append(str(path))
    return found


def filled(expr: str) -> str:
    """As Grafana fills in variables."""
    return expr.replace("$__rate_interval", "1m").replace("$orchestration", ".*").replace("$cluster", ".*")


async def test_every_expression_has_an_answer(prometheus_folder: Path, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        kafka = stack.enter_context(kafka_broker())
        bed, port, url = await stack.enter_async_context(scraped(stack, kafka))
        lost = await stack.enter_async_context(forlorn(bed.kubeconfig))
        exporter = await stack.enter_async_context(exporting("shop-rose"))
        below = {"global": {"external_labels": {"cluster": "shop-green"}, "scrape_interval": "1s"},
                 "scrape_configs": [{"job_name": "cluster", "static_configs": [{"targets": [exporter]}]}]}  # fmt: skip
        edge = await stack.enter_async_context(running(prometheus_folder, tmp_path / "green", below))
        await bed.apply("shop", await bed.placed("shop", SPEC))
        obj = await bed.ready("shop")
        found = places([obj], {"shop/green": edge.url.removeprefix("http://")})
        assert [(place.orchestration, place.cluster) for place in found] == [("default/shop", "green")]

        config = configuration(
            {"continuo-operator": [f"127.0.0.1:{port}"]},
            [federation({"static_configs": targets(found)})],
            rules(tmp_path),
        )
        job = {"job_name": "continuo-server", "static_configs": [{"targets": [url, lost]}],
               "authorization": {"credentials": "root-token"}}  # fmt: skip
        config["scrape_configs"].append(job)
        main = await stack.enter_async_context(running(prometheus_folder, tmp_path / "main", quick(config)))
        await main.until('up{job="continuo-operator"} == 1')
        await main.until('count(up{job="continuo-server"} == 1) == 2')
        await _something_happens(bed, url)
        await _requests(lost, 503)
        await _ask_everything(main)
        await _events_are_counted(main)
        await _federated(main)
        await _nothing_fires(main)


async def _something_happens(bed: Bed, url: str) -> None:
    """Looks at the orchestration, tasks and requests, after the first scrape: rates need two."""
    spec = {**SPEC, "apps": [app("shop", "green", component("web", "green", image="registry.example.org/web:2"))]}
    spec["apps"] = [{**SPEC["apps"][0], "components": [*spec["apps"][0]["components"], component("db", "rose")]}]
    spec["apps"].append(
        app("anywhere", "rose", component("any", placement={}, resources={"requests": {"cpu": "500m"}}))
    )  # somebody has to decide where
    await bed.apply("shop", await bed.placed("shop", spec))
    await bed.ready("shop")
    await _requests(url, 200, 503)
    headers = {"Authorization": "Bearer root-token"}
    async with aiohttp.ClientSession() as http:
        blueprint = (
            "tosca_definitions_version: tosca_simple_yaml_1_3\ntopology_template: {node_templates: {a: {type: No}}}\n"
        )
        sent = headers | {"Content-Type": "application/yaml"}
        async with http.post(f"http://{url}/amf/v1/applications", data=blueprint, headers=sent) as answer:
            assert answer.status == 422, await answer.text()


async def _requests(url: str, *statuses: int) -> None:
    headers = {"Authorization": "Bearer root-token"}
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            async with http.get(f"http://{url}/amf/v1/applications", headers=headers) as answer:
                assert answer.status in statuses


async def _ask_everything(main: Prometheus) -> None:
    for rule in RECORDINGS:
        await main.query(rule.expr)
        if not ELSEWHERE.search(rule.expr):
            await main.until(rule.record, f"though it is {rule.expr}")
    for alert in ALERTS:
        await main.query(alert.expr)
        figure = BOUND.sub("", alert.expr)
        if not ELSEWHERE.search(figure) and not figure.startswith("absent("):
            await main.until(figure, f"for the alert {alert.name}")
    for panel, expr in expressions():
        await main.query(filled(expr))
        if not ELSEWHERE.search(expr):
            await main.until(filled(expr), f"for the panel {panel!r}")
    for variable in dashboard()["templating"]["list"][1:]:
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
        assert match is not None
        data = await main.ask(f"label/{match[2]}/values", **{"match[]": filled(match[1])})
        assert data, variable["name"]


async def _events_are_counted(main: Prometheus) -> None:
    """What was told went to the broker, and nothing is left."""
    await main.until('continuo_events_published_total{sink="kafka"} > 0')
    await main.until('continuo_events_backlog{sink="kafka"} == 0')
    await main.until("sum(continuo_events_dropped_total) == 0")


async def _federated(main: Prometheus) -> None:
    """What the workload cluster's Prometheus knows arrives once, under the names that the orchestration gives."""
    (series,) = await main.until("continuo:link_receive_bytes:rate5m")
    assert series["metric"] == {
        "__name__": "continuo:link_receive_bytes:rate5m", "orchestration": "default/shop", "source": "green",
        "target": "rose",
    }  # fmt: skip
    assert float(series["value"][1]) > 0
    (memory,) = await main.query("continuo:cluster_memory:used_bytes")
    assert (memory["metric"]["cluster"], memory["value"][1]) == ("green", "2000000000")
    assert await main.query("liqo_peer_latency_us") == [], "the operator tells latencies; nobody else does"
    assert len(await main.query("continuo_link_latency_seconds")) == 1
    (pods,) = await main.query('kube_pod_status_phase{phase="Running"}')
    assert pods["metric"]["namespace"] == "shop", "labels of workloads stay as they are"


async def _nothing_fires(main: Prometheus) -> None:
    said = await main.ask("rules")
    rules = [rule for group in said["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}, [rule for rule in rules if rule["health"] != "ok"]
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []


async def test_what_is_declared_appears_and_what_goes_leaves_no_series(prometheus_folder: Path, tmp_path: Path) -> None:
    """What happens to the declaration, happens to the metrics of a running operator."""
    async with AsyncExitStack() as stack:
        bed, port, _ = await stack.enter_async_context(scraped(stack))
        config = configuration({"continuo-operator": [f"127.0.0.1:{port}"]}, [], ())
        main = await stack.enter_async_context(running(prometheus_folder, tmp_path / "main", quick(config)))
        await main.until('sum(continuo_clusters{phase="Ready"}) == 0')
        await bed.apply("shop", {"clusters": [cluster("green"), cluster("rose")]})
        await bed.ready("shop")
        await main.until('sum(continuo_clusters{phase="Ready"}) == 2')
        await main.until('sum(continuo_tasks_total{operation="cluster.create", outcome="succeeded"}) == 2')
        await bed.api.delete(LOW_LEVEL_ORCHESTRATION, "shop", "default")
        await main.until("sum(continuo_clusters) == 0")
        gone = await main.until('absent(continuo_api_request_duration_seconds_count{server=~"default/.*"})')
        assert gone, "what is gone leaves no series behind"
