"""Declarations that scenarios are made of, in the words of the file format."""

from __future__ import annotations

from typing import Any

from continuo.resources.meta import Object

PEER = [{"containerPort": 80, "clusterPort": 80}]


def _fields(more: dict[str, Any]) -> Object:
    return {key.replace("_", "-"): value for key, value in more.items()}


def cluster(name: str, **more: Any) -> Object:
    """A small created cluster; no packages unless named."""
    return {"name": name, "kubernetes-version": "v1.34.2", "packages": [], "worker-machine-count": 1, **_fields(more)}


def adopted(name: str, secret: str) -> Object:
    """An existing cluster; without a load balancer, as its `packages` say."""
    return {"name": name, "provider": "existing", "kubeconfig": secret, "packages": ["liqo"]}


def component(name: str, selector: str | None = None, **more: Any) -> Object:
    placed = {"cluster-selector": selector} if selector else {}
    return {"name": name, "image": f"registry.example.org/{name}:1", **placed, **_fields(more)}


def app(name: str, home: str, *components: Object) -> Object:
    return {"name": name, "owner": "ann", "cluster": home, "components": list(components)}


def item(obj: Object | None, kind: str, name: str) -> Object:
    """The status entry of one cluster, application or (`app/name`) component; empty when there is none."""
    status = (obj or {}).get("status") or {}
    if kind == "component":
        owner, _, own = name.partition("/")
        entries = item(obj, "apps", owner).get("components") or ()
        return next((entry for entry in entries if entry["name"] == own), {})
    if kind == "links":
        return next((entry for entry in status.get("links") or () if "/".join(sorted(entry["clusters"])) == name), {})
    return next((entry for entry in status.get(kind) or () if entry["name"] == name), {})
