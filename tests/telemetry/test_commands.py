"""`continuo top` and `continuo monitoring` as a user runs them, and what the operator's process serves."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from cli.command import Answer, continuo
from continuo.cli.top import drawn, views
from continuo.cli.top_tables import board_rows, milliseconds, sensor_rows, size, sort_rows
from continuo.resources.meta import Object
from scenarios.specs import app, cluster, component

SECRET = {
    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "openstack-cloud-config"},
    "stringData": {"clouds.yaml": "{}"},
}  # fmt: skip
CITY = {
    "apiVersion": "charity-project.eu/v1", "kind": "LowLevelOrchestration", "metadata": {"name": "city"},
    "spec": {
        "clusters": [cluster("green", tier="edge", packages=["prometheus"]), cluster("rose", tier="cloud")],
        "apps": [app("shop", "green", component("web", resources={"requests": {"cpu": "1", "memory": "1Gi"}}))],
    },
}  # fmt: skip


class Machine:
    def __init__(self, data: Path, port: int) -> None:
        self.data, self.port = data, port

    def run(self, *arguments: str) -> Answer:
        return continuo(*arguments, "--kubeconfig", str(self.data / "kubeconfig"))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    found = Machine(folder / "data", port)
    options = ("--detach", "--data", str(found.data), "--speed", "10", "--port", "0", "--metrics-port", str(port))
    started = continuo("up", *options)
    assert started.code == 0, started.err
    try:
        (folder / "city.yaml").write_text(yaml.safe_dump_all([SECRET, CITY]), encoding="utf-8")
        applied = found.run("apply", "-f", str(folder / "city.yaml"), "--wait", "--timeout", "60")
        assert applied.code == 0, applied.err
        yield found
    finally:
        assert continuo("down", "--data", str(found.data)).code == 0


def test_the_engines_operator_is_scraped(machine: Machine) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{machine.port}/metrics", timeout=10) as answer:
        said = answer.read().decode()
    assert 'continuo_orchestrations{phase="Ready"} 1.0' in said
    assert "process_resident_memory_bytes" in said and 'part="operator"' in said
    assert "clusters_num" not in said, "only where they are asked for"


def test_clusters_are_listed_once_without_a_terminal(machine: Machine) -> None:
    said = machine.run("top")
    assert said.code == 0, said.err
    head, *rows = said.out.splitlines()
    assert head.split()[:4] == ["CLUSTER", "ORCHESTRATION", "PHASE", "TIER"]
    assert [row.split()[:4] for row in rows] == [["green", "city", "Ready", "edge"], ["rose", "city", "Ready", "cloud"]]


def test_programs_get_numbers_and_sort_them(machine: Machine) -> None:
    said = machine.run("top", "clusters", "-o", "json", "--sort", "cpu%")
    found = json.loads(said.out)
    assert [row["cluster"] for row in found] == ["green", "rose"] and found[0]["cpuRequested"] > 0
    turned = json.loads(machine.run("top", "clusters", "-o", "json", "--sort=-cpu%").out)
    assert [row["cluster"] for row in turned] == ["rose", "green"]
    (web,) = json.loads(machine.run("top", "components", "-o", "json").out)
    assert (web["component"], web["cluster"], web["ready"], web["wanted"]) == ("shop/web", "green", 1, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("top", "--sort", "beauty"), 2, "there is no such column; columns: CLUSTER, ORCHESTRATION"),
        (("top", "boards"), 1, "knows no boards"),
        (("monitoring", "all"), 2, "say where with --into FOLDER"),
        (("monitoring", "--follow"), 2, "say where with --into FOLDER"),
        (("monitoring", "--at", "green"), 2, "it looks like green=203.0.113.7:9090"),
        (("monitoring", "--into", "x", "--reload", "http://x"), 2, "--reload is for --follow"),
        (("monitoring", "--file-sd"), 2, "say where with --into FOLDER"),
        (("monitoring", "--into", "x", "--file-sd", "--through-api-servers"), 2, "clusters are found in one way"),
        (("monitoring", "--http-sd", "server"), 2, "it looks like https://SERVER/monitoring/v1/targets"),
        (("monitoring", "--http-sd-token-file", "t"), 2, "need --http-sd URL"),
        (
            ("monitoring", "--into", "x", "--through-api-servers", "--proxy-service", "p"),
            2,
            "it looks like monitoring/",
        ),
        (("monitoring", "--part", "Edge=h:1"), 2, "a part is called edge, relay"),
        (("monitoring", "manifests", "--into", "x"), 2, "manifests are printed"),
    ],
)
def test_what_cannot_be_is_a_sentence(machine: Machine, arguments: tuple[str, ...], code: int, says: str) -> None:
    said = machine.run(*arguments)
    assert said.code == code and says in said.sentence


def test_there_are_no_metrics_without_an_operator(tmp_path: Path) -> None:
    said = continuo("up", "--data", str(tmp_path), "--no-operator", "--metrics-port", "9911")
    assert said.code == 2 and "--metrics-port is for the embedded engine with its controllers" in said.sentence


def test_prometheus_is_configured_for_the_clusters_that_there_are(machine: Machine, tmp_path: Path) -> None:
    said = machine.run("monitoring", "--operator", "127.0.0.1:9911", "--at", "rose=192.0.2.1:9999")
    config = yaml.safe_load(said.out)
    operator, federation = config["scrape_configs"]
    assert operator["static_configs"] == [{"targets": ["127.0.0.1:9911"]}]
    found = {entry["labels"]["cluster"]: entry["targets"][0] for entry in federation["static_configs"]}
    assert found["rose"] == "192.0.2.1:9999", "said, though it has no package of ours"
    assert found["green"].endswith(":9090")
    written = machine.run("monitoring", "all", "--into", str(tmp_path))
    assert written.code == 0, written.err
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"prometheus.yml", "rules/recording.yaml", "rules/alerts.yaml", "continuo.json"}


def test_the_prometheus_operator_gets_objects_of_its_own(machine: Machine) -> None:
    def objects(*arguments: str) -> dict[str, Object]:
        said = machine.run("monitoring", "manifests", *arguments)
        assert said.code == 0, said.err
        return {obj["kind"]: obj for obj in yaml.safe_load_all(said.out)}

    found = objects()
    assert list(found) == ["PodMonitor", "PrometheusRule", "ScrapeConfig", "ConfigMap"]
    (target,) = found["ScrapeConfig"]["spec"]["staticConfigs"]
    assert target["labels"] == {"orchestration": "default/city", "cluster": "green"}
    assert {group["name"] for group in found["PrometheusRule"]["spec"]["groups"]} == {
        "continuo-recording",
        "continuo-alerts",
    }
    assert json.loads(found["ConfigMap"]["data"]["continuo.json"])["uid"] == "continuo"
    asked = objects("--http-sd", "https://server.example/monitoring/v1/targets")["ScrapeConfig"]["spec"]
    assert asked["httpSDConfigs"][0]["url"] == "https://server.example/monitoring/v1/targets"
    assert "staticConfigs" not in asked


def test_rules_and_dashboard_are_printed_without_a_cluster() -> None:
    assert "ContinuoLinkDown" in continuo("monitoring", "alerts").out
    assert json.loads(continuo("monitoring", "dashboard").out)["uid"] == "continuo"


def test_a_terminal_shows_what_is_not_as_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    view = views()["clusters"]
    full = {"allocatable": {"cpu": "10"}, "requested": {"cpu": "9500m"}}
    status: Object = {"clusters": [{"name": "green", "phase": "Degraded", "message": "no [room]", **full}]}
    obj = {"metadata": {"name": "city"}, "spec": {}, "status": status}
    rows = sort_rows(view.rows([obj]), "cluster", downwards=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    colored = Console(force_terminal=True, width=120, color_system="standard")
    with colored.capture() as said:
        colored.print(drawn(view, rows, "clusters"))
    assert "\x1b[33mDegraded" in said.get() and "\x1b[31m95%" in said.get() and "no [room]" in said.get()
    assert "TIER" not in said.get(), "nothing is known of it"
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Console(force_terminal=True, width=120)
    with plain.capture() as said:
        plain.print(drawn(view, rows, "clusters"))
    assert "\x1b[33m" not in said.get() and "Degraded" in said.get()


def test_sensors_and_boards_have_rows_of_their_own() -> None:
    board = {"metadata": {"name": "b", "namespace": "lab"}, "status": {"atProvider": {"status": "online"}}}
    (row,) = board_rows([board])
    assert (row["board"], row["phase"], row["ready"]) == ("b", "online", "no")
    assert (
        list(sensor_rows([{"metadata": {"name": "slice"}, "spec": {"flavorType": {"typeIdentifier": "K8Slice"}}}]))
        == []
    )


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (512.0, "512 B"), (8 * 2**30, "8 GiB"), (3 * 2**40, "3 TiB")])
def test_sizes_for_people(value: float | None, text: str) -> None:
    assert size(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.00215, "2.15 ms"), (0.0104, "10.4 ms"), (1.0302, "1030 ms")]
)
def test_round_trips_for_people(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


def test_what_has_no_value_comes_last() -> None:
    rows = [{"a": None}, {"a": 2}, {"a": 3}]
    assert [row["a"] for row in sort_rows(rows, "a", downwards=True)] == [3, 2, None]
    assert [row["a"] for row in sort_rows(rows, "a", downwards=False)] == [2, 3, None]
