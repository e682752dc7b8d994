"""Clusters in a claim, and boards that are told where their components are."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.iot.compose import wire
from continuo.iot.compose.function import run
from continuo.resources.meta import Object
from continuo.resources.orchestration import decode

from .requests import board, claim, conditions, desired, exists, render, request, status

ORCHESTRATION: dict[str, Any] = {
    "clusters": [{"name": "cloud", "provider": "existing", "kubeconfig": "cloud"}],
    "apps": [
        {
            "name": "shop", "owner": "me", "cluster": "cloud",
            "components": [
                {"name": "api", "image": "api:1", "expose": [{"containerPort": 80, "clusterPort": 80, "is-public": True}]}
            ],
        }
    ],
}  # fmt: skip
WISH: dict[str, Any] = {
    "orchestration": ORCHESTRATION,
    "boards": {"matchLabels": {"site": "roof"}},
    "workloads": [
        {"name": "feed", "command": ["feed"], "env": {"MODE": "x"},
         "endpoints": [{"env": "API", "app": "shop", "component": "api"}]},
        {"name": "idle", "command": ["sleep"]},
    ],
}  # fmt: skip
ROOF = (board("b1", site="roof"),)


def running(orchestration: Object, url: str | None = "http://10.0.0.1") -> Object:
    made = exists(orchestration)
    components = [{"name": "api", "phase": "Running", "urls": [{"name": "80", "url": url}] if url else []}]
    made["status"] |= {"summary": {"clusters": "1/1"}, "apps": [{"name": "shop", "components": components}]}
    return made


def test_clusters_are_an_orchestration_as_it_was_written() -> None:
    made = desired(render(run, claim(orchestration=ORCHESTRATION), ()))
    assert list(made) == ["orchestration"]
    found = made["orchestration"]
    assert found["kind"] == "LowLevelOrchestration" and found["spec"] == ORCHESTRATION
    assert decode(found).spec.apps[0].components[0].expose[0].container_port == 80
    assert len(found["metadata"]["name"]) == len("city") + 9


def test_a_workload_waits_for_an_address_and_then_keeps_it() -> None:
    first = render(run, claim(**WISH), ROOF)
    made = desired(first)
    assert sorted(made) == ["orchestration", "run/idle/b1"]
    assert conditions(first)["BoardsReady"][2] == "0 of 1 boards ready; workload feed waits for the address of shop/api"
    assert first.desired.composite.ready == wire.READY_FALSE

    there = {"orchestration": running(made["orchestration"]), "run/idle/b1": exists(made["run/idle/b1"])}
    second = render(run, claim(**WISH), ROOF, there)
    feed = desired(second)["run/feed/b1"]
    assert feed["spec"]["forProvider"]["env"] == {"MODE": "x", "API": "http://10.0.0.1"}
    assert status(second)["endpoints"] == [{"app": "shop", "component": "api", "url": "http://10.0.0.1"}]
    assert status(second)["clusters"] == "1/1"

    there["run/feed/b1"] = exists(feed)
    there["orchestration"] = running(made["orchestration"], url=None)
    third = render(run, claim(status=status(second), **WISH), ROOF, there)
    assert desired(third)["run/feed/b1"] == feed, "an address that is not said for a while is not forgotten"

    there["orchestration"] = running(made["orchestration"], url="http://10.0.0.2")
    moved = desired(render(run, claim(status=status(third), **WISH), ROOF, there))["run/feed/b1"]
    assert moved["spec"]["forProvider"]["env"]["API"] == "http://10.0.0.2"


def test_what_was_made_stays_even_where_the_address_is_lost() -> None:
    made = desired(render(run, claim(**WISH), ROOF))
    there = {"orchestration": running(made["orchestration"])}
    feed = desired(render(run, claim(**WISH), ROOF, there))["run/feed/b1"]
    left = desired(render(run, claim(**WISH), ROOF, {"run/feed/b1": exists(feed)}))
    assert left["run/feed/b1"]["metadata"] == feed["metadata"]


@pytest.mark.parametrize("named", [{"app": "shop", "component": "db"}, {"app": "none", "component": "api"}])
def test_an_address_of_nothing_is_refused(named: dict[str, str]) -> None:
    wish = {**WISH, "workloads": [{"name": "w", "endpoints": [{"env": "API", **named}]}]}
    answer = run(request(claim(**wish)))
    assert answer.results[0].severity == wire.FATAL
    assert f"no component {named['component']} of an application {named['app']}" in answer.results[0].message
