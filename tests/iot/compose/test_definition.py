"""What Crossplane is given is served by an API server as Crossplane would write it, and refuses what is wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from continuo.cli.boards_composition import composition, function
from continuo.cli.failures import BadInput
from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.port import Write
from continuo.iot.compose import definition
from continuo.iot.compose.claim import CONTINUUM_SLICE, decode
from continuo.iot.compose.function import run
from continuo.resources.errors import Invalid
from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION
from continuo.resources.meta import Object

from .bad import REFUSED
from .requests import board, desired, render
from .test_clusters import ORCHESTRATION
from .test_plan import WISH

SAMPLES = Path(__file__).parents[3] / "docs" / "samples" / "boards"


def printed(*arguments: str) -> list[Object]:
    done = CliRunner().invoke(composition, [*arguments, "-o", "json"], catch_exceptions=False)
    items: list[Object] = json.loads(done.output)["items"]
    return items


def test_everything_is_printed_in_the_order_in_which_it_is_applied() -> None:
    assert [obj["kind"] for obj in printed()] == ["ClusterRole", "CompositeResourceDefinition", "Composition"]
    with_function = printed("--package", "registry.example/continuo-compose:1", "--function", "mine")
    assert [obj["kind"] for obj in with_function][1:3] == ["DeploymentRuntimeConfig", "Function"]
    assert with_function[2]["spec"]["package"] == "registry.example/continuo-compose:1"
    assert with_function[-1]["spec"]["pipeline"][0]["functionRef"] == {"name": "mine"}
    (meta,) = printed("--package-meta")
    assert meta["apiVersion"] == "meta.pkg.crossplane.io/v1" and meta["spec"]["capabilities"] == ["composition"]


def test_contradictions_are_refused() -> None:
    with pytest.raises(BadInput, match="leave --package out"):
        composition.main(["--package-meta", "--package", "x"], standalone_mode=False)
    with pytest.raises(BadInput, match="needs certificates"):
        function.main([], standalone_mode=False)


def test_the_role_names_what_is_composed_and_nothing_else() -> None:
    rights = definition.rights()
    assert rights["metadata"]["labels"]["rbac.crossplane.io/aggregate-to-crossplane"] == "true"
    written = {
        f"{plural}.{group}"
        for rule in rights["rules"] if "patch" in rule["verbs"]
        for group in rule["apiGroups"] for plural in rule["resources"]
    }  # fmt: skip
    assert written == {kind.resource for kind in definition.COMPOSED}
    assert not any("*" in rule[field] for rule in rights["rules"] for field in ("verbs", "resources", "apiGroups"))


def test_nothing_that_crossplane_keeps_for_itself_is_in_the_schema() -> None:
    made = definition.definition()
    assert made["metadata"]["name"] == CONTINUUM_SLICE.resource and made["spec"]["scope"] == "Namespaced"
    (version,) = made["spec"]["versions"]
    properties: Any = version["schema"]["openAPIV3Schema"]["properties"]
    assert (
        "crossplane" not in properties["spec"]["properties"] and "crossplane" not in properties["status"]["properties"]
    )
    assert "conditions" not in properties["status"]["properties"]


@pytest.fixture(scope="module")
def api() -> Any:
    """A cluster that serves claims as Crossplane would define them, with what it adds itself."""
    api = EmbeddedEngine().create_cluster("m")
    fields = definition.definition()["spec"]
    (version,) = fields["versions"]
    schema = copy.deepcopy(version["schema"])
    schema["openAPIV3Schema"]["properties"] |= {"metadata": {"type": "object"}}
    served = {
        "name": version["name"],
        "served": True,
        "storage": True,
        "schema": schema,
        "subresources": {"status": {}},
    }
    names = {**fields["names"], "listKind": "ContinuumSliceList"}
    spec = {"group": fields["group"], "names": names, "scope": fields["scope"], "versions": [served]}
    api.create(CUSTOM_RESOURCE_DEFINITION.new(CONTINUUM_SLICE.resource, spec=spec), Write(manager="test", trusted=True))
    return api


@pytest.mark.parametrize("what", REFUSED)
def test_wrong_claims_are_refused_at_once(api: Any, what: str) -> None:
    spec, words = REFUSED[what]
    with pytest.raises(Invalid) as refused:
        api.create(CONTINUUM_SLICE.new("wrong", "default", spec=spec), Write(manager="test"))
    assert words in str(refused.value)


def test_a_whole_claim_is_taken_and_read_back(api: Any) -> None:
    wish = {**WISH, "orchestration": ORCHESTRATION, "providerConfigRef": {"kind": "ProviderConfig", "name": "hub"}}
    made = api.create(CONTINUUM_SLICE.new("read-back", "default", spec=wish), Write(manager="test"))
    read = decode(made["spec"])
    assert read.network is not None and read.network.mtu == 1400 and read.plugins[0].state.value == "Running"


@pytest.mark.parametrize("file", sorted(SAMPLES.glob("slice*.yaml")), ids=lambda file: file.stem)
def test_the_samples_are_taken(api: Any, file: Path) -> None:
    sample = yaml.safe_load(file.read_text(encoding="utf-8"))
    made = api.create({**sample, "metadata": {**sample["metadata"], "namespace": "default"}}, Write(manager="test"))
    roof = board("b1", site="roof")
    roof["metadata"]["namespace"] = "default"
    answer = render(run, made, [roof])
    assert not answer.results and desired(answer)
