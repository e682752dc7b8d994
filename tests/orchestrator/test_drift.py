"""What counts as drift: what a real API server makes of our objects must not be applied again for ever."""

from __future__ import annotations

import copy

import pytest

from continuo.orchestrator import naming
from continuo.orchestrator.act import Attempts
from continuo.orchestrator.drift import accepted, drift
from continuo.orchestrator.memo import Memory
from continuo.resources import kinds
from continuo.resources.meta import Object


def deployment(**container: object) -> Object:
    spec = {"replicas": 0, "template": {"spec": {"containers": [{"name": "web", **container}]}}}
    return naming.sealed(kinds.DEPLOYMENT.new("web", "shop", spec=spec))


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ({"resources": {"requests": {"cpu": "0.5"}}}, {"resources": {"requests": {"cpu": "500m"}}}),
        ({"resources": {"limits": {"cpu": 1}}}, {"resources": {"limits": {"cpu": "1"}}}),
        ({"resources": {"requests": {"memory": "1024Mi"}}}, {"resources": {"requests": {"memory": "1Gi"}}}),
        ({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}),
        ({"args": []}, {}),
    ],
)
def test_another_spelling_of_the_same_is_no_drift(declared: Object, kept: Object) -> None:
    wanted, live = deployment(**declared), deployment(**declared)
    live["spec"]["template"]["spec"]["containers"] = [{"name": "web", **kept, "imagePullPolicy": "Always"}]
    assert drift(wanted, live) == ()


@pytest.mark.parametrize(
    ("declared", "kept", "path"),
    [
        ({"resources": {"requests": {"cpu": "0.5"}}}, {"resources": {"requests": {"cpu": "501m"}}}, "requests.cpu"),
        ({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A", "value": "x"}]}, "env[A].value"),
        ({"image": "1.0"}, {"image": "1"}, "image"),  # no quantity
        ({"args": ["a"]}, {}, "args"),
    ],
)
def test_another_value_is_drift(declared: Object, kept: Object, path: str) -> None:
    wanted, live = deployment(**declared), deployment(**declared)
    live["spec"]["template"]["spec"]["containers"] = [{"name": "web", **kept}]
    (found,) = drift(wanted, live)
    assert found.endswith(path)


def test_a_removed_zero_is_drift() -> None:
    wanted, live = deployment(), deployment()
    del live["spec"]["replicas"]
    assert drift(wanted, live) == (".spec.replicas",)


def proxy() -> Object:
    options = {"timeout": "10m", "wait": True, "install": {"createNamespace": True}}
    spec = {"chartName": "c", "options": options, "list": [{"a": 1}, {"a": 2}]}
    return naming.sealed(kinds.HELM_CHART_PROXY.new("p", "default", spec=spec))


def webhooks_version(desired: Object, version: str) -> Object:
    """A webhook that spells durations its own way and drops a field."""
    live = copy.deepcopy(desired)
    live["metadata"]["resourceVersion"] = version
    live["spec"]["options"].update(timeout="10m0s", extra=1)
    del live["spec"]["options"]["wait"]
    return live


def test_what_a_webhook_makes_of_our_declaration_is_applied_only_once() -> None:
    memory, desired = Memory(Attempts()), proxy()
    answer = webhooks_version(desired, "1")
    assert memory.compare(desired, answer) != ()
    memory.took(desired, answer)
    assert memory.compare(desired, answer) == ()
    again = proxy()  # rendered anew: the same declaration
    assert memory.compare(again, webhooks_version(desired, "2")) == ()


def test_an_edit_after_the_webhook_is_drift_all_the_same() -> None:
    memory, desired = Memory(Attempts()), proxy()
    memory.took(desired, webhooks_version(desired, "1"))
    edited = webhooks_version(desired, "2")
    edited["spec"]["options"]["timeout"] = "1s"
    assert memory.compare(desired, edited) == (".spec.options.timeout",)
    assert memory.compare(desired, None) == ("missing",)


def test_a_new_declaration_is_compared_as_it_is() -> None:
    memory, desired = Memory(Attempts()), proxy()
    memory.took(desired, webhooks_version(desired, "1"))
    other = proxy()
    other["spec"]["options"]["timeout"] = "5m"
    other["metadata"].pop("annotations")
    assert memory.compare(naming.sealed(other), webhooks_version(desired, "2")) == ("declaration",)


def test_what_was_accepted_holds_only_declared_fields() -> None:
    desired = proxy()
    found = accepted(desired, webhooks_version(desired, "1"))
    assert found["spec"]["options"] == {"timeout": "10m0s", "install": {"createNamespace": True}}
    assert "resourceVersion" not in found["metadata"]
