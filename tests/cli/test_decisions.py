"""`why`, `why-not`, `decisions`, `approve` and `deny`, against an engine that runs beside the test."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from scenarios.beds import PATIENCE
from scenarios.specs import app, cluster, component

from .test_against_an_engine import SECRET, Machine, orchestration

ASKING = {"resources": {"requests": {"cpu": "500m"}}}
SPEC: dict[str, Any] = {
    "clusters": [
        cluster("green", packages=["liqo"], cost={"cpu": 1.0}), cluster("rose", packages=["liqo"], cost={"cpu": 2.0}),
        cluster("bare", cost={"cpu": 0.5}),
    ],
    "apps": [app("shop", "green", component("web", placement={}, **ASKING), component("db", "green", **ASKING))],
}  # fmt: skip


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """An engine with one orchestration that is ready."""
    found = Machine(tmp_path_factory.mktemp("decided"))
    assert found.up("--port", "0").code == 0
    try:
        file = found.file(SECRET, orchestration("o", **SPEC))
        applied = found.run("apply", "-f", file, "--wait", "--timeout", "60")
        assert applied.code == 0, applied.err
        yield found
    finally:
        assert found.down().code == 0


def listed(machine: Machine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(machine.run("decisions", "-o", "json").out)["items"]
    return found


def test_why_a_component_is_where_it_is(machine: Machine) -> None:
    (decision,) = listed(machine)
    said = machine.run("why", "shop/web")
    assert (said.code, said.err) == (0, "")
    first, *lines = said.out.splitlines()
    assert first == "shop/web of orchestration o is on green (Running)"
    assert f"  decision {decision['metadata']['name']} of " in lines[0] and " by placement: " in lines[0]
    assert any(line.startswith("* green  score ") for line in lines) and any(
        line.startswith("  rose  score ") for line in lines
    )
    assert "its declaration says so: cluster-selector green" in machine.run("why", "shop/db").out


def test_the_same_answer_is_computed_again(machine: Machine) -> None:
    said = machine.run("why", "shop/web", "--replay")
    assert said.code == 0 and "computed again from 2 components, 3 clusters: the same answer" in said.out
    never = machine.run("why", "shop/db", "--replay")
    assert never.code == 1 and "no input of a decision about shop/db" in never.sentence


def test_why_a_component_is_not_elsewhere(machine: Machine) -> None:
    then, now = machine.run("why-not", "shop/web", "rose").out.splitlines()
    assert then.startswith("when it was decided: it would have been possible, score ") and "cost" in then
    assert now.startswith("now: it would have been possible") and "moves" in now
    assert machine.run("why-not", "shop/web", "green").out.splitlines()[-1] == "now: it is on green"


def test_why_a_component_is_not_where_no_link_can_be(machine: Machine) -> None:
    said = "bare: it cannot be linked with green, the home of shop: bare has no Liqo, and its packages leave it out"
    found = machine.run("why-not", "shop/web", "bare").out.splitlines()
    assert found == [f"when it was decided: {said}", f"now: {said}"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("why", "web"), "web names no component: write APPLICATION/COMPONENT, such as shop/web"),
        (("why", "shop/none"), "no orchestration in namespace default has a component shop/none"),
        (("why", "shop/web", "--orchestration", "p"), "no orchestration in namespace default has a component shop/web"),
        (("why-not", "shop/web", "blue"), "orchestration o has no cluster blue; it has: bare, green, rose"),
        (("approve", "none"), 'decisions.continuo.dev "none" not found'),
    ],
)
def test_what_is_not_there_is_said(machine: Machine, arguments: tuple[str, ...], sentence: str) -> None:
    said = machine.run(*arguments)
    assert said.code != 0 and said.sentence == f"continuo: {sentence}"


def test_a_listing_in_every_form(machine: Machine) -> None:
    (decision,) = listed(machine)
    name = decision["metadata"]["name"]
    head, row = machine.run("decisions").out.splitlines()
    assert head.split() == ["NAME", "DECIDED", "SOURCE", "STAGE", "WHAT"]
    assert row.split()[0] == name and row.endswith("place shop/web on green")
    assert machine.run("decisions", "-o", "wide").out.splitlines()[0].split()[-2:] == ["REASON", "MESSAGE"]
    assert machine.run("decisions", "-o", "name").out.strip() == f"decisions.continuo.dev/{name}"
    assert machine.run("decisions", "--orchestration", "p").err.strip() == "nothing was decided here"
    shown = machine.run("decisions", name).out
    assert "what       place shop/web on green" in shown and "* green  score " in shown
    told = machine.run("approve", name).sentence
    assert told.startswith(f"continuo: decision {name} does not wait for approval: it is ")


BIG = component("report", placement={}, resources={"requests": {"cpu": "64"}})


def _burst(name: str) -> dict[str, Any]:
    """A loop that creates a cluster for what fits nowhere, once somebody agrees."""
    template = cluster("burst", packages=["liqo"])
    return {
        "name": name,
        "approval": "required",
        "provision-cluster": {"template": template, "capacity": {"cpu": "99"}},
    }


def _asked(machine: Machine, policy: str) -> str:
    """The decision of a loop that waits for approval; the loop is declared for it."""
    shop, *_ = SPEC["apps"]
    shop = {**shop, "components": [*shop["components"], BIG]}
    spec = {**SPEC, "apps": [shop], "policies": [_burst(policy)]}
    applied = machine.run("apply", "-f", machine.file(SECRET, orchestration("o", **spec)))
    assert applied.code == 0, applied.err
    return _until(machine, policy, "WaitingForApproval")


def _until(machine: Machine, policy: str, *stages: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for decision in listed(machine):
            if decision["spec"]["source"] == f"policy/{policy}" and decision.get("status", {}).get("stage") in stages:
                return str(decision["metadata"]["name"])
    raise AssertionError(f"policy {policy} never decided anything that is {stages}: {listed(machine)}")


def test_somebody_says_no_and_somebody_says_yes(machine: Machine) -> None:
    name = _asked(machine, "more")
    shown = machine.run("decisions", name).out
    assert "what       create cluster burst-1" in shown and "void from" in shown
    said = machine.run("deny", name)
    assert (said.code, said.out.strip()) == (0, f"decision {name} denied")
    assert _until(machine, "more", "Refused") == name
    assert machine.run("approve", name).sentence.endswith("does not wait for approval: it is Refused")
    other = _asked(machine, "much-more")
    assert machine.run("approve", other).out.strip() == f"decision {other} approved"
    assert _until(machine, "much-more", "Applied", "Verified") == other
