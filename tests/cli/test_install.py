"""What `continuo install` prints, that the Helm chart is the same, and that its rights are enough and no more."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner

from continuo.cli.boards_manifests import Boards
from continuo.cli.edge_manifests import Edge
from continuo.cli.install import install
from continuo.cli.loops_manifests import Agreed, Kafka, PrometheusAt
from continuo.cli.main import cli
from continuo.cli.manifests import Setup, backend_rules, install_objects, operator_rules
from continuo.edge.node import NodeIdentity
from continuo.resources.boards import MANAGED_KINDS, boards_crds
from continuo.resources.crds import edge_crds, fluidos_crds, own_crds
from continuo.resources.meta import Object
from continuo.tosca.deployment import to_yaml

CHART = Path(__file__).parents[2] / "charts" / "continuo"
SETUPS = [
    Setup("registry.example/continuo:v9", "platform", 3),
    Setup("registry.example/continuo:v9", "platform", 3, server=True, applications_namespace="apps"),
    Setup("registry.example/continuo:v9", "platform", 3, True, "apps", "main"),
    Setup("registry.example/continuo:v9", "platform", 3, server=True, backends=3, events_storage="5Gi",
          kafka=Kafka("k1:9093,k2:9093", "acme", "login", True, True, True, "SCRAM-SHA-512"),
          prometheus=PrometheusAt("https://prometheus:9090", "reader", True, True),
          agreed=Agreed("apps.example", (("CONTINUO_MAX_LINKS", "3"),))),
    Setup("registry.example/continuo:v9", server=True, events_database="events", kafka=Kafka("k1:9092"),
          prometheus=PrometheusAt("http://prometheus:9090")),
    Setup("registry.example/continuo:v9", kafka=Kafka("k1:9092", secret="login", sasl="SCRAM-SHA-256"), backends=1),
    Setup("registry.example/continuo:v9", prometheus=PrometheusAt("https://prometheus:9090", "reader", ca=True)),
    Setup("registry.example/continuo:v9", server=True, agreed=Agreed(limits=(("CONTINUO_MAX_MOVED_SHARE", "0.5"),))),
    Setup("registry.example/continuo:v9", "platform", 3, broker=True, catalog=True),
    Setup("registry.example/continuo:v9", "platform", 3, catalog=True, pod_monitor=True),
    Setup("registry.example/continuo:v9", "platform", 1, server=True, pod_monitor=True, service_monitor=True),
    Setup("registry.example/continuo:v9", "platform", 3, edge=Edge(
        "p.example", "market", NodeIdentity("p.example", "p1", "edge.p.example:3004"),
        options=("--admit=spiffe://b.example", "--seller=spiffe://b.example"),
        relay_options=("--cloudcore=http://cloudcore.kubeedge.svc:9443", "--give-up=60"),
    )),
    Setup("registry.example/continuo:v9", "platform", 3, boards=Boards(
        public="hub.example", storage="5Gi", database="hub-database", tls=True, options=("--poll-interval=300",),
        hub_options=("--allow-lightning-rod",),
    )),
    Setup("registry.example/continuo:v9", operator=False, replicas=1, boards=Boards()),
    Setup("registry.example/continuo:v9", operator=False, replicas=1, boards=Boards(hub=False)),
    Setup("registry.example/continuo:v9", operator=False, edge=Edge(
        "p.example", buy=False, options=("--admit=spiffe://b.example",), storage="",
        host_path="/run/spire/agent-sockets", socket="api.sock",
    )),
    Setup("registry.example/continuo:v9", operator=False, edge=Edge(
        "b.example", sell=False, options=("--seller=spiffe://p.example",),
    )),
]  # fmt: skip
SITE = ("--edge", "--trust-domain", "p.example", "--admit", "spiffe://b.example")


def documents_of(text: str) -> Iterator[Any]:
    """What a YAML stream says."""
    return yaml.load_all(text, Loader=yaml.CSafeLoader)


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(install, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def by_key(objects: list[Object]) -> dict[tuple[str, ...], Object]:
    found: dict[tuple[str, ...], Object] = {
        (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects
    }
    assert len(found) == len(objects), "every object once"
    return found


def test_both_formats_say_the_same() -> None:
    documents = list(documents_of(printed("--server")))
    assert json.loads(printed("--server", "-o", "json"))["items"] == documents
    assert documents == install_objects(Setup(f"continuo:{version('continuo')}", server=True))
    kinds = [document["kind"] for document in documents]
    crds = [document for document in documents if document["kind"] == "CustomResourceDefinition"]
    assert kinds[: len(crds) + 1] == ["CustomResourceDefinition"] * len(crds) + ["Namespace"], "what others need first"
    groups = {crd["spec"]["group"] for crd in crds}
    assert groups == {"charity-project.eu", "continuo.dev"}, "ours only"


def test_a_bad_namespace_is_bad_input() -> None:
    result = CliRunner().invoke(install, ["--namespace", "No_Name"])
    assert result.exit_code == 2 and "No_Name" in result.output


def test_a_site_brings_fluidos_kinds_and_kubeedges_only_on_demand() -> None:
    def names(*arguments: str) -> set[str]:
        found = documents_of(printed(*SITE, *arguments))
        return {obj["metadata"]["name"] for obj in found if obj["kind"] == "CustomResourceDefinition"}

    ours, fluidos, all_edge = ({crd["metadata"]["name"] for crd in of()} for of in (own_crds, fluidos_crds, edge_crds))
    assert names() == names("--crds-only") == ours | fluidos
    assert names("--with-kubeedge-kinds") == ours | all_edge > ours | fluidos
    assert names("--no-operator") == fluidos


def test_boards_bring_their_kinds_and_crossplane_may_compose_them() -> None:
    found = list(documents_of(printed("--boards", "--no-operator")))
    crds = [obj["metadata"]["name"] for obj in found if obj["kind"] == "CustomResourceDefinition"]
    assert crds == [crd["metadata"]["name"] for crd in boards_crds()]
    label = "rbac.crossplane.io/aggregate-to-crossplane"
    (role,) = [obj for obj in found if obj["metadata"].get("labels", {}).get(label) == "true"]
    (composed,) = [rule["resources"] for rule in role["rules"] if "create" in rule["verbs"]]
    assert composed == sorted(kind.kind.plural for kind in MANAGED_KINDS)
    assert "Secret" not in {obj["kind"] for obj in found}, "by reference alone"


def test_who_only_buys_has_no_relay_and_no_rights_beyond_its_namespace() -> None:
    found = install_objects(SETUPS[-1], crds=False)
    deployments = [obj["metadata"]["name"] for obj in found if obj["kind"] == "Deployment"]
    assert deployments == ["continuo-edge"]
    assert {obj["metadata"]["namespace"] for obj in found if obj["kind"] == "Role"} == {"fluidos"}
    assert not [obj for obj in found if obj["kind"] == "ClusterRole"]


def test_printed_commands_are_commands() -> None:
    """What the containers are told to run is understood, and is what was asked for."""
    for setup in SETUPS:
        for obj in install_objects(setup, crds=False):
            if obj["kind"] == "Deployment":
                words = obj["spec"]["template"]["spec"]["containers"][0]["args"]
                command: click.Command = cli
                while isinstance(command, click.Group) and not words[0].startswith("-"):
                    found = command.get_command(click.Context(command), words[0])
                    assert found is not None, words
                    command, words = found, words[1:]
                words = [each for each in words if not each.startswith("--tls-")]  # of files that are only there
                command.make_context("continuo", words).close()
                assert_variables(command, obj["spec"]["template"]["spec"]["containers"][0].get("env") or [])


def assert_variables(command: click.Command, env: list[Object]) -> None:
    """Every variable that a container is given is one that its command, or what it is made of, reads."""
    read = {option.envvar for option in command.params if isinstance(option, click.Option)}
    ours = {entry["name"] for entry in env if entry["name"].startswith("CONTINUO_")}
    assert ours <= {*read, "CONTINUO_HUB_DATABASE"}, command.name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--admit", "spiffe://b.example"), "--admit is about sensors for sale: add --edge"),
        (("--edge", "--trust-domain", "p.example"), "say with --admit who may buy here"),
        (("--edge", "--admit", "spiffe://b.example"), "say with --trust-domain"),
        (("--edge", "--trust-domain", "P!", "--admit", "spiffe://b.example"), "--trust-domain: 'P!'"),
        ((*SITE, "--seller", "spiffe://c.example/a b"), "--seller: "),
        ((*SITE, "--domain", "p.example"), "--domain, --node-id and --advertise belong together"),
        ((*SITE, "--domain", "p", "--node-id", "p", "--advertise", "here"), "--advertise is 'here'; it looks like"),
        ((*SITE, "--edge-namespace", "A_B"), "--edge-namespace 'A_B' must be"),
        ((*SITE, "--edge-option=--http-only"), "`continuo edge serve`: No such option"),
        ((*SITE, "--relay-option=--queue=none"), "`continuo relay`: Invalid value for '--queue'"),
        ((*SITE, "--relay-storage", "much"), "--relay-storage is 'much'; a size looks like 1Gi"),
        ((*SITE, "--spiffe-host-path", "run/spire"), "--spiffe-host-path is 'run/spire'"),
        ((*SITE, "--spiffe-socket", "a/b"), "--spiffe-socket is 'a/b'"),
        (("--no-operator",), "nothing is left to install"),
        (("--hub-public", "hub.example"), "--hub-public is about boards: add --boards"),
        (("--no-hub",), "--no-hub is about boards: add --boards"),
        (("--boards", "--no-hub", "--hub-tls-secret"), "--hub-tls-secret is about the hub"),
        (("--boards", "--hub-storage", "much"), "--hub-storage is 'much'; a size looks like 1Gi"),
        (("--boards", "--hub-public", "a b"), "--hub-public is 'a b'"),
        (("--boards", "--hub-database-secret", "A_B"), "--hub-database-secret is 'A_B'"),
        (
            ("--boards", "--hub-option=--ports=none", "--boards-option=--poll-interval=0"),
            "`continuo boards provider`: ",
        ),
        (("--boards", "--hub-option=--nothing"), "`continuo hub`: No such option"),
        (("--backends", "2"), "--backends are told through Kafka what to do: name the brokers"),
        (("--no-operator", "--server", "--kafka", "k:9092"), "--kafka is about the operator"),
        (("--kafka-tls",), "--kafka-tls is about Kafka: name the brokers with --kafka HOST:PORT"),
        (("--kafka", "k"), "'k' is no address of a Kafka broker"),
        (
            ("--kafka", "k:1", "--kafka-sasl", "SCRAM-SHA-256"),
            "--kafka-sasl reads a Secret: name it with --kafka-secret",
        ),
        (("--kafka", "k:1", "--kafka-sasl", "PLAIN", "--kafka-secret", "s"), "PLAIN shows the password to everybody"),
        (("--kafka", "k:1", "--kafka-ca", "--kafka-secret", "s"), "ask for TLS, too"),
        (("--kafka", "k:1", "--kafka-secret", "s"), "nothing is read of the Secret s"),
        (("--kafka", "k:1", "--kafka-ca", "--kafka-secret", "A_B"), "--kafka-secret is 'A_B'"),
        (("--prometheus", "prom:9090"), "--prometheus is 'prom:9090'; it looks like https://"),
        (("--prometheus-token",), "--prometheus-token is about a Prometheus"),
        (("--prometheus", "https://p", "--prometheus-token"), "name it with --prometheus-secret"),
        (("--base-domain", "A B"), "--base-domain is 'A B'"),
        (("--max-moved-share", "2"), "--max-moved-share"),
        (("--events-storage", "1Gi"), "--events-storage is about the HTTP API: add --server"),
        (("--server", "--events-storage", "much"), "--events-storage is 'much'; a size looks like 1Gi"),
        (("--server", "--events-storage", "1Gi", "--events-database-secret", "s"), "events are kept in one place"),
    ],
)
def test_a_site_that_cannot_be_gets_a_sentence(arguments: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(install, arguments)
    assert result.exit_code == 2 and says in result.output, result.output


def test_options_say_what_a_setup_says() -> None:
    said = (
        "--server", "--events-storage=5Gi", "--backends=3", "--kafka=k1:9093,k2:9093", "--kafka-prefix=acme",
        "--kafka-secret=login", "--kafka-tls", "--kafka-ca", "--kafka-client-certificate", "--kafka-sasl=SCRAM-SHA-512",
        "--prometheus=https://prometheus:9090", "--prometheus-secret=reader", "--prometheus-token", "--prometheus-ca",
        "--base-domain=apps.example", "--max-links=3", "--image=registry.example/continuo:v9", "--namespace=platform",
        "--replicas=3",
    )  # fmt: skip
    assert list(documents_of(printed(*said))) == install_objects(SETUPS[3])


def test_who_has_to_agree_is_told_the_same() -> None:
    found = {o["metadata"]["name"]: o for o in install_objects(SETUPS[3], crds=False) if o["kind"] == "Deployment"}
    told = {
        name: {e["name"]: e for e in o["spec"]["template"]["spec"]["containers"][0]["env"]} for name, o in found.items()
    }
    operator, backend, server = (told[f"continuo-{part}"] for part in ("operator", "backend", "server"))
    assert {name: operator[name] for name in backend} == backend, "a backend knows nothing that the operator does not"
    assert {"CONTINUO_BASE_DOMAIN", "CONTINUO_KAFKA", "CONTINUO_KAFKA_USER"} <= set(backend)
    assert server == {"CONTINUO_MAX_LINKS": operator["CONTINUO_MAX_LINKS"]}
    assert "--tasks=kafka" in found["continuo-operator"]["spec"]["template"]["spec"]["containers"][0]["args"]


def test_a_backend_writes_what_steps_write_and_tells_nobody() -> None:
    def verbs(rules: list[Object]) -> set[tuple[str, str]]:
        return {(part, verb) for rule in rules for part in rule["resources"] for verb in rule["verbs"]}

    backend, operator = verbs(backend_rules()), verbs(operator_rules())
    assert backend < operator
    writes = {(part, verb) for part, verb in backend if verb not in ("list", "watch")}
    told = ("lowlevelorchestrations", "adjustments", "decisions", "secrets", "controllerrevisions", "events", "leases")
    assert not [part for part, _ in writes if part.partition("/")[0] in told]


def test_pods_are_confined() -> None:
    for obj in (obj for setup in SETUPS for obj in install_objects(setup)):
        if obj["kind"] != "Deployment":
            continue
        pod = obj["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]


def test_nobody_gets_everything_and_the_operator_writes_no_secrets() -> None:
    for obj in (obj for setup in SETUPS for obj in install_objects(setup)):
        for rule in obj.get("rules") or ():
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
    secrets = [rule for rule in operator_rules() if "secrets" in rule["resources"]]
    assert [rule["verbs"] for rule in secrets] == [["list", "watch"]]


# --- the chart --------------------------------------------------------------------------------------------------------
def test_the_charts_crds_are_the_models() -> None:
    files = {path.stem: path.read_text(encoding="utf-8") for path in (CHART / "crds").glob("*.yaml")}
    assert files == {crd["metadata"]["name"]: to_yaml([crd]) for crd in own_crds()}, "stale: write them anew"


def test_the_chart_has_the_packages_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == version("continuo")


def values_for(setup: Setup) -> Object:
    repository, _, tag = setup.image.rpartition(":")
    server = {"enabled": setup.server, "applicationsNamespace": setup.applications_namespace}
    return {
        "image": {"repository": repository, "tag": tag},
        "operator": {"enabled": setup.operator, "replicas": setup.replicas},
        "broker": {"enabled": setup.broker, "replicas": setup.replicas},
        "catalog": {"enabled": setup.catalog},
        "monitoring": {"podMonitor": setup.pod_monitor, "serviceMonitor": setup.service_monitor},
        "server": {
            **server, "orchestration": setup.orchestration or "",
            "events": {"storage": setup.events_storage, "databaseSecret": setup.events_database},
        },
        "settings": {
            "baseDomain": setup.agreed.base_domain,
            "limits": [{"name": name, "value": value} for name, value in setup.agreed.limits],
        },
        "backend": {"enabled": setup.backends > 0, "replicas": setup.backends or 2},
        "kafka": kafka_values(setup.kafka),
        "prometheus": prometheus_values(setup.prometheus),
        **({"edge": edge_values(setup.edge)} if setup.edge is not None else {}),
        **({"boards": boards_values(setup.boards, setup.replicas)} if setup.boards is not None else {}),
    }  # fmt: skip


def kafka_values(kafka: Kafka | None) -> Object:
    if kafka is None:
        return {}
    said = {name: getattr(kafka, name) for name in ("brokers", "prefix", "secret", "tls", "ca", "sasl")}
    return {**said, "clientCertificate": kafka.client_certificate}


def prometheus_values(prometheus: PrometheusAt | None) -> Object:
    return {} if prometheus is None else {name: getattr(prometheus, name) for name in ("url", "secret", "token", "ca")}


def boards_values(boards: Boards, replicas: int) -> Object:
    return {
        "enabled": True, "replicas": replicas, "options": list(boards.options),
        "hub": {
            "enabled": boards.hub, "public": boards.public, "storage": boards.storage, "databaseSecret": boards.database,
            "tls": boards.tls, "options": list(boards.hub_options),
        },
    }  # fmt: skip


def edge_values(edge: Edge) -> Object:
    ip, _, port = edge.node.address.rpartition(":") if edge.node is not None else ("", "", "")
    domain, node = (edge.node.domain, edge.node.node_id) if edge.node is not None else ("", "")
    return {
        "enabled": True, "namespace": edge.namespace, "trustDomain": edge.trust_domain, "sell": edge.sell,
        "buy": edge.buy, "options": list(edge.options),
        "identity": {"domain": domain, "nodeID": node, "ip": ip, "port": port},
        "spiffe": {"hostPath": edge.host_path, "socket": edge.socket},
        "relay": {"options": list(edge.relay_options), "storage": edge.storage},
    }  # fmt: skip


def merged(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {key: merged(base.get(key), over[key]) if key in over else base[key] for key in {**base, **over}}


class Subset:
    """The part of Helm's template language that our templates may use, so that they can be tested without Helm.

    A value by its path, `PATH | default PATH`, `toYaml PATH | nindent N`, and `if PATH`, `if or PATH PATH`, `else` and
    `end` on lines of their own (with `{{-`, so that the line is left out).
    """

    def __init__(self, context: Object) -> None:
        self.context = context

    def render(self, text: str) -> str:
        return "".join(self._lines(iter(text.splitlines(keepends=True)), True, True))

    def _lines(self, lines: Iterator[str], outer: bool, holds: bool) -> Iterator[str]:
        for line in lines:
            shown = outer and holds
            condition = re.fullmatch(r"\s*\{\{- if (?:or (\S+) )?(\S+) \}\}\n", line)
            if condition:
                yield from self._lines(lines, shown, any(self._value(path) for path in condition.groups() if path))
            elif re.fullmatch(r"\s*\{\{- else \}\}\n", line):
                holds = not holds
            elif re.fullmatch(r"\s*\{\{- end \}\}\n", line):
                return
            elif shown:
                yield self._line(line)

    def _line(self, line: str) -> str:
        block = re.fullmatch(r"\s*\{\{- toYaml (\S+) \| nindent (\d+) \}\}\n", line)
        if block:
            text = yaml.safe_dump(self._value(block[1]), sort_keys=False)
            return "".join(" " * int(block[2]) + part for part in text.splitlines(keepends=True))
        line = re.sub(r"\{\{ (\S+)(?: \| default (\S+))? \}\}", self._inline, line)
        assert "{{" not in line, f"outside of the subset: {line}"
        return line

    def _inline(self, match: re.Match[str]) -> str:
        return str(self._value(match[1]) or (self._value(match[2]) if match[2] else ""))

    def _value(self, path: str) -> Any:
        found: Any = self.context
        for part in path.lstrip(".").split("."):
            found = found[part]
        return found


def in_subset(setup: Setup) -> list[Object]:
    values = merged(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")), values_for(setup))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    context = {
        "Values": values,
        "Release": {"Namespace": setup.namespace},
        "Chart": {"AppVersion": chart["appVersion"]},
    }
    texts = [path.read_text(encoding="utf-8") for path in sorted((CHART / "crds").glob("*.yaml"))]
    renderer = Subset(context)
    texts += [
        renderer.render(path.read_text(encoding="utf-8")) for path in sorted((CHART / "templates").glob("*.yaml"))
    ]
    return [document for text in texts for document in documents_of(text) if document]


def without_namespace(setup: Setup) -> dict[tuple[str, ...], Object]:
    """Helm makes the release's namespace itself, and our kinds whatever is asked for, but nobody else's."""
    return by_key([*own_crds(), *(o for o in install_objects(setup, crds=False) if o["kind"] != "Namespace")])


@pytest.mark.parametrize("setup", SETUPS)
def test_the_chart_renders_to_the_same_objects(setup: Setup) -> None:
    assert by_key(in_subset(setup)) == without_namespace(setup)


def test_the_charts_defaults_are_the_commands() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    defaults = Setup(f"{values['image']['repository']}:{version('continuo')}")
    assert (values["operator"]["replicas"], values["server"]["enabled"]) == (defaults.replicas, defaults.server)
    said, site = values["edge"], Edge("")
    assert said["enabled"] is (defaults.edge is not None) and values["operator"]["enabled"] is defaults.operator
    assert (said["namespace"], said["relay"]["storage"]) == (site.namespace, site.storage)
    assert said["spiffe"] == {"hostPath": site.host_path, "socket": site.socket}
    assert values["boards"]["hub"]["storage"] == Boards().storage and values["boards"]["enabled"] is False
    assert values["settings"] == {"baseDomain": defaults.agreed.base_domain, "limits": []}
    assert (values["kafka"]["prefix"], values["kafka"]["brokers"], values["prometheus"]["url"]) == (
        Kafka("").prefix,
        "",
        "",
    )
    assert values["backend"]["enabled"] is False and set(values["server"]["events"].values()) == {""}
    assert values["server"]["applicationsNamespace"] == defaults.applications_namespace
    assert install_objects(defaults) == list(documents_of(printed()))


HELM = os.environ.get("CONTINUO_TEST_HELM") or shutil.which("helm")
needs_helm = pytest.mark.skipif(
    HELM is None, reason="there is no helm: put it on PATH or name it in CONTINUO_TEST_HELM"
)


def helm(setup: Setup, tmp_path: Path, extra: Object | None = None) -> subprocess.CompletedProcess[str]:
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({**values_for(setup), **(extra or {})}), encoding="utf-8")
    assert HELM is not None
    return subprocess.run(
        [HELM, "template", "continuo", str(CHART), "--namespace", setup.namespace, "--include-crds",
         "--kube-version", "1.34.0", "--values", str(values)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@needs_helm
@pytest.mark.parametrize("setup", SETUPS)
def test_helm_itself_renders_the_same_objects(setup: Setup, tmp_path: Path) -> None:
    result = helm(setup, tmp_path)
    assert result.returncode == 0, result.stderr
    assert by_key([d for d in documents_of(result.stdout) if d]) == without_namespace(setup)


@needs_helm
def test_helm_refuses_values_that_do_not_fit(tmp_path: Path) -> None:
    result = helm(SETUPS[0], tmp_path, {"operator": {"replicas": 0}})
    assert result.returncode != 0 and "replicas" in result.stderr
