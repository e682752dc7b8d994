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

import pytest
import yaml
from click.testing import CliRunner

from continuo.cli.install import install
from continuo.cli.manifests import Setup, install_objects, operator_rules
from continuo.resources.crds import own_crds
from continuo.resources.meta import Object
from continuo.tosca.deployment import to_yaml

CHART = Path(__file__).parents[2] / "charts" / "continuo"
SETUPS = [
    Setup("registry.example/continuo:v9", "platform", 3),
    Setup("registry.example/continuo:v9", "platform", 3, server=True, applications_namespace="apps"),
    Setup("registry.example/continuo:v9", "platform", 3, True, "apps", "main"),
    Setup("registry.example/continuo:v9", "platform", 3, broker=True, catalog=True),
    Setup("registry.example/continuo:v9", "platform", 3, catalog=True),
]


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(install, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def by_key(objects: list[Object]) -> dict[tuple[str, ...], Object]:
    found = {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects}
    assert len(found) == len(objects), "every object once"
    return found


def test_both_formats_say_the_same() -> None:
    documents = list(yaml.safe_load_all(printed("--server")))
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


def test_pods_are_confined() -> None:
    for obj in (*install_objects(SETUPS[2]), *install_objects(SETUPS[3])):
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
    for obj in (*install_objects(SETUPS[2]), *install_objects(SETUPS[3])):
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
        "operator": {"replicas": setup.replicas},
        "broker": {"enabled": setup.broker, "replicas": setup.replicas},
        "catalog": {"enabled": setup.catalog},
        "server": {**server, "orchestration": setup.orchestration or ""},
    }


def merged(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {key: merged(base.get(key), over[key]) if key in over else base[key] for key in {**base, **over}}


class Subset:
    """The part of Helm's template language that our templates may use, so that they can be tested without Helm.

    A value by its path, `PATH | default PATH`, `toYaml PATH | nindent N`, and `if PATH` to `end` on lines of their own
    (with `{{-`, so that the line is left out).
    """

    def __init__(self, context: Object) -> None:
        self.context = context

    def render(self, text: str) -> str:
        return "".join(self._lines(iter(text.splitlines(keepends=True)), True))

    def _lines(self, lines: Iterator[str], shown: bool) -> Iterator[str]:
        for line in lines:
            condition = re.fullmatch(r"\s*\{\{- if (\S+) \}\}\n", line)
            if condition:
                yield from self._lines(lines, shown and bool(self._value(condition[1])))
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
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def without_namespace(setup: Setup) -> dict[tuple[str, ...], Object]:
    """Helm makes the release's namespace itself (`--create-namespace`)."""
    return by_key([obj for obj in install_objects(setup) if obj["kind"] != "Namespace"])


@pytest.mark.parametrize("setup", SETUPS)
def test_the_chart_renders_to_the_same_objects(setup: Setup) -> None:
    assert by_key(in_subset(setup)) == without_namespace(setup)


def test_the_charts_defaults_are_the_commands() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    defaults = Setup(f"{values['image']['repository']}:{version('continuo')}")
    assert (values["operator"]["replicas"], values["server"]["enabled"]) == (defaults.replicas, defaults.server)
    assert values["server"]["applicationsNamespace"] == defaults.applications_namespace
    assert install_objects(defaults) == list(yaml.safe_load_all(printed()))


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
    assert by_key([d for d in yaml.safe_load_all(result.stdout) if d]) == without_namespace(setup)


@needs_helm
def test_helm_refuses_values_that_do_not_fit(tmp_path: Path) -> None:
    result = helm(SETUPS[0], tmp_path, {"operator": {"replicas": 0}})
    assert result.returncode != 0 and "replicas" in result.stderr
