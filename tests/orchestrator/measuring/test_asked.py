"""Which links somebody asks about, what a prober is made of, and what is said of a link that gives too little."""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from continuo.orchestrator.measuring.asked import asked_pairs
from continuo.orchestrator.measuring.breaches import MISSED, tell_breaches
from continuo.orchestrator.measuring.figures import told_at
from continuo.orchestrator.measuring.manifests import manifests, seen_through
from continuo.orchestrator.transitions import transitions
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, decode
from continuo.resources.probing import Peer
from scenarios.specs import app, cluster, component

LINKS = [("blue", "green"), ("blue", "rose"), ("green", "rose")]
NOW = datetime.datetime(2027, 1, 15, 12, tzinfo=datetime.UTC)


def decoded(asked: Object, *components: Object, **more: Any) -> Any:
    shop = {**app("shop", "green", *components), "link-requirements": [{"name": "film", **asked}]}
    spec = {"clusters": [cluster(name) for name in ("blue", "green", "rose")], "apps": [shop], **more}
    return decode(LOW_LEVEL_ORCHESTRATION.new("o", "default", spec=spec)).spec


def pairs(asked: Object, *components: Object, **more: Any) -> list[tuple[str, str]]:
    spec = decoded(asked, *components, **more)
    (shop,) = spec.apps
    made = {c.name: SimpleNamespace(spec=c, cluster=c.cluster_selector or "") for c in shop.components}
    wanted: Any = SimpleNamespace(
        links=dict.fromkeys(LINKS), apps={"shop": SimpleNamespace(spec=shop, components=made)}
    )  # fmt: skip
    return sorted(asked_pairs(spec, wanted))


FREE, PINNED = component("media", placement={}), component("db", "green")
BOUND = {"members": ["db", "media"], "bandwidthBps": 1}


def test_links_are_measured_that_the_members_of_a_bound_may_talk_over() -> None:
    assert pairs(BOUND, PINNED, component("media", "rose")) == [("green", "rose")]
    assert pairs(BOUND, PINNED, FREE) == [("blue", "green"), ("green", "rose")]
    assert pairs(BOUND, component("db", placement={}), FREE) == LINKS
    assert pairs(BOUND, PINNED, component("media", "green")) == []


def test_nothing_is_measured_unasked() -> None:
    assert pairs({"members": ["db", "media"], "latencyMs": 5}, PINNED, FREE) == []
    assert pairs({**BOUND, "bandwidthBps": 0}, PINNED, FREE) == []
    assert pairs(BOUND, PINNED, FREE, placement={"measure-bandwidth": "never"}) == []
    unbound = {"members": ["db", "media"], "latencyMs": 5}
    assert pairs(unbound, PINNED, FREE, placement={"measure-bandwidth": "always"}) == LINKS


def test_a_prober_may_read_its_peers_and_write_its_figures_and_nothing_else() -> None:
    peer = Peer(name="rose", probe="default/o/rose", url="http://10.0.0.1:8099", key="k")
    made = {obj["kind"]: obj for obj in manifests(("default", "o"), "green", "continuo:1", [peer])}
    assert [rule["verbs"] for rule in made["Role"]["rules"]] == [["get", "list", "watch"], ["patch"]]
    assert all(rule["resources"] == ["configmaps"] for rule in made["Role"]["rules"])
    assert made["Role"]["rules"][1]["resourceNames"] == ["measured"]
    assert "Secret" not in made and made["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    pod = made["Deployment"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "prober" and pod["containers"][0]["image"] == "continuo:1"
    assert list(made)[-1] == "Deployment", "it stands for all of it"


@pytest.mark.parametrize(("ip", "seen"), [("10.244.1.9", "10.71.1.9"), ("10.9.0.1", None)])
def test_a_pod_of_the_peer_is_reached_at_the_address_that_liqo_gave_it_here(ip: str, seen: str | None) -> None:
    cidrs = ({"remote": {"cidr": {"pod": [cidr]}}} for cidr in ("10.244.0.0/16", "10.71.0.0/16"))
    assert seen_through(ip, dict(zip(("spec", "status"), cidrs, strict=True))) == seen
    assert seen_through(ip, None) is None and seen_through(ip, {"spec": {}}) is None


def status(**link: Any) -> Object:
    entries = [{"name": n, "cluster": c, "phase": "Running"} for n, c in (("db", "green"), ("media", "rose"))]
    return {
        "apps": [{"name": "shop", "phase": "Running", "components": entries}],
        "links": [{"clusters": ["green", "rose"], "phase": "Connected", "latency": "9ms", **link}],
    }


def told(asked: Object, at: datetime.datetime = NOW, **link: Any) -> Object:
    found = status(**link)
    spec = decoded({"members": ["db", "media"], **asked}, PINNED, component("media", "rose"))
    tell_breaches(spec, found["apps"], found["links"], at)
    return found


@pytest.mark.parametrize(
    ("asked", "link", "sentence"),
    [
        ({"latencyMs": 5}, {}, "film: to db on green it asks for a round trip of at most 5 ms, and has 9 ms"),
        ({"jitterMs": 1}, {"jitter": "2ms"}, "film: to db on green it asks for a jitter of at most 1 ms, and has 2 ms"),
        ({"bandwidthBps": 9_000_000}, {"bandwidthBps": 4_000_000, "bandwidthMeasuredAt": told_at(NOW.timestamp())},
         "film: to db on green it asks for 9 Mbit/s, and 4 Mbit/s was measured"),
    ],
)  # fmt: skip
def test_a_link_that_gives_too_little_is_told(asked: Object, link: Object, sentence: str) -> None:
    found = told(asked, **link)
    media = found["apps"][0]["components"][1]
    assert (media["reason"], media["message"], media["phase"]) == (MISSED, sentence, "Running")
    missed = [event.reason for event in transitions(status(), found)]
    assert missed == [MISSED, MISSED], "of both ends"
    assert [event.reason for event in transitions(found, status())] == ["RequirementMet", "RequirementMet"]
    assert list(transitions(found, found)) == []


def test_what_holds_and_what_nobody_knows_is_no_breach() -> None:
    old = {"bandwidthBps": 1, "bandwidthMeasuredAt": told_at(NOW.timestamp())}
    half_an_hour_later = NOW + datetime.timedelta(minutes=31)
    for found in (
        told({"latencyMs": 9}), told({"jitterMs": 1}), told({"bandwidthBps": 5}),
        told({"bandwidthBps": 5}, half_an_hour_later, **old), told({"latencyMs": 5}, phase="Degraded"),
    ):  # fmt: skip
        assert all("message" not in entry for entry in found["apps"][0]["components"])
