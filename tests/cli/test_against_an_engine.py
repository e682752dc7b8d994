"""The commands as a user runs them, against an engine that `continuo up --detach` started."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from continuo.cli.demo import self_signed
from scenarios.specs import PEER, app, cluster, component

from .command import Answer, continuo

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "openstack-cloud-config"},
    "stringData": {"clouds.yaml": "{}"},
}


class Machine:
    """An engine on this machine and files beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.kubeconfig = self.data / "kubeconfig"

    def up(self, *options: str) -> Answer:
        return continuo("up", "--detach", "--data", str(self.data), "--speed", "10", *options)

    def down(self) -> Answer:
        return continuo("down", "--data", str(self.data))

    def run(self, *arguments: str, stdin: str = "") -> Answer:
        return continuo(*arguments, "--kubeconfig", str(self.kubeconfig), stdin=stdin)

    def file(self, *documents: object) -> str:
        path = self.folder / "file.yaml"
        path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
        return str(path)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    found = Machine(tmp_path_factory.mktemp("machine"))
    started = found.up("--port", "0")
    assert started.code == 0, started.err
    assert str(found.kubeconfig) in started.out
    try:
        yield found
    finally:
        assert found.down().code == 0


def orchestration(name: str, **spec: object) -> dict:
    return {
        "apiVersion": "charity-project.eu/v1",
        "kind": "LowLevelOrchestration",
        "metadata": {"name": name},
        "spec": spec,
    }


SHOP = orchestration("o", clusters=[cluster("green")], apps=[app("shop", "green", component("web", expose=PEER))])


def test_plan_apply_plan_status_and_a_restart(machine: Machine) -> None:
    file = machine.file(SECRET, SHOP)
    tree = machine.run("plan", "-f", file)
    assert (tree.code, tree.err) == (2, "")
    assert "create cluster green" in tree.out and "deploy component shop/web" in tree.out
    applied = machine.run("apply", "-f", file, "--wait", "--timeout", "60")
    assert applied.code == 0, applied.err
    assert "lowlevelorchestration/o applied" in applied.out
    after = machine.run("plan", "-f", file, "-o", "json")
    assert (after.code, json.loads(after.out)[0]["steps"]) == (0, [])
    tree = machine.run("plan", "-f", file)
    assert (tree.code, tree.out.strip()) == (0, "o: no change")
    old = machine.run("kubeconfig", "green")
    assert (
        old.code == 0
        and old.out == machine.run("kubeconfig", "o/green").out == machine.run("kubeconfig", "o-green").out
    )
    _statuses(machine)
    assert machine.down().code == 0
    assert machine.down().out.startswith("no engine runs")
    started = machine.up()
    assert started.code == 0, started.err
    again = machine.up()
    assert again.code == 1 and "already runs" in again.sentence and "continuo down" in again.sentence
    waited = machine.run("apply", "-f", file, "--wait", "--timeout", "60")
    assert waited.code == 0, waited.err
    _events(machine)
    _kubectl_with(machine.folder, old.out)


def _statuses(machine: Machine) -> None:
    tree = machine.run("status", "o")
    assert tree.code == 0 and all(part in tree.out for part in ("green", "machine o-green", "shop", "web", "1/1"))
    table = machine.run("status", "-o", "table").out.splitlines()
    assert table[0].split() == ["NAME", "PHASE", "CLUSTERS", "LINKS", "APPS", "READY"]
    assert table[1].split() == ["o", "Ready", "1/1", "0/0", "1/1", "True"]
    wide = machine.run("status", "-o", "wide", "-A").out.splitlines()
    assert wide[0].split()[0] == "NAMESPACE" and wide[0].split()[-1] == "MESSAGE"
    assert json.loads(machine.run("status", "o", "-o", "json").out)["status"]["phase"] == "Ready"
    assert yaml.safe_load(machine.run("status", "-o", "yaml").out)["items"][0]["metadata"]["name"] == "o"
    assert machine.run("status", "-o", "name").out == "lowlevelorchestration.charity-project.eu/o\n"


def _events(machine: Machine) -> None:
    """In all forms; what is asked for and nothing else."""
    table = machine.run("events", "o", "--type", "app.*").out.splitlines()
    assert table[0].split() == ["TIME", "ORCHESTRATION", "SUBJECT", "EVENT", "DETAIL"]
    assert [line.split()[1:4] for line in (table[1], table[-1])] == [
        ["o", "app/shop", "app.deploy.started"], ["o", "app/shop", "app.deploy.succeeded"],
    ]  # fmt: skip
    found = json.loads(machine.run("events", "--subject", "cluster/green", "--type", "*.succeeded", "-o", "json").out)
    assert [event["type"] for event in found] == ["dev.continuo.cluster.create.succeeded.v1"]
    assert machine.run("events", "-o", "name", "--type", "cluster.create.succeeded").out == f"{found[0]['id']}\n"
    assert machine.run("events", "--since", "2999-01-01T00:00:00Z").err == "no events\n"
    assert machine.run("events", "other").err == "no events\n"
    wide = machine.run("events", "-A", "-o", "wide", "--type", "app.deploy").out.splitlines()
    assert wide[0].split()[-4:] == ["ID", "ATTEMPT", "OWNER", "SECONDS"] and "   ann" in wide[1]
    wrong = machine.run("events", "--since", "nope")
    assert wrong.code == 2 and "neither a time" in wrong.sentence
    wrong = machine.run("events", "--server", "ftp://x", "--token-file", "x")
    assert wrong.code == 2 and "must be a URL" in wrong.sentence


def _kubectl_with(folder: Path, kubeconfig: str) -> None:
    """A kubeconfig that was handed out before the restart goes on working."""
    if shutil.which("kubectl") is None:
        return
    path = folder / "old.kubeconfig"
    path.write_text(kubeconfig, encoding="utf-8")
    command = ["kubectl", "--kubeconfig", str(path), "get", "deployment", "web", "-n", "shop", "-o", "json"]
    got = subprocess.run(command, capture_output=True, text=True, check=False)
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout)["status"]["readyReplicas"] == 1


def test_nothing_is_applied_unless_all_is_accepted(machine: Machine) -> None:
    good = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "first"}, "data": {"a": "b"}}
    bad = orchestration("bad", clusters=[cluster("green", control_plane_count=2)])
    refused = machine.run("apply", "-f", machine.file(good, bad))
    assert refused.code == 2 and "spec.clusters[0].control-plane-count" in refused.err
    dry = machine.run("apply", "--dry-run", "-f", machine.file(good))
    assert (dry.code, dry.out) == (0, "configmap/first checked (dry run)\n")
    found = subprocess.run(
        ["kubectl", "--kubeconfig", str(machine.kubeconfig), "get", "configmap", "first"],
        capture_output=True,
        check=False,
    )
    assert found.returncode != 0, "a refused file and a dry run write nothing"
    twins = orchestration("twins", clusters=[cluster("green"), cluster("green")])
    refused = machine.run("apply", "-f", machine.file(twins))
    assert refused.code == 2 and 'duplicate entries for key [name="green"]' in refused.sentence
    planned = machine.run("plan", "-f", machine.file(bad))
    assert planned.code == 2 and "spec.clusters[0].control-plane-count" in planned.err


def test_a_fault_is_set_shown_and_cleared(machine: Machine) -> None:
    spec = orchestration("faulty", clusters=[cluster("blue", worker_machine_count=0)])
    assert machine.run("apply", "-f", machine.file(SECRET, spec), "--wait", "--timeout", "60").code == 0
    told = machine.run("fault", "set", "never-up", "faulty-blue")
    assert told.code == 0 and "continuo fault clear never-up faulty-blue" in told.out
    grown = orchestration("faulty", clusters=[cluster("blue", worker_machine_count=1)])
    late = machine.run("apply", "-f", machine.file(grown), "--wait", "--timeout", "1.5")
    assert late.code == 1 and "faulty is not ready after 1.5 s: blue" in late.err
    assert machine.run("fault", "clear", "never-up", "faulty-blue").code == 0
    assert machine.run("apply", "-f", machine.file(grown), "--wait", "--timeout", "60").code == 0
    unknown = machine.run("fault", "set", "meteor", "blue")
    assert unknown.code == 2 and "never-up" in unknown.sentence
    missing = machine.run("fault", "set", "api-outage", "nowhere")
    assert missing.code == 2 and "nowhere" in missing.sentence


PASSWORD = "sekret-word-77"
BLUEPRINT = "examples/vr-tour-creator.yaml"


def test_tosca_convert_and_deploy(machine: Machine) -> None:
    root = Path(__file__).parents[2]
    clusters = str(root / "examples/vr-tour-creator.clusters.yaml")
    certificate, key = self_signed("tour.example.org")
    inputs = (f"MONGO_INITDB_PWD={PASSWORD}", f"tls_cert={certificate}", f"tls_key={key}")
    options = [str(root / BLUEPRINT), "--clusters", clusters, "--name", "tour"]
    options += [part for value in inputs for part in ("-i", value)]
    converted = continuo("tosca", "convert", *options, "-o", "json")
    assert converted.code == 0, converted.err
    documents = json.loads(converted.out)["items"]
    assert documents[-1]["kind"] == "LowLevelOrchestration" and documents[-1]["metadata"]["name"] == "tour"
    assert list(yaml.safe_load_all(continuo("tosca", "convert", *options).out)) == documents
    deployed = machine.run("tosca", "deploy", *options)
    assert deployed.code == 0, deployed.err
    shown = machine.run("status", "tour", "-o", "json")
    assert shown.code == 0
    for said in (deployed.out, deployed.err, shown.out, (machine.data / "engine.log").read_text(encoding="utf-8")):
        assert PASSWORD not in said and key.splitlines()[1] not in said


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("apply", "-f", "/nowhere.yaml"), 2, "cannot read /nowhere.yaml: No such file or directory"),
        (("apply",), 2, "Missing option '-f'"),
        (("status", "nobody"), 1, '"nobody" not found'),
        (("status", "-o", "xml"), 2, "'xml' is not one of"),
        (("kubeconfig", "purple"), 2, "declares a cluster purple"),
        (("plan", "-f", "-"), 2, "standard input holds no object"),
        (("frobnicate",), 2, "No such command 'frobnicate'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_errors_are_one_sentence(machine: Machine, arguments: tuple[str, ...], code: int, says: str) -> None:
    answer = machine.run(*arguments) if len(arguments) > 1 or arguments == ("apply",) else continuo(*arguments)
    assert (answer.code, answer.out) == (code, "")
    assert answer.sentence.startswith("continuo: ") and says in answer.sentence


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "line 2: not YAML"),
        ("a: 1\na: 2\n", "line 2: key 'a' stands here again; it was set in line 1"),
        ("kind: Secret\n", "document 1 has no apiVersion"),
        ("apiVersion: v1\nkind: Secret\n", "document 1 (Secret) has no metadata.name"),
        ("- 1\n", "document 1 is not an object but list"),
        ("tosca_definitions_version: tosca_simple_yaml_1_3\n", "continuo tosca convert"),
    ],
)
def test_what_is_no_manifest_is_said_with_its_line(machine: Machine, text: str, says: str) -> None:
    answer = machine.run("apply", "-f", "-", stdin=text)
    assert answer.code == 2 and says in answer.sentence and "standard input" in answer.sentence


def test_no_engine_is_said_plainly(tmp_path: Path) -> None:
    answer = continuo("status", "--kubeconfig", str(tmp_path / "none"))
    assert answer.code == 2 and answer.sentence == f"continuo: kubeconfig {tmp_path / 'none'} does not exist"
