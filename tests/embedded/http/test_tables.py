from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from http_client import SECRETS, TABLE, WIDGETS, Client, Clock, secret, widget

from continuo.embedded.http.ages import age, human_duration
from continuo.embedded.http.columns import AGE, NAME, custom_columns
from continuo.embedded.http.columns_cluster import CLUSTER
from continuo.embedded.http.columns_workloads import WORKLOADS, pod_status, selector_text
from continuo.embedded.http.jsonpath import compile_path, find
from continuo.embedded.port import ResourceType
from continuo.resources.errors import BadRequest
from continuo.resources.meta import Kind, Object

NOW = 1_700_000_000.0


@pytest.mark.anyio
async def test_custom_columns_with_ages_and_wide_ones(widgets: Client, clock: Clock) -> None:
    await widgets.post(WIDGETS, widget("a", replicas=2))
    await widgets.patch(f"{WIDGETS}/a/status", {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    await widgets.post(WIDGETS, widget("b"))
    clock.now += 90
    assert await widgets.table(WIDGETS) == (
        ["Name", "Replicas", "Ready", "Note", "Age"],
        [["a", 2, "True", "none", "90s"], ["b", None, None, "none", "90s"]],
    )
    definitions = (await widgets.get(WIDGETS, accept=TABLE)).json["columnDefinitions"]
    assert [column["priority"] for column in definitions] == [0, 0, 0, 1, 0]
    assert definitions[0]["format"] == "name"


@pytest.mark.anyio
async def test_rows_hold_what_include_object_says(admin: Client) -> None:
    await admin.post(SECRETS, secret("a", x="1"))
    for include, expected in (("Metadata", "PartialObjectMetadata"), ("Object", "Secret"), ("None", None)):
        found = (await admin.get(f"{SECRETS}/a?includeObject={include}", accept=TABLE)).json
        assert found["rows"][0].get("object", {}).get("kind") == expected
    assert (await admin.get(f"{SECRETS}?includeObject=Some", accept=TABLE)).status == 400
    v1beta1 = (await admin.get(SECRETS, accept=TABLE.replace("v=v1", "v=v1beta1"))).json
    assert v1beta1["apiVersion"] == "meta.k8s.io/v1beta1"


@pytest.mark.anyio
async def test_tables_are_paged_like_lists(admin: Client) -> None:
    for index in range(3):
        await admin.post(SECRETS, secret(f"m{index}"))
    found = (await admin.get(f"{SECRETS}?limit=2", accept=TABLE)).json
    assert len(found["rows"]) == 2
    assert found["metadata"]["continue"]
    assert found["metadata"]["remainingItemCount"] == 1


# --- built-ins --------------------------------------------------------------------------------------------------------
def _row(group: str, plural: str, obj: dict) -> dict[str, object]:
    columns = WORKLOADS.get((group, plural)) or CLUSTER[group, plural]
    named = {"metadata": {"name": "a", "creationTimestamp": "2023-11-14T22:03:20Z"}, **obj}
    return {column.name: column.cell(named, NOW) for column in columns}


def test_pod_columns() -> None:
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2023-11-14T22:10:20Z"}}
    status = {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "containerStatuses": [
            {"name": "a", "ready": True, "restartCount": 2, "state": {"running": {}}, "lastState": ended},
            {"name": "b", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}},
        ],
    }
    row = _row("", "pods", {"spec": {"nodeName": "n1", "containers": [{}, {}]}, "status": status})
    assert row == {
        "Name": "a", "Ready": "1/2", "Status": "ImagePullBackOff", "Restarts": "2 (3m ago)", "Age": "10m",
        "IP": "10.0.0.7", "Node": "n1", "Nominated Node": "<none>", "Readiness Gates": "<none>",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pod", "shown"),
    [
        ({"status": {"phase": "Pending"}}, "Pending"),
        ({"status": {}}, "Unknown"),
        ({"status": {"phase": "Failed", "reason": "Evicted"}}, "Evicted"),
        ({"metadata": {"deletionTimestamp": "x"}, "status": {"phase": "Running"}}, "Terminating"),
        (
            {"status": {"phase": "Running", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}},
            "ExitCode:3",
        ),
        ({"status": {"phase": "Running", "containerStatuses": [{"state": {"terminated": {"signal": 9}}}]}}, "Signal:9"),
        (
            {
                "spec": {"initContainers": [{}, {}]},
                "status": {"phase": "Pending", "initContainerStatuses": [{"state": {"running": {}}}]},
            },
            "Init:0/2",
        ),
    ],
)
def test_pod_status_is_the_most_telling_word(pod: dict, shown: str) -> None:
    assert pod_status({"metadata": {}, **pod}) == shown


@pytest.mark.parametrize(
    ("group", "plural", "obj", "expected"),
    [
        (
            "apps", "deployments",
            {
                "spec": {
                    "replicas": 3, "selector": {"matchLabels": {"b": "2", "a": "1"}},
                    "template": {"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}},
                },
                "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1},
            },
            {
                "Ready": "1/3", "Up-to-date": 2, "Available": 1, "Containers": "c,d", "Images": "i,j",
                "Selector": "a=1,b=2",
            },
        ),
        ("apps", "statefulsets", {"spec": {}}, {"Ready": "0/1"}),
        (
            "batch", "jobs", {"spec": {"completions": 2}, "status": {"succeeded": 1}},
            {"Status": "Running", "Completions": "1/2"},
        ),
        (
            "batch", "jobs",
            {
                "spec": {"completions": 1},
                "status": {
                    "succeeded": 1, "startTime": "2023-11-14T22:03:20Z", "completionTime": "2023-11-14T22:04:00Z",
                    "conditions": [{"type": "Complete", "status": "True"}],
                },
            },
            {"Status": "Complete", "Duration": "40s"},
        ),
        (
            "", "services",
            {"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30080}]}},
            {"External-IP": "<pending>", "Port(s)": "80:30080/TCP"},
        ),
        (
            "", "services",
            {"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}},
            {"External-IP": "1.2.3.4", "Cluster-IP": "<none>"},
        ),
        ("", "services", {"spec": {"type": "ExternalName", "externalName": "x.org"}}, {"External-IP": "x.org"}),
        (
            "", "nodes",
            {
                "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/control-plane": ""}},
                "spec": {"unschedulable": True},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "addresses": [{"type": "InternalIP", "address": "10.0.0.2"}],
                    "nodeInfo": {"kubeletVersion": "v1.34.0"},
                },
            },
            {
                "Status": "Ready,SchedulingDisabled", "Roles": "control-plane", "Version": "v1.34.0",
                "Internal-IP": "10.0.0.2", "External-IP": "<none>", "OS-Image": "<unknown>", "Age": "<unknown>",
            },
        ),
        (
            "", "events",
            {
                "involvedObject": {"kind": "Pod", "name": "p"}, "reason": "Started", "type": "Normal", "count": 3,
                "message": " text\n", "lastTimestamp": "2023-11-14T22:13:10Z",
                "source": {"component": "kubelet", "host": "n"},
            },
            {"Last Seen": "10s", "Object": "pod/p", "Message": "text", "Source": "kubelet, n", "Count": 3},
        ),
        (
            "discovery.k8s.io", "endpointslices",
            {"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": [f"10.0.0.{i}"]} for i in range(5)]},
            {"Ports": "80", "Endpoints": "10.0.0.0,10.0.0.1,10.0.0.2 + 2 more..."},
        ),
        (
            "networking.k8s.io", "ingresses",
            {"spec": {"tls": [{}], "rules": [{"host": "a.org"}, {}]}},
            {"Class": "<none>", "Hosts": "a.org", "Ports": "80, 443", "Address": ""},
        ),
        (
            "rbac.authorization.k8s.io", "rolebindings",
            {
                "roleRef": {"kind": "Role", "name": "r"},
                "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}],
            },
            {"Role": "Role/r", "Users": "u", "ServiceAccounts": "n/s", "Groups": ""},
        ),
        ("", "secrets", {"type": "Opaque", "data": {"a": "", "b": ""}}, {"Data": 2}),
        (
            "", "persistentvolumeclaims", {"spec": {"accessModes": ["ReadWriteOnce"]}},
            {"Access Modes": "RWO", "VolumeMode": "Filesystem"},
        ),
    ],
)  # fmt: skip
def test_built_in_columns(group: str, plural: str, obj: dict, expected: dict) -> None:
    row = _row(group, plural, obj)
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize("key", [*WORKLOADS, *CLUSTER])
def test_every_column_copes_with_an_empty_object(key: tuple[str, str]) -> None:
    columns = WORKLOADS.get(key) or CLUSTER[key]
    assert columns[0] is NAME or columns[0].name == "Last Seen"
    for column in columns:
        column.cell({"metadata": {"name": "a"}}, NOW)
    assert AGE.cell({"metadata": {"name": "a"}}, NOW) == "<unknown>"


def test_selector_text() -> None:
    assert selector_text(None) == "<none>"
    terms = {"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "In", "values": ["x", "y"]}]}
    assert selector_text(terms) == "a=1,b in (x,y)"
    assert selector_text({"app": "web"}) == "app=web"


# --- ages and paths ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"), (-0.5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (130, "2m10s"), (599, "9m59s"),
        (601, "10m"), (10799, "179m"), (10800, "3h"), (10860, "3h1m"), (8 * 3600, "8h"), (47 * 3600, "47h"),
        (48 * 3600, "2d"), (50 * 3600, "2d2h"), (8 * 86400, "8d"), (400 * 86400, "400d"), (730 * 86400, "2y"),
        (731 * 86400, "2y1d"), (8 * 365 * 86400, "8y"),
    ],
)  # fmt: skip
def test_durations(seconds: float, shown: str) -> None:
    assert human_duration(seconds) == shown


def test_ages_of_what_is_no_time() -> None:
    assert age(None, NOW) == "<unknown>"
    assert age("yesterday", NOW) == "<invalid>"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec.a", [1]),
        ("spec.a", []),
        (".spec.list[0:1].name", ["x"]),
        (".spec.list[1:].name", ["y"]),
        (".spec.list[0,1].name", ["x", "y"]),
        (".spec.list[::2].name", ["x"]),
        (".spec.list[0:9].name", []),
        (".spec.list[?(@.on)].name", ["y"]),
        (".spec.list[?(@.name>'x')].name", ["y"]),
        (".spec.list[?(@.name>1)].name", []),
        (".spec.a[0]", []),
        ("..q", [3]),
        ("{.spec.a}", [1]),
        ("$.spec.a", [1]),
        (".spec.missing.b", []),
        (".spec.list[0].name", ["x"]),
        (".spec.list[-1].name", ["y"]),
        (".spec.list[9].name", []),
        (".spec.list[*].name", ["x", "y"]),
        (".spec.list[?(@.name=='y')].on", [True]),
        (".spec.list[?(@.on==true)].name", ["y"]),
        ('.spec.list[?(@.name!="y")].name', ["x"]),
        (r".metadata.annotations.example\.org/key", ["v"]),
        (".metadata.annotations['example.org/key']", ["v"]),
        (".spec.map.*", [2, 3]),
    ],
)
def test_json_paths(path: str, expected: list) -> None:
    obj = {
        "metadata": {"annotations": {"example.org/key": "v"}},
        "spec": {"a": 1, "list": [{"name": "x"}, {"name": "y", "on": True}], "map": {"p": 2, "q": 3}},
    }
    assert find(compile_path(path), obj) == expected


@pytest.mark.parametrize("path", [".a[", '.a["b"]', ".a[]", ".a[x]", ".a[?(@.b~1)]~"])
def test_a_wrong_json_path_is_named(path: str) -> None:
    with pytest.raises(BadRequest, match=r"not understood|is no index"):
        compile_path(path)


@pytest.mark.parametrize(
    ("value", "texts", "integers", "numbers", "booleans"),
    [
        (["a", "<b>"], '["a","\\u003cb\\u003e"]', None, None, None),
        ({"b": 1.0, "a": [None, True, 1e-7]}, '{"a":[null,true,1e-7],"b":1}', None, None, None),
        ([], "[]", None, None, None),
        ({}, "{}", None, None, None),
        (True, "true", None, None, True),
        (3, "3", 3, 3, None),
        (1.5, "1.5", 1, 1.5, None),
        (2.0, "2", 2, 2.0, None),
        (1e21, "1e+21", (1 << 63) - 1, 1e21, None),
        ("42", "42", None, None, None),
        (None, None, None, None, None),
    ],
)
def test_cells_of_custom_columns(value: Any, texts: Any, integers: Any, numbers: Any, booleans: Any) -> None:
    types = ("string", "integer", "number", "boolean")
    columns = custom_columns(with_columns({"name": kind, "type": kind, "jsonPath": ".v"} for kind in types))
    cells = [column.cell({"metadata": {"name": "x"}, "v": value}, NOW) for column in columns[1:]]
    assert cells == [texts, integers, numbers, booleans]


def test_dates_of_custom_columns() -> None:
    column = custom_columns(with_columns([{"name": "When", "type": "date", "jsonPath": ".v"}]))[1]
    assert [column.cell({"v": value}, NOW) for value in (None, 5, "yesterday")] == [None, None, "<invalid>"]


def test_columns_end_at_a_path_that_is_not_understood() -> None:
    paths = [".a", '.b["c"]', ".d"]
    columns = custom_columns(with_columns({"name": path, "type": "string", "jsonPath": path} for path in paths))
    assert [column.name for column in columns] == ["Name", ".a"]
    assert columns[1].description == "Custom resource definition column (in JSONPath format): .a"


def with_columns(columns: Iterable[Object]) -> ResourceType:
    kind = Kind("example.org", "v1", "Thing", "things", True)
    return ResourceType(kind=kind, singular="thing", list_kind="ThingList", columns=tuple(columns), builtin=False)
