"""The definitions of the kinds of boards on any API server: what each refuses, in which sentence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from continuo.resources.boards import boards_crds
from continuo.resources.meta import Kind
from resources.bad_boards import CASES, GOOD, Case

from .conftest import established, unique
from .objects import CRDS
from .rest import Api, Reply

STRICT = {"fieldValidation": "Strict"}


@pytest.fixture(scope="module")
def place(api: Api) -> Iterator[str]:
    """A namespace; the definitions stay, for whoever else uses the cluster."""
    definitions = boards_crds()
    for crd in definitions:
        api.apply(f"{CRDS}/{crd['metadata']['name']}", crd, "contract", force="true").ok()
    for crd in definitions:
        established(api, crd["metadata"]["name"])
    ns = unique("contract")
    api.post("/api/v1/namespaces", {"metadata": {"name": ns}}).ok()
    yield ns
    api.delete(f"/api/v1/namespaces/{ns}")


def created(api: Api, kind: Kind, spec: object, place: str, name: str, **query: str) -> Reply:
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
    return api.post(kind.path(place if kind.namespaced else None), obj, **STRICT, **query)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_bad_object_gets_its_sentence(api: Api, place: str, case: Case) -> None:
    if case.before is None:
        reply = created(api, case.kind, case.spec, place, "wrong", dryRun="All")
    else:
        there = created(api, case.kind, case.before, place, unique("there")).ok()
        path = case.kind.path(place, there["metadata"]["name"])
        reply = api.put(path, {**there, "spec": case.spec}, **STRICT)
        api.delete(path).ok()
    assert reply.status in (400, 422), reply.body.decode()
    assert [fragment for fragment in case.says if fragment not in reply.message] == [], reply.message


@pytest.mark.parametrize("kind", GOOD, ids=lambda kind: kind.kind)
def test_without_a_mistake_each_is_taken(api: Api, place: str, kind: Kind) -> None:
    created(api, kind, GOOD[kind], place, "good", dryRun="All").ok()
    if "forProvider" in GOOD[kind]:
        observed = {"managementPolicies": ["Observe"], "forProvider": {}}
        created(api, kind, observed, place, "seen", dryRun="All").ok()


def test_each_is_named_once_and_every_kind_has_some() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
    assert {case.kind for case in CASES} == set(GOOD)
