"""Our own definition on any API server: what it refuses, and many writers of one object."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator

import pytest

from continuo.kube.config import connect
from continuo.kube.port import Cluster
from continuo.resources.crd import low_level_orchestration_crd
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION as KIND
from resources.bad_orchestrations import CASES, GOOD, Case

from .conftest import established
from .objects import CRDS
from .rest import TABLE, Api, Object, Reply

COMPONENTS = 12


@pytest.fixture(scope="module")
def defined(api: Api) -> None:
    """The definition; it stays, for whoever else uses the cluster."""
    crd = low_level_orchestration_crd()
    name = crd["metadata"]["name"]
    api.apply(f"{CRDS}/{name}", crd, "contract", force="true").ok()
    established(api, name)


@pytest.fixture(scope="module")
def ours(api: Api, defined: None) -> Iterator[str]:
    """The path of the orchestrations of one namespace that has the good one."""
    from .conftest import unique

    ns = unique("contract")
    api.post("/api/v1/namespaces", {"metadata": {"name": ns}}).ok()
    path = KIND.path(ns)
    body = {**GOOD, "metadata": {"name": GOOD["metadata"]["name"]}}
    api.post(path, body, fieldValidation="Strict").ok()
    yield path
    api.delete(f"/api/v1/namespaces/{ns}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_bad_object_gets_its_sentence(api: Api, ours: str, case: Case) -> None:
    obj = copy.deepcopy(case.build())
    name = GOOD["metadata"]["name"]
    query = {"fieldValidation": "Strict", "dryRun": "All"}
    if case.old:
        obj["metadata"] = {**api.get(f"{ours}/{name}").ok()["metadata"], "name": obj["metadata"]["name"]}
        reply = api.put(f"{ours}/{name}", obj, **query)
    else:
        named = obj["metadata"].get("name")
        obj["metadata"] = {"name": "another" if named == name else named}
        reply = api.post(ours, obj, **query)
    assert reply.status in (400, 422), reply.body.decode()
    assert [fragment for fragment in case.says if fragment not in reply.message] == [], reply.message


def test_it_prints(api: Api, ours: str) -> None:
    table = api.get(ours, accept=TABLE).ok()
    names = [column["name"] for column in table["columnDefinitions"] if not column["priority"]]
    assert names[0] == "Name"
    assert "PHASE" in names and "AGE" in names


def _one_item(index: int, image: str) -> Object:
    app = {"name": f"app{index}", "owner": "o", "cluster": "c", "components": [{"name": "c", "image": image}]}
    return KIND.new("shared", spec={"apps": [app]})


async def _write_all(cluster: Cluster, ns: str, image: str) -> None:
    async def write(index: int) -> None:
        body = _one_item(index, image)
        body["metadata"]["namespace"] = ns
        await cluster.apply(body, manager=f"writer-{index}", force=False)

    await asyncio.gather(*(write(index) for index in range(COMPONENTS)))


def test_many_writers_each_own_their_item(api: Api, kubeconfig: str, defined: None, ns: str) -> None:
    async def write() -> None:
        cluster = connect(kubeconfig)
        try:
            for image in ("one", "two"):
                await _write_all(cluster, ns, image)
        finally:
            await cluster.close()

    home = {"name": "c", "provider": "existing", "kubeconfig": "c-kubeconfig"}
    api.post(KIND.path(ns), KIND.new("shared", spec={"clusters": [home]}), fieldManager="writer-0").ok()
    asyncio.run(write())
    path = f"{KIND.path(ns)}/shared"
    found = api.get(path).ok()
    assert {app["name"]: app["components"][0]["image"] for app in found["spec"]["apps"]} == {
        f"app{index}": "two" for index in range(COMPONENTS)
    }
    assert len(found["metadata"]["managedFields"]) == COMPONENTS + 1
    message = api.apply(path, _one_item(3, "three"), "stranger").fails(409, "Conflict")
    assert message == (
        'Apply failed with 1 conflict: conflict with "writer-3": .spec.apps[name="app3"].components[name="c"].image'
    )
    left = api.apply(path, KIND.new("shared", spec={}), "writer-3")
    assert left.status == 200
    assert len(left.json["spec"]["apps"]) == COMPONENTS - 1


NOT_CHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation"
)


def applied(api: Api, path: str, manager: str, **fields: object) -> Reply:
    name = path.rpartition("/")[2]
    return api.apply(
        path, {"apiVersion": KIND.api_version, "kind": KIND.kind, "metadata": {"name": name}, **fields}, manager
    )


def test_empty_specifications_are_orchestrations(api: Api, ours: str) -> None:
    for number, spec in enumerate(({}, {"clusters": []}, {"links": []}, {"clusters": [], "links": [], "apps": []})):
        assert applied(api, f"{ours}/empty-{number}", "one", spec=spec).ok()["spec"] == {"paused": False, **spec}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "spec: Required value"),
        ({"spec": None}, 'spec: Invalid value: "null": spec in body must be of type object: "null"'),
        (
            {"spec": {"clusters": None}},
            'spec.clusters: Invalid value: "null": spec.clusters in body must be of type array: "null"',
        ),
    ],
)
def test_what_is_missing_or_null_is_told(api: Api, ours: str, fields: Object, says: str) -> None:
    message = applied(api, f"{ours}/none", "one", **fields).fails(422, "Invalid")
    assert message.endswith(f"is invalid: [{says}, {NOT_CHECKED}]")


def test_the_last_owned_item_of_a_list(api: Api, ours: str) -> None:
    path, cluster = f"{ours}/shrinking", {"name": "a", "kubernetes-version": "v1.34.2"}
    applied(api, path, "one", spec={"clusters": [cluster]}).ok()
    message = applied(api, path, "one", spec={"clusters": []}).fails(422, "Invalid")
    assert "spec: Required value" in message
    assert applied(api, path, "one", spec={}).ok()["spec"] == {"paused": False}
    applied(api, path, "one", spec={"clusters": [cluster]}).ok()
    applied(api, path, "two", spec={"clusters": [{**cluster, "name": "b"}]}).ok()
    left = applied(api, path, "one", spec={"clusters": []}).ok()
    assert [entry["name"] for entry in left["spec"]["clusters"]] == ["b"]
    assert "spec: Required value" in applied(api, path, "two", spec={"clusters": []}).fails(422, "Invalid")
