"""Lists: pages, selectors, versions."""

from __future__ import annotations

import pytest

from .objects import Path, config_map
from .rest import PARTIAL_LIST, Api


@pytest.fixture
def seven(api: Api, ns: str) -> str:
    """The path of a collection of seven, whose names have an order."""
    path = f"/api/v1/namespaces/{ns}/secrets"
    for index in range(7):
        labels = {"half": str(index % 2), "n": str(index)} | ({"odd": "yes"} if index % 2 else {})
        api.post(path, {"metadata": {"name": f"m{index}", "labels": labels}, "type": "example.org/x"}).ok()
    return path


def test_a_list_has_a_version_and_an_order(api: Api, seven: str) -> None:
    found = api.get(seven).ok()
    assert (found["kind"], found["apiVersion"]) == ("SecretList", "v1")
    assert int(found["metadata"]["resourceVersion"]) > 0
    assert [item["metadata"]["name"] for item in found["items"]] == [f"m{index}" for index in range(7)]


def test_items_of_custom_lists_have_their_kind(api: Api, ns: str, widgets: Path) -> None:
    api.post(widgets(ns), widgets.new("a", spec={"size": 1})).ok()
    found = api.get(widgets(ns)).ok()
    assert found["kind"] == "WidgetList"
    assert found["items"][0]["kind"] == "Widget"


def test_an_empty_list_has_no_null(api: Api, ns: str) -> None:
    assert api.get(f"/api/v1/namespaces/{ns}/endpoints").ok()["items"] == []


def test_pages_show_the_moment_of_the_first(api: Api, seven: str) -> None:
    first = api.get(seven, limit=3).ok()
    assert len(first["items"]) == 3
    assert first["metadata"]["remainingItemCount"] == 4
    api.delete(f"{seven}/m4").ok()
    api.post(seven, {"metadata": {"name": "m45"}, "type": "example.org/x"}).ok()
    second = api.get(seven, limit=3, **{"continue": first["metadata"]["continue"]})
    assert second.names == ["m3", "m4", "m5"]
    assert second.version == first["metadata"]["resourceVersion"]
    last = api.get(seven, limit=3, **{"continue": second.json["metadata"]["continue"]})
    assert last.names == ["m6"]
    assert "continue" not in last.json["metadata"]


def test_pages_of_a_selection(api: Api, seven: str) -> None:
    first = api.get(seven, limit=2, labelSelector="half=0").ok()
    assert "remainingItemCount" not in first["metadata"]
    rest = api.get(seven, limit=5, labelSelector="half=0", **{"continue": first["metadata"]["continue"]})
    assert rest.names == ["m4", "m6"]


@pytest.mark.parametrize("token", ["nonsense", "e30"])
def test_a_wrong_continue_token(api: Api, seven: str, token: str) -> None:
    message = api.get(seven, limit=2, **{"continue": token}).fails(400, "BadRequest")
    assert message.startswith("invalid continue token: continue key is not valid: ")


def test_a_continue_token_brings_its_own_version(api: Api, seven: str) -> None:
    token = api.get(seven, limit=2).json["metadata"]["continue"]
    assert api.get(seven, limit=2, resourceVersion="5", **{"continue": token}).status in (400, 422)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("half=1", "135"), ("half==1", "135"), ("half!=1", "0246"), ("odd", "135"), ("!odd", "0246"),
        ("n in (1, 2,9)", "12"), ("n notin (1,2)", "03456"), ("odd!=yes", "0246"), ("odd notin (yes)", "0246"),
        ("n>4", "56"), ("n<2", "01"), ("half=0,n in (0,1)", "0"), ("half=0, !odd", "0246"), ("", "0123456"),
        ("half in ()", ""), ("missing=", ""), ("missing!=", "0123456"), (" half = 1 ", "135"),
    ],
)  # fmt: skip
def test_label_selectors(api: Api, seven: str, selector: str, expected: str) -> None:
    assert "".join(name[1:] for name in api.get(seven, labelSelector=selector).names) == expected


@pytest.mark.parametrize(
    "selector", ["a b", "a=b c", "in (a)", "a in b", "a in (b", "=x", "a>b", "a,", "!", "a!", "-x=1"]
)
def test_label_selectors_that_are_none(api: Api, seven: str, selector: str) -> None:
    message = api.get(seven, labelSelector=selector).fails(400, "BadRequest")
    assert (
        message.startswith("unable to parse requirement: ")
        or "couldn't parse the selector string" in message
        or "found" in message
    )


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=m1", ["m1"]), ("metadata.name==m1", ["m1"]),
        ("metadata.name!=m1,metadata.name!=m2", ["m0", "m3", "m4", "m5", "m6"]),
        ("type=example.org/x,metadata.name=m2", ["m2"]), ("type=Opaque", []), ("metadata.namespace=nowhere", []),
    ],
)  # fmt: skip
def test_field_selectors(api: Api, seven: str, selector: str, expected: list[str]) -> None:
    assert api.get(seven, fieldSelector=selector).names == expected


def test_fields_that_cannot_be_selected(api: Api, seven: str) -> None:
    message = api.get(seven, fieldSelector="spec.color=red").fails(400, "BadRequest")
    assert message == "field label not supported: spec.color"
    assert api.get(seven, fieldSelector="metadata.name").fails(400, "BadRequest")


def test_field_selectors_that_a_definition_allows(api: Api, ns: str, widgets: Path) -> None:
    for name, color in (("a", "red"), ("b", "green")):
        api.post(widgets(ns), widgets.new(name, spec={"size": 1, "color": color})).ok()
    assert api.get(widgets(ns), fieldSelector="spec.color=green").names == ["b"]
    assert api.get(widgets(ns), fieldSelector="metadata.name=a").names == ["a"]
    assert api.get(widgets(ns), fieldSelector="spec.size=1").fails(400, "BadRequest")


@pytest.mark.parametrize(
    ("path", "selector"),
    [
        ("pods", "spec.nodeName=x"), ("pods", "status.phase=Running"), ("pods", "status.podIP=1.2.3.4"),
        ("pods", "spec.restartPolicy=Always"), ("pods", "spec.serviceAccountName=x"), ("pods", "spec.schedulerName=x"),
        ("events", "involvedObject.kind=Pod,reason=x,type=Normal"), ("events", "involvedObject.uid=1,source=x"),
        ("services", "spec.type=ClusterIP"), ("services", "spec.clusterIP=None"),
    ],
)  # fmt: skip
def test_field_selectors_of_built_in_kinds(api: Api, ns: str, path: str, selector: str) -> None:
    assert api.get(f"/api/v1/namespaces/{ns}/{path}", fieldSelector=selector).names == []


def test_a_list_at_one_version(api: Api, seven: str) -> None:
    version = api.get(seven).version
    api.post(seven, {"metadata": {"name": "z"}, "type": "example.org/x"}).ok()
    then = api.get(seven, resourceVersion=version, resourceVersionMatch="Exact")
    assert len(then.names) == 7
    assert then.version == version
    assert len(api.get(seven, resourceVersion=version, resourceVersionMatch="NotOlderThan").names) == 8
    assert len(api.get(seven, resourceVersion=version).names) == 8
    assert len(api.get(seven).names) == 8


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersion": "1", "resourceVersionMatch": "Sometimes"}, 422),
        ({"resourceVersion": "0", "resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersion": "abc"}, 400),
        ({"limit": "many"}, 400),
    ],
)
def test_wrong_list_parameters(api: Api, seven: str, query: dict[str, str], status: int) -> None:
    assert api.get(seven, **query).status == status


def test_a_version_that_is_still_to_come(api: Api, seven: str) -> None:
    reply = api.get(seven, resourceVersion=str(int(api.get(seven).version) + 10**9))
    message = reply.fails(504, "Timeout")
    assert message.startswith("Timeout: Too large resource version: ")
    assert reply.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


def test_metadata_only(api: Api, seven: str) -> None:
    found = api.get(seven, accept=PARTIAL_LIST).ok()
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert set(found["items"][0]) == {"kind", "apiVersion", "metadata"}


def test_across_namespaces(api: Api, new_namespace) -> None:  # type: ignore[no-untyped-def]
    first, second = sorted((new_namespace(), new_namespace()))
    for namespace in (second, first):
        api.post(f"/api/v1/namespaces/{namespace}/configmaps", config_map("x", labels={"run": first})).ok()
    found = api.get("/api/v1/configmaps", labelSelector=f"run={first}").ok()
    assert [item["metadata"]["namespace"] for item in found["items"]] == [first, second]


def test_deleting_a_selection(api: Api, seven: str) -> None:
    assert api.delete(seven, labelSelector="half=1").status == 200
    assert api.get(seven).names == ["m0", "m2", "m4", "m6"]
    api.delete(seven, fieldSelector="metadata.name=m0")
    api.delete(seven, {"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]})
    assert api.get(seven).names == ["m2", "m4", "m6"]
    assert api.delete(seven).status == 200
    assert api.get(seven).names == []
