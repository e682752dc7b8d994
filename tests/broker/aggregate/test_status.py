"""What is said about an aggregate, and what has been said already."""

from __future__ import annotations

from continuo.broker.aggregate.status import said_already, status_of
from continuo.embedded.machinery.defaulting import apply_defaults
from continuo.resources.broker import AGGREGATE
from continuo.resources.crds import own_crds
from continuo.resources.meta import Object

NOW = "2026-03-01T10:00:00Z"
POOL: Object = AGGREGATE.new("pool", metadata={"generation": 1}, spec={})


def stored(status: Object) -> Object:
    """The aggregate with that status, as an API server gives it back."""
    (crd,) = [crd for crd in own_crds() if crd["spec"]["names"]["plural"] == AGGREGATE.plural]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return {**POOL, "status": apply_defaults(schema, status)}


def test_defaults_that_the_api_server_filled_in_are_no_reason_to_write() -> None:
    said = status_of(POOL, None, None, NOW)
    there = stored(said)
    assert there["status"] != said, "there are some"
    assert said_already(status_of(there, None, None, "2026-03-01T11:00:00Z"), there)


def test_what_differs_is_said() -> None:
    assert not said_already(status_of(POOL, None, None, NOW), POOL)
    there = stored(status_of(POOL, None, None, NOW))
    assert not said_already(status_of(there, None, ("NoQuota", "there is none"), NOW), there)
    assert not said_already(status_of(there, None, None, NOW), {**there, "status": {"providers": "many"}})
