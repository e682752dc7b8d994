"""What the demo declares: two clusters, two applications, three loops with windows of seconds instead of minutes."""

from __future__ import annotations

from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

NAME, NAMESPACE = "loop", "default"
WEB, DATABASE, DESK = "shop/web", "shop/db", "desk/ui"
WEST, EAST = "west", "east"
LITTLE, MORE, MUCH = "200m", "800m", "2500m"
"""What the pods of `shop/web` have to do together; one of them is content with 280m."""


def _cluster(name: str, flavor: str) -> Object:
    return {
        "name": name, "kubernetes-version": "v1.34.2", "packages": ["liqo"], "worker-machine-count": 1,
        "worker-machine-flavor": flavor,
    }  # fmt: skip


def _component(name: str, cpu: str, **more: object) -> Object:
    return {
        "name": name, "image": f"registry.example.org/{name}:1", "resources": {"requests": {"cpu": cpu}},
        "expose": [{"containerPort": 80, "clusterPort": 80}], **more,
    }  # fmt: skip


def _policies() -> list[Object]:
    return [
        {"name": "web-pods", "every": 1, "cool-down": 0, "scale-component": {
            "component": WEB, "metric": {"resource": "cpu", "target": 0.7}, "max": 9, "step": 8, "down-after": 3}},
        {"name": "more-room", "cool-down": 0, "provision-cluster": {
            "template": _cluster("burst", "m1.large"), "capacity": {"cpu": "7"}, "remove-after": 2, "consolidate": True}},
        {"name": "away-and-home", "cool-down": 0, "failover": {"after": 2, "return-after": 2}},
    ]  # fmt: skip


def declaration() -> Object:
    """The orchestration."""
    shop = {"name": "shop", "owner": "ann", "cluster": WEST, "components": [
        _component("web", "400m", placement={}), _component("db", "300m", **{"cluster-selector": EAST})]}  # fmt: skip
    desk = {"name": "desk", "owner": "ann", "cluster": EAST, "components": [_component("ui", "100m")]}
    clusters = [_cluster(WEST, "m1.small"), _cluster(EAST, "m1.small")]
    spec = {"clusters": clusters, "apps": [shop, desk], "policies": _policies()}
    return LOW_LEVEL_ORCHESTRATION.new(NAME, NAMESPACE, spec=spec)
