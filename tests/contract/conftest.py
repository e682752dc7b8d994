from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .local import kubeconfig_of_a_cluster
from .objects import CRDS, Path, config_map, definition, secret
from .rest import Api, Object

_RUN = f"{int(time.time()) % 1_000_000:x}{os.getpid() % 4096:x}"
_COUNT = itertools.count()


def unique(prefix: str) -> str:
    """A name that no other test of this or another run has."""
    return f"{prefix}-{_RUN}-{next(_COUNT)}"


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    with kubeconfig_of_a_cluster() as text:
        yield text


@pytest.fixture(scope="session")
def api(kubeconfig: str) -> Iterator[Api]:
    """The administrator."""
    api = Api(kubeconfig)
    yield api
    api.close()


@pytest.fixture
def new_namespace(api: Api) -> Iterator[Callable[..., str]]:
    made: list[str] = []

    def make(**metadata: Any) -> str:
        name = unique("contract")
        api.post("/api/v1/namespaces", {"metadata": {"name": name, **metadata}}).ok()
        made.append(name)
        return name

    yield make
    for name in made:
        api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def ns(new_namespace: Callable[..., str]) -> str:
    """A namespace of the test's own."""
    return new_namespace()


@pytest.fixture
def maps(ns: str) -> str:
    """The path of the ConfigMaps of the test's namespace."""
    return f"/api/v1/namespaces/{ns}/configmaps"


@pytest.fixture
def secrets(ns: str) -> str:
    """The path of the Secrets of the test's namespace: there are none but the test's."""
    return f"/api/v1/namespaces/{ns}/secrets"


@pytest.fixture(scope="session")
def controllers(api: Api) -> None:
    """Asked for by tests of what kube-controller-manager does: garbage collection, namespaces that end."""
    name = unique("contract")
    api.post("/api/v1/namespaces", {"metadata": {"name": name}}).ok()
    accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
    with api.watch(accounts, resourceVersion="0", timeoutSeconds=10) as stream:
        event = stream.next()
    api.delete(f"/api/v1/namespaces/{name}")
    if event is None:
        pytest.skip("nothing does kube-controller-manager's work in this cluster")


@pytest.fixture(scope="module")
def crd_owner(api: Api) -> Iterator[Callable[[Object], Object]]:
    """Creates definitions, waits until they are served, and removes them after the module."""
    made: list[str] = []

    def create(crd: Object) -> Object:
        made.append(crd["metadata"]["name"])
        api.post(CRDS, crd).ok()
        return established(api, crd["metadata"]["name"])

    yield create
    for name in made:
        api.delete(f"{CRDS}/{name}")


def established(api: Api, name: str) -> Object:
    """The definition once it is served."""

    def ready(found: Object | None) -> bool:
        conditions = (found or {}).get("status", {}).get("conditions") or ()
        return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)

    found = api.until(CRDS, name, ready)
    assert found is not None
    group, version = found["spec"]["group"], found["spec"]["versions"][0]["name"]
    served_soon(api, f"/apis/{group}/{version}/{found['spec']['names']['plural']}")
    return found


def served_soon(api: Api, path: str) -> None:
    """An API server may answer 404 for a moment after it has called a definition established."""
    for _ in range(100):
        if api.get(path, limit=1).status == 200:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} is not served")


@pytest.fixture(scope="module")
def widgets(crd_owner: Callable[[Object], Object]) -> Path:
    """A custom resource for this module: `widgets(ns, name)` is a path."""
    group = f"{unique('m')}.example.org"
    crd_owner(definition(group))
    return Path(group)


@pytest.fixture
def a_map(api: Api, maps: str) -> Object:
    return api.post(maps, config_map("a", {"k": "1"})).ok()


@pytest.fixture
def a_secret(api: Api, secrets: str) -> Object:
    return api.post(secrets, secret("a", {"k": "1"})).ok()
