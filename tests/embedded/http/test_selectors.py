from __future__ import annotations

import pytest

from continuo.embedded.http.paths import Target, parse_target
from continuo.embedded.http.selectors import Selection, parse_fields, parse_labels
from continuo.embedded.port import ResourceType
from continuo.resources.errors import BadRequest
from continuo.resources.kinds import NODE, POD

PODS = ResourceType(POD, "pod", "PodList", selectable=("spec.nodeName", "status.phase"))
NODES = ResourceType(NODE, "node", "NodeList", selectable=("spec.unschedulable",))


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("a=1", {"a": "1"}, True),
        ("a==1", {"a": "1"}, True),
        ("a=1", {}, False),
        ("a!=1", {}, True),
        ("a!=1", {"a": "1"}, False),
        ("a", {"a": ""}, True),
        ("a", {}, False),
        ("!a", {}, True),
        ("! a", {"a": "1"}, False),
        ("a in (1, 2)", {"a": "2"}, True),
        ("a in (1,2)", {"a": "3"}, False),
        ("a notin (1,2)", {"a": "3"}, True),
        ("a notin (1,2)", {}, True),
        ("a=", {"a": ""}, True),
        ("a=", {}, False),
        ("a in (,x)", {"a": ""}, True),
        ("a>1", {"a": "2"}, True),
        ("a>1", {"a": "1"}, False),
        ("a<10", {"a": "9"}, True),
        ("a<10", {"a": "x"}, False),
        ("example.org/tier=web,!x, b in (1)", {"example.org/tier": "web", "b": "1"}, True),
        ("in=notin", {"in": "notin"}, True),
        ("", {"a": "1"}, True),
    ],
)
def test_label_selectors(text: str, labels: dict, matches: bool) -> None:
    assert all(term.matches(labels) for term in parse_labels(text)) is matches


@pytest.mark.parametrize(
    "text", ["a b", "a in", "a in (", "a in (b", "=a", "a,,b", "a,", "a in b", "a=&", "!", "a>b", "a<"]
)
def test_wrong_label_selectors_are_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="is wrong"):
        parse_labels(text)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("spec.nodeName=n1", True),
        ("spec.nodeName==n1,status.phase!=Failed", True),
        ("spec.nodeName!=n1", False),
        ("status.phase=", True),
        ("metadata.name=p,metadata.namespace=d", True),
    ],
)
def test_field_selectors(text: str, matches: bool) -> None:
    pod = {"metadata": {"name": "p", "namespace": "d"}, "spec": {"nodeName": "n1"}}
    assert Selection((), parse_fields(text, PODS)).matches(pod) is matches


def test_missing_booleans_count_as_false() -> None:
    terms = parse_fields("spec.unschedulable=false", NODES)
    assert terms[0].matches({"metadata": {"name": "n"}})
    assert not terms[0].matches({"metadata": {"name": "n"}, "spec": {"unschedulable": True}})


@pytest.mark.parametrize("text", ["spec.color=red", "metadata.name", "=x"])
def test_wrong_field_selectors_are_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_fields(text, PODS)


def test_what_the_store_can_look_up() -> None:
    selection = Selection(parse_labels("a=1,b!=2,c in (3),d in (4,5)"), parse_fields("metadata.name=x", PODS))
    assert selection.equal_labels == {"a": "1", "c": "3"}
    assert selection.exact("metadata.name") == "x"
    assert selection.exact("metadata.namespace") is None


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("api/v1/pods", Target("", "v1", "pods", "", "", "")),
        ("api/v1/namespaces", Target("", "v1", "namespaces", "", "", "")),
        ("api/v1/namespaces/a", Target("", "v1", "namespaces", "", "a", "")),
        ("api/v1/namespaces/a/finalize", Target("", "v1", "namespaces", "", "a", "finalize")),
        ("api/v1/namespaces/a/pods", Target("", "v1", "pods", "a", "", "")),
        ("api/v1/namespaces/a/status/b", Target("", "v1", "status", "a", "b", "")),
        ("apis/apps/v1/namespaces/a/deployments/b/scale", Target("apps", "v1", "deployments", "a", "b", "scale")),
        ("apis/g/v1/things/b/x/y", Target("g", "v1", "things", "", "b", "x/y")),
        ("apis/g/v1", None),
        ("api/v1", None),
        ("version", None),
        ("", None),
    ],
)
def test_paths(path: str, target: Target | None) -> None:
    assert parse_target([part for part in path.split("/") if part]) == target
