"""Rules of KubeEdge's router: what they look like, and what is to be done about one of them. Pure.

CloudCore acts on a Rule when it appears and when it goes, never when it changes; it subscribes at the edge node once, and if
the node is away then, never again; and a second Rule with the same source takes over from the first. So there is one Rule for
each source, it says in which connection of its node it was made, and whatever should change is deleted and made anew.

A node that is back within the API server's grace time (50 s, mostly) was Ready all along: all that tells is its heartbeat,
which comes at once when EdgeCore starts, and otherwise every five minutes. So a Rule of which nothing has come is made anew
with each. A node keeps its subscriptions on disk. One that is away when its Rule goes would keep this one for ever, and send
what nobody takes, so the Rule waits for the node.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

from continuo.edge.relay.model import Source
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, deleting, is_true, labels_of

ROUTER = "continuo.dev/router"
"""Label of rules and endpoints of ours: the Router Manager that made them."""
ARMED = "continuo.dev/armed"
"""Annotation of a Rule: the connection of its node in which it was made."""
HEARD = "continuo.dev/heard"
"""Annotation of a Rule: the heartbeat of its node after which it was made."""
DESCRIPTION = "kubernetes.io/description"
"""Annotation for people. Releases of KubeEdge differ in whether a Rule's spec can say it; some drop it."""
OFFLINE = "offline"
BUS, OUT, COMMANDS_IN, COMMANDS = "eventbus-fluidos", "rest-fluidos", "rest-commands", "commands"
ENDPOINTS = {BUS: "eventbus", OUT: "rest"}
COMMAND_ENDPOINTS = {COMMANDS_IN: "rest", BUS: "eventbus"}


@dataclass(frozen=True, slots=True)
class Create:
    """Make the Rule, whose endpoints are there."""

    rule: Object


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the Rule away; if one is wanted it is made when this one is gone."""

    rule: Object
    why: str
    changed: bool = False
    """Whether somebody made it another than it was made."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Somebody else's Rule is in the way."""

    why: str


Step: TypeAlias = Create | Remove | Blocked


def rule_name(source: Source) -> str:
    """The same for the same source, whoever asks."""
    text = "\0".join((source.namespace, source.node, source.topic))
    return f"path-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def source_of(rule: Object) -> Source | None:
    """The source of a Rule, if it is a topic of an edge node."""
    spec = rule["spec"]
    said = spec.get("sourceResource") or {}
    if not said.get("topic") or not said.get("node_name"):
        return None
    return Source(namespace=rule["metadata"]["namespace"], node=said["node_name"], topic=said["topic"])


def connection_of(node: Object | None) -> str:
    """What tells one connection of an edge node with CloudCore from the next; `offline` while there is none."""
    if node is None or not is_true(node, "Ready"):
        return OFFLINE
    ready = next(entry for entry in node["status"]["conditions"] if entry["type"] == "Ready")
    held_by = annotations_of(node).get("cloudcore", "")
    return f"{ready.get('lastTransitionTime', '')}/{held_by}"


def heartbeat_of(node: Object | None) -> str:
    """When a node said last how it is; empty where it never did."""
    conditions = ((node or {}).get("status") or {}).get("conditions") or ()
    return next((str(entry.get("lastHeartbeatTime") or "") for entry in conditions if entry["type"] == "Ready"), "")


def rule_for(source: Source, url: str, instance: str, connection: str, heartbeat: str = "") -> Object:
    """The Rule that sends a source's readings to the relay."""
    return kinds.KUBEEDGE_RULE.new(
        rule_name(source), source.namespace,
        metadata={
            "labels": {ROUTER: instance},
            "annotations": {
                ARMED: connection, HEARD: heartbeat,
                DESCRIPTION: f"readings of {source.topic} at {source.node}, to the relay",
            },
        },
        spec={
            "source": BUS, "sourceResource": {"topic": source.topic, "node_name": source.node},
            "target": OUT, "targetResource": {"resource": url},
        },
    )  # fmt: skip


def command_rule(namespace: str, instance: str) -> Object:
    """The Rule that brings commands to the edge: the rest of the path names the topic, the first part of it the node."""
    return kinds.KUBEEDGE_RULE.new(
        COMMANDS, namespace,
        metadata={
            "labels": {ROUTER: instance},
            "annotations": {DESCRIPTION: "commands of buyers, to the devices that they bought"},
        },
        spec={
            "source": COMMANDS_IN, "sourceResource": {"path": f"/{COMMANDS}"},
            "target": BUS, "targetResource": {"topic": COMMANDS},
        },
    )  # fmt: skip


def endpoint(name: str, type_: str, namespace: str, instance: str) -> Object:
    """One RuleEndpoint."""
    return kinds.RULE_ENDPOINT.new(
        name, namespace, metadata={"labels": {ROUTER: instance}}, spec={"ruleEndpointType": type_, "properties": {}}
    )


def decide(
    wanted: Object | None, there: Object | None, others: list[Object], instance: str, *,
    renew: str = "", silent: bool = False, away: bool = False,
) -> Step | None:  # fmt: skip
    """The next step for one source; None: all is well, or is to come.

    `there` has the name that ours has; `others` are Rules of other names with the same source. `renew`: why the Rule is to be
    made anew although it is as it should be. `silent`: nothing has come of it since it was made. `away`: its node is not
    Ready.
    """
    if there is not None and labels_of(there).get(ROUTER) != instance:
        return None if wanted is None else Blocked(f"rule {there['metadata']['name']} is not ours: rename or delete it")
    if there is not None and deleting(there):
        return None
    if wanted is None:
        return None if there is None or away else Remove(there, "nobody needs it any more")
    if others:
        name = others[0]["metadata"]["name"]
        return Blocked(f"rule {name} has the same source, and a second one would take over from it: delete that rule")
    if there is None:
        return Create(wanted)
    if any(there["spec"].get(name) != value for name, value in wanted["spec"].items()):
        return Remove(there, "a changed rule is not taken up", changed=True)
    if annotations_of(there).get(ARMED) != annotations_of(wanted).get(ARMED) and ARMED in annotations_of(wanted):
        was_away = annotations_of(wanted)[ARMED] == OFFLINE
        return None if was_away else Remove(there, "its node came back, and was not told of it")
    if silent and annotations_of(there).get(HEARD) != annotations_of(wanted).get(HEARD):
        return Remove(there, "its node has been heard of since, and nothing has come of it")
    return Remove(there, renew) if renew else None
