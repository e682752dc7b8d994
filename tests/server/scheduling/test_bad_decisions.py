"""Bad decisions: each is refused over HTTP with its status, its code and its sentence, and leaves no Decision behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from continuo.resources.loop import DECISION
from continuo.resources.meta import Object
from scheduling.bench import Bench, cluster, component, places, running, spec, status

DECISIONS = "/scheduler/v1/decisions"
pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Bad:
    """A decision that has one thing wrong with it."""

    name: str
    status: int
    code: str
    says: str
    """Part of the sentence."""
    actions: Any = ()
    more: Object = field(default_factory=dict)
    """Of the body."""
    token: str = "ai"
    raw: bytes | None = None
    media: str = "application/json"
    late: bool = False
    """It is about the second action: one before it was accepted, and the decision is all or nothing."""


def place(component: str, to: str) -> Object:
    return {"op": "placeComponent", "component": component, "cluster": to}


def move(component: str, to: str) -> Object:
    return {"op": "migrateComponent", "component": component, "cluster": to}


def scale(component: str, replicas: int) -> Object:
    return {"op": "scaleComponent", "component": component, "replicas": replicas}


def resize(name: str, workers: int) -> Object:
    return {"op": "scaleCluster", "cluster": name, "workers": workers}


def create(name: str, **template: Any) -> Object:
    return {"op": "createCluster", "cluster": name, "template": {"kubernetes-version": "v1.34.2", **template}}


def delete(name: str) -> Object:
    return {"op": "deleteCluster", "cluster": name}


def link(one: str, other: str) -> Object:
    return {"op": "linkClusters", "cluster": one, "other": other}


def unlink(one: str, other: str) -> Object:
    return {"op": "unlinkClusters", "cluster": one, "other": other}


def crowded() -> Object:
    """Every kind of cluster and component that a decision can be wrong about."""
    found = spec()
    found["clusters"] += [
        cluster("lost"), cluster("failed"), cluster("tired"), cluster("leaving"), cluster("coming"),
        cluster("old", provider="existing", kubeconfig="old", **{"kubernetes-version": None}),
        cluster("mini", provider="microk8s", **{"worker-machine-count": 0}),
        cluster("toy", provider="dev"), cluster("tiny"), cluster("dear", cost={"cpu": 100.0, "carbon": 900.0}),
        cluster("bare", "edge"),
        cluster("big", **{"worker-machine-count": 4}), cluster("gold", cost={"cpu": 1.0, "carbon": 90.0}),
    ]  # fmt: skip
    for one in found["clusters"]:
        if one["kubernetes-version"] is None:
            del one["kubernetes-version"]
    found["clusters"][0]["cost"] = {"cpu": 1.0, "carbon": 1.0}
    shop = found["apps"][0]
    shop["components"] += [
        component("near", placement={}), component("far", placement={}),
        component("iso", placement={"clusters": {"matchLabels": {"iso27001": "true"}}}),
        component("italian", placement={"locations": [{"country": "IT"}]}),
        component("friend", placement={"beside": ["db"]}), component("loner", placement={"apart-from": ["db"]}),
        component("one", placement={"spread": {"group": "s"}}), component("two", placement={"spread": {"group": "s"}}),
        component("gpu", placement={}, resources={"requests": {"nvidia.com/gpu": 1}}),
        component("fat", placement={}, resources={"requests": {"memory": "64Gi"}}),
        component("wide", placement={}, resources={"requests": {"cpu": "64"}}),
        component("byhome"), component("steady", placement={}), component("frozen", placement={}),
        component("bound", placement={}), component("talker", placement={}), component("jittery", placement={}),
        component("heavy", placement={}),
    ]  # fmt: skip
    shop["link-requirements"] = [
        {"name": "quick", "members": ["near", "web"], "latencyMs": 1},
        {"name": "known", "members": ["far", "web"], "latencyMs": 100},
        {"name": "even", "members": ["jittery", "web"], "jitterMs": 1},
        {"name": "broad", "members": ["heavy", "web"], "bandwidthBps": 1_000_000},
    ]
    found["apps"] += [
        {"name": "rich", "owner": "bob", "cluster": "rose", "components": [component("web", placement={})]},
        {"name": "clean", "owner": "eve", "cluster": "rose", "components": [component("web", placement={})]},
    ]
    found["placement"]["budgets"] = [{"owner": "bob", "cost": 10.0}, {"owner": "eve", "carbon": 100.0}]
    found["links"] += [["rose", "blue"]]
    found["policies"] = [
        {"name": "pods", "scale-component": {
            "component": "shop/bound", "min": 2, "max": 5, "metric": {"target": 0.7}}},
        {"name": "still", "hold": True, "scale-component": {"component": "shop/frozen", "metric": {"target": 0.7}}},
        {"name": "workers", "scale-cluster": {"cluster": "big", "min": 2, "max": 6}},
        {"name": "burst", "provision-cluster": {"template": cluster("burst", **{"kubernetes-version": "v1.34.2"})}},
        {"name": "away", "hold": True, "failover": {"clusters": {"matchLabels": {"iso27001": "true"}}}},
    ]  # fmt: skip
    return found


def seen() -> Object:
    found = status()
    room = {"cpu": "4", "memory": "8Gi"}
    for name, more in {
        "lost": {"phase": "Degraded", "lostSince": "2026-03-01T09:58:00Z"},
        "failed": {"phase": "Failed", "message": "no machine came up"},
        "tired": {"cordoned": True}, "leaving": {"phase": "Deleting"}, "coming": {"phase": "Provisioning"},
        "old": {}, "mini": {}, "toy": {}, "tiny": {"allocatable": {"cpu": "100m", "memory": "8Gi"}}, "dear": {},
        "bare": {"unlinkable": "has no Liqo"}, "big": {"requested": {"cpu": "3"}}, "gold": {}, "burst-1": {}, "burst-2": {},
    }.items():  # fmt: skip
        found["clusters"].append({"name": name, "phase": "Ready", "allocatable": room, **more})
    found["links"].append({"clusters": ["blue", "rose"], "phase": "Connected", "latency": "30ms"})
    return found


def adjusted() -> Object:
    since = {"decision": "policy-1", "since": "2026-03-01T09:00:00Z"}
    here = {"web": "rose", "cache": "green", "one": "green", "steady": "burst-2", "bound": "green", "frozen": "green"}
    made = [
        {"cluster": cluster(name, **{"kubernetes-version": "v1.34.2"}), "policy": "burst", **since}
        for name in ("burst-1", "burst-2")
    ]
    return {"places": places(**here), "clusters": made}


CASES = [
    # who and how
    Bad("nobody", 401, "unauthenticated", "Authorization: Bearer", [place("shop/late", "blue")], token="nobody"),
    Bad("wrong role", 403, "not-allowed", "ann is in none of the groups", [place("shop/late", "blue")], token="ann"),
    Bad("not JSON", 400, "json-invalid", "is not JSON", raw=b"{decisionId"),
    Bad("not UTF-8", 400, "json-invalid", "is not JSON", raw=b'{"decisionId":"\xff"}'),
    Bad("media type", 415, "media-type", "send application/json", raw=b"<xml/>", media="text/xml"),
    Bad("a list", 422, "body-invalid", "expected `object`", raw=b"[]"),
    Bad("too large", 413, "body-too-large", "more than", raw=b'{"reason":"' + b"x" * (1 << 20) + b'"}'),
    Bad("unknown field", 422, "body-invalid", "unknown field `urgent`", [place("shop/late", "blue")], {"urgent": True}),
    Bad("unknown field of an action", 422, "body-invalid", "actions[0]: object contains unknown field `to`",
        [{**place("shop/late", "blue"), "to": "x"}]),
    Bad("wrong type", 422, "body-invalid", "actions[0].replicas: expected `int | null`, got `str`",
        [{**scale("shop/late", 1), "replicas": "two"}]),
    Bad("field left out", 422, "body-invalid", "missing required field `basedOn`", [], {"basedOn": None}),
    # the decision as a whole
    Bad("bad id", 422, "decision-id-invalid", "must be letters", [place("shop/late", "blue")], {"decisionId": "a b"}),
    Bad("no reason", 422, "reason-required", "must say why", [place("shop/late", "blue")], {"reason": "  "}),
    Bad("long reason", 422, "reason-required", "1 to 1024", [place("shop/late", "blue")], {"reason": "x" * 1025}),
    Bad("expired", 422, "ttl-expired", "void already", [place("shop/late", "blue")], {"ttlSeconds": 0}),
    Bad("ttl too long", 422, "ttl-too-long", "3600 seconds at most", [place("shop/late", "blue")], {"ttlSeconds": 7200}),
    Bad("confidence", 422, "confidence-out-of-range", "between 0 and 1", [place("shop/late", "blue")], {"confidence": 1.5}),
    Bad("priority", 422, "priority-out-of-range", "between -100 and 100", [place("shop/late", "blue")], {"priority": 1000}),
    Bad("nothing to do", 422, "no-actions", "say at least one", []),
    Bad("too much to do", 422, "too-many-actions", "at most 64", [place("shop/late", "blue")] * 65),
    Bad("foreign namespace", 403, "namespace-foreign", "namespace default, not about kube-system",
        [place("shop/late", "blue")], {"orchestration": "kube-system/main"}),
    Bad("unknown orchestration", 404, "orchestration-unknown", "no orchestration other", [place("shop/late", "blue")],
        {"orchestration": "other"}),
    Bad("version that is none", 409, "state-version-unknown", "no version of the state", [place("shop/late", "blue")],
        {"basedOn": "yesterday"}),
    Bad("version of another epoch", 409, "state-version-unknown", "before this server started: read the state again",
        [place("shop/late", "blue")], {"basedOn": "0badcafe-1"}),
    Bad("version of the future", 409, "state-version-unknown", "was never told", [place("shop/late", "blue")],
        {"basedOn": "{epoch}-99999"}),
    # what an action says
    Bad("unknown op", 422, "op-unknown", "no operation 'teleport'", [{"op": "teleport", "component": "shop/late"}]),
    Bad("op of the loops", 422, "op-not-offered", "Continuo's own loops",
        [{"op": "moveHome", "app": "shop", "cluster": "blue"}]),
    Bad("missing field", 422, "field-missing", "cluster is missing", [{"op": "placeComponent", "component": "shop/late"}]),
    Bad("field of another op", 422, "field-unexpected", "leave replicas out",
        [{**place("shop/late", "blue"), "replicas": 2}]),
    Bad("twice", 422, "duplicate", "says the same as action 0", [place("shop/late", "blue")] * 2, late=True),
    Bad("two places", 422, "contradiction", "contradicts action 0",
        [place("shop/late", "blue"), place("shop/late", "green")], late=True),
    Bad("two sizes", 422, "contradiction", "contradicts action 0",
        [scale("shop/cache", 2), scale("shop/cache", 3)], late=True),
    Bad("to what it deletes", 422, "contradiction", "deletes burst-1", [delete("burst-1"), place("shop/late", "burst-1")],
        late=True),
    # components
    Bad("unknown component", 422, "component-unknown", "no component 'shop/nobody'", [place("shop/nobody", "blue")]),
    Bad("not a path", 422, "component-unknown", "say APPLICATION/COMPONENT", [place("late", "blue")]),
    Bad("unknown cluster", 422, "cluster-unknown", "no cluster 'mars', it has", [place("shop/late", "mars")]),
    Bad("pinned", 422, "pinned", "pinned shop/db to rose", [move("shop/db", "blue")]),
    Bad("place declared", 422, "place-declared", "no placement", [move("shop/byhome", "blue")]),
    Bad("placed already", 422, "component-placed", "placed on rose already", [place("shop/web", "blue")]),
    Bad("not placed yet", 422, "component-unplaced", "no place that it could leave", [move("shop/late", "blue")]),
    Bad("there already", 422, "unchanged", "is on green already", [move("shop/cache", "green")]),
    Bad("held where it is", 422, "held", "policy away is on hold", [move("shop/web", "blue")]),
    # clusters that take nothing
    Bad("lost", 422, "cluster-lost", "has not answered since", [move("shop/cache", "lost")]),
    Bad("failed", 422, "cluster-failed", "failed is Failed: no machine came up", [move("shop/cache", "failed")]),
    Bad("cordoned", 422, "cluster-cordoned", "cordoned", [move("shop/cache", "tired")]),
    Bad("being deleted", 422, "cluster-deleting", "leaving is Deleting", [move("shop/cache", "leaving")]),
    Bad("being made", 422, "cluster-not-ready", "coming is Provisioning", [move("shop/cache", "coming")]),
    Bad("simulated", 422, "cluster-simulated", "in name only", [move("shop/cache", "toy")]),
    # where a component does not fit
    Bad("no cpu", 422, "no-room-cpu", "shop/cache on tiny: cpu 500m of 100m free", [move("shop/cache", "tiny")]),
    Bad("no cpu anywhere", 422, "no-room-cpu", "cpu 64 of", [place("shop/wide", "blue")]),
    Bad("no memory", 422, "no-room-memory", "memory 64Gi of", [place("shop/fat", "blue")]),
    Bad("no gpu", 422, "no-room-gpu", "gpus 1 of 0 free", [place("shop/gpu", "blue")]),
    Bad("hint", 422, "hint", "edge is wanted", [place("shop/late", "rose")]),
    Bad("label", 422, "labels", "no label iso27001", [place("shop/iso", "blue")]),
    Bad("location", 422, "location", "country IT is wanted", [place("shop/italian", "blue")]),
    Bad("beside", 422, "beside", "shares a cluster with", [place("shop/friend", "blue")]),
    Bad("apart", 422, "apart", "stays apart from", [place("shop/loner", "rose")]),
    Bad("spread", 422, "spread", "more than 1 apart", [place("shop/two", "green")]),
    Bad("latency", 422, "latency", "latency to rose is 30 ms", [place("shop/near", "blue")]),
    Bad("no link can be", 422, "unlinkable", "it cannot be linked with rose, the home of shop: bare has no Liqo",
        [place("shop/late", "bare")]),
    Bad("not measured", 422, "not-measured", "not measured", [place("shop/far", "big")]),
    Bad("jitter", 422, "not-measured", "jitter to rose is not measured", [place("shop/jittery", "blue")]),
    Bad("bandwidth", 422, "not-measured", "bandwidth to rose is not measured", [place("shop/heavy", "blue")]),
    Bad("cost", 422, "cost-budget", "of bob's 10 is left", [place("rich/web", "dear")]),
    Bad("carbon", 422, "carbon-budget", "of eve's 100 is left", [place("clean/web", "dear")]),
    # how many pods
    Bad("fewer than none", 422, "negative", "no fewer than 0", [scale("shop/cache", -1)]),
    Bad("more than there may be", 422, "out-of-bounds", "at most 100", [scale("shop/cache", 101)]),
    Bad("beyond the policy", 422, "out-of-bounds", "between 2 and 5 pods", [scale("shop/bound", 6)]),
    Bad("below the policy", 422, "out-of-bounds", "between 2 and 5 pods", [scale("shop/bound", 1)]),
    Bad("policy on hold", 422, "held", "policy still is on hold", [scale("shop/frozen", 2)]),
    Bad("as many as there are", 422, "unchanged", "has 1 pods already", [scale("shop/cache", 1)]),
    Bad("more than fit", 422, "no-room-cpu", "shop/cache on green: cpu 50 of", [scale("shop/cache", 100)]),
    # clusters
    Bad("no template", 422, "template-missing", "template is missing", [{"op": "createCluster", "cluster": "new"}]),
    Bad("bad version", 422, "version-invalid", "a full version", [create("new", **{"kubernetes-version": "latest"})]),
    Bad("bad name", 422, "name-invalid", "no name for a cluster", [create("New_1")]),
    Bad("bad template", 422, "template-invalid", "no field 'workers'", [create("new", workers=3)]),
    Bad("bad value", 422, "template-invalid", "template.tier", [create("new", tier="orbit")]),
    Bad("even control plane", 422, "template-invalid", "must be odd", [create("new", **{"control-plane-count": 2})]),
    Bad("name taken", 422, "name-taken", "it was declared", [create("rose")]),
    Bad("name taken on demand", 422, "name-taken", "on demand", [create("burst-1")]),
    Bad("too many workers", 422, "beyond-quota", "50 is the most", [create("new", **{"worker-machine-count": 51})]),
    Bad("credentials", 422, "template-forbidden", "template.ssh-key", [create("new", **{"ssh-key": "mine"})]),
    Bad("adoption", 422, "template-forbidden", "adopts a cluster", [create("new", provider="existing", kubeconfig="s")]),
    Bad("declared by its writer", 422, "cluster-declared", "its writer's to delete", [delete("blue")]),
    Bad("in use", 422, "cluster-in-use", "used by shop/steady", [delete("burst-2")]),
    Bad("unknown to delete", 422, "cluster-unknown", "no cluster 'mars'", [delete("mars")]),
    Bad("negative workers", 422, "negative", "no fewer than 0", [resize("blue", -1)]),
    Bad("beyond quota", 422, "beyond-quota", "50 is the most", [resize("blue", 500)]),
    Bad("beyond the cluster's policy", 422, "out-of-bounds", "between 2 and 6 workers", [resize("big", 7)]),
    Bad("adopted", 422, "cluster-adopted", "only adopted", [resize("old", 3)]),
    Bad("one node", 422, "cluster-fixed-size", "microk8s", [resize("mini", 3)]),
    Bad("too few for what runs", 422, "too-small", "ask for cpu 3 of 4", [resize("big", 2)]),
    Bad("as many workers", 422, "unchanged", "has 1 workers already", [resize("blue", 1)]),
    # links
    Bad("to itself", 422, "link-to-itself", "name two clusters", [link("rose", "rose")]),
    Bad("to nobody", 422, "cluster-unknown", "no cluster 'mars'", [link("rose", "mars")]),
    Bad("to what is lost", 422, "cluster-lost", "cannot be linked", [link("rose", "lost")]),
    Bad("to what is simulated", 422, "cluster-simulated", "cannot be linked", [link("rose", "toy")]),
    Bad("to what has no Liqo", 422, "unlinkable", "bare has no Liqo", [link("rose", "bare")]),
    Bad("linked already", 422, "link-exists", "linked already", [link("green", "rose")]),
    Bad("not linked", 422, "link-unknown", "no link between green and blue", [unlink("green", "blue")]),
    Bad("link in use", 422, "link-in-use", "application shop needs the link", [unlink("rose", "green")]),
]  # fmt: skip


@pytest.fixture(scope="module")
async def crowd(anyio_backend: str) -> AsyncIterator[Bench]:
    """One server for all cases: none of them changes anything."""
    async with running() as bench:
        await bench.declare(crowded())
        await bench.say(seen())
        await bench.adjust(adjusted())
        await bench.until(
            lambda state: len(state["clusters"]) == 18 and all(c["phase"] != "Pending" for c in state["clusters"])
        )
        yield bench


def numbers() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"bad-{number}"


_IDS = numbers()


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
async def test_it_is_refused_with_the_reason(crowd: Bench, bad: Bad) -> None:
    version = crowd.parts.infrastructure.log.current
    more = {
        key: value.replace("{epoch}", version.partition("-")[0]) if isinstance(value, str) else value
        for key, value in bad.more.items()
    }
    body = {
        "decisionId": next(_IDS), "basedOn": version, "reason": "to see what happens", "actions": bad.actions,
        "allOrNothing": bad.late, **more,
    }  # fmt: skip
    sent = bad.raw if bad.raw is not None else json.dumps({k: v for k, v in body.items() if v is not None}).encode()
    client = {"ai": crowd.ai, "ann": crowd.ann, "nobody": crowd.nobody}[bad.token]
    crowd.clock.pass_(5)  # at most twelve in a minute
    code, answer, _ = await client.call("POST", DECISIONS, data=sent, headers={"Content-Type": bad.media})
    assert (code, answer["code"]) == (bad.status, bad.code), answer
    assert bad.says.lower() in answer["detail"].lower(), answer
    assert answer["status"] == bad.status
    if bad.actions and "actions" in answer:
        assert all(verdict["result"] == "rejected" and verdict["message"] for verdict in answer["actions"])
    kept = await crowd.cluster.list(DECISION, "default")
    assert not kept.items


async def test_there_are_more_than_forty_kinds() -> None:
    assert len({bad.code for bad in CASES}) >= 40
