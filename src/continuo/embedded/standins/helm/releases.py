"""Helm itself: installs, upgrades and removes releases in one cluster.

What is installed is remembered where Helm remembers it: in a Secret `sh.helm.release.v1.<name>.v<revision>` of the
workload cluster. So a restart finds it, and whether anything is to do is a comparison.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from random import Random
from typing import Any

from continuo.embedded.port import Api, Write
from continuo.embedded.standins import liqo
from continuo.embedded.standins.base import lookup
from continuo.embedded.standins.helm.charts import LIQO, ChartError, Release, find, objects, value
from continuo.embedded.standins.kinds import DAEMON_SET, STATEFUL_SET
from continuo.embedded.standins.management import install_crds
from continuo.embedded.standins.objects import short_hash
from continuo.resources.crds import workload_crds
from continuo.resources.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    GATEWAY_CLASS,
    INGRESS_CLASS,
    NAMESPACE,
    SECRET,
    SERVICE,
)
from continuo.resources.meta import Kind, Object

_WRITE = Write(manager="helm", force=True)
_KINDS = {
    kind.kind: kind
    for kind in (
        CONFIG_MAP,
        DAEMON_SET,
        DEPLOYMENT,
        GATEWAY_CLASS,
        INGRESS_CLASS,
        SECRET,
        SERVICE,
        STATEFUL_SET,
    )
}


def fingerprint(release: Release) -> str:
    """Changes when the release has to be upgraded."""
    return short_hash([release.chart, release.repo, release.version, dict(release.values)])


def _records(api: Api, name: str, namespace: str) -> list[Object]:
    if api.find(NAMESPACE, namespace) is None:
        return []
    return api.list(SECRET, namespace, {"owner": "helm", "name": name})


def installed(api: Api, name: str, namespace: str) -> tuple[int, str]:
    """(revision, fingerprint) of the newest record; revision 0 when nothing is installed."""
    newest = max(_records(api, name, namespace), key=_revision, default=None)
    if newest is None:
        return 0, ""
    return _revision(newest), newest["metadata"]["labels"].get("continuo.dev/fingerprint", "")


def _revision(record: Object) -> int:
    return int(record["metadata"]["labels"]["version"])


def install(api: Api, release: Release, rng: Random) -> int:
    """Install or upgrade; the new revision. Running it twice is one more revision of the same objects."""
    chart = find(release)
    if api.find(NAMESPACE, release.namespace) is None:
        api.create(NAMESPACE.new(release.namespace), Write(manager="helm"))
    groups = chart.crd_groups
    wanted = [entry for entry in workload_crds() if groups and entry["spec"]["group"].endswith(groups)]
    install_crds(api, wanted)
    if release.chart == LIQO:
        _install_liqo(api, release, rng)
    made = objects(release)
    for obj in made:
        metadata = obj["metadata"]
        api.patch(_KINDS[obj["kind"]], metadata["name"], metadata.get("namespace", ""), "apply", obj, _WRITE)
    references = [[obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]] for obj in made]
    for kind, namespace, name in _objects_of(api, release.name, release.namespace):
        if [kind, namespace, name] not in references:
            _drop(api, _KINDS[kind], name, namespace)
    return _record(api, release, references)


def _install_liqo(api: Api, release: Release, rng: Random) -> None:
    cluster = value(release.values, "discovery.config.clusterID") or ""
    if not cluster:
        raise ChartError("execution error at (liqo/templates): discovery.config.clusterID is required")
    cidrs: Any = value(release.values, "ipam.podCIDRs") or [value(release.values, "ipam.podCIDR") or "10.244.0.0/16"]
    service = value(release.values, "ipam.serviceCIDR") or "10.96.0.0/12"
    liqo.install(api, cluster, cidrs[0], service, rng=rng)


def _record(api: Api, release: Release, references: Sequence[Sequence[str]]) -> int:
    revision = installed(api, release.name, release.namespace)[0] + 1
    for old in sorted(_records(api, release.name, release.namespace), key=_revision)[:-9]:
        _drop(api, SECRET, old["metadata"]["name"], release.namespace)
    content = {
        "name": release.name,
        "version": revision,
        "chart": f"{release.chart}-{release.version}",
        "objects": references,
    }
    labels = {
        "owner": "helm", "name": release.name, "status": "deployed", "version": str(revision),
        "continuo.dev/fingerprint": fingerprint(release), "continuo.dev/chart": release.chart,
    }  # fmt: skip
    data = {"release": base64.b64encode(json.dumps(content).encode()).decode()}
    name = f"sh.helm.release.v1.{release.name}.v{revision}"
    api.create(
        SECRET.new(name, release.namespace, metadata={"labels": labels}, type="helm.sh/release.v1", data=data),
        Write(manager="helm"),
    )
    return revision


def _objects_of(api: Api, name: str, namespace: str) -> list[tuple[str, str, str]]:
    newest = max(_records(api, name, namespace), key=_revision, default=None)
    if newest is None:
        return []
    content = json.loads(base64.b64decode(newest["data"]["release"]))
    return [(kind, where, named) for kind, where, named in content["objects"]]


def uninstall(api: Api, name: str, namespace: str) -> None:
    """Remove the release's objects and records; CRDs stay, as Helm leaves them."""
    records = _records(api, name, namespace)
    if any(entry["metadata"]["labels"].get("continuo.dev/chart") == LIQO for entry in records):
        liqo.uninstall(api)
    for kind, where, named in _objects_of(api, name, namespace):
        _drop(api, _KINDS[kind], named, where)
    for record in records:
        _drop(api, SECRET, record["metadata"]["name"], namespace)


def _drop(api: Api, kind: Kind, name: str, namespace: str) -> None:
    if lookup(api, kind, name, namespace) is not None:
        api.delete(kind, name, namespace)


def waiting_for(api: Api, release: Release) -> str:
    """What of the release is not running yet; empty when all of it is."""
    parts = [(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]) for obj in objects(release)]
    if release.chart == LIQO:
        parts = [
            (DEPLOYMENT.kind, release.namespace, entry["metadata"]["name"])
            for entry in api.list(DEPLOYMENT, release.namespace)
        ]
    for kind, namespace, name in parts:
        found = lookup(api, _KINDS[kind], name, namespace)
        if found is None:
            return f"{kind} {namespace}/{name} is missing"
        problem = _not_running(kind, found)
        if problem:
            return f"{kind} {namespace}/{name} is not ready: {problem}"
    return ""


def _not_running(kind: str, found: Object) -> str:
    status, spec = found.get("status") or {}, found.get("spec") or {}
    if kind in (DEPLOYMENT.kind, STATEFUL_SET.kind):
        have, want = status.get("readyReplicas", 0), spec.get("replicas", 1)
    elif kind == DAEMON_SET.kind:
        have, want = status.get("numberReady", 0), status.get("desiredNumberScheduled", 1)
    else:
        return ""
    if status.get("observedGeneration", 0) < found["metadata"].get("generation", 0):
        return "its controller has not seen the newest version"
    return f"{have} of {want} pods are ready" if have < want else ""
