"""Functions of real Crossplane without a registry and without pods: their packages and what runs them.

A package lies in core's cache, named by its digest, as after a pull. With `--package-runtime=External` core leaves it to
somebody else to run it, and to say in the revision's status where it answers and with which certificate: that is here.
"""

from __future__ import annotations

import base64
import datetime
import gzip
import hashlib
import re
from pathlib import Path

import yaml

from continuo.kube.client import KubeCluster
from continuo.resources import kinds
from continuo.resources.errors import Conflict
from continuo.resources.meta import Kind, Object, is_true, labels_of
from continuo.testbed.definitions import MANAGER
from continuo.testbed.waiting import until

FUNCTION = Kind("pkg.crossplane.io", "v1", "Function", "functions", namespaced=False)
FUNCTION_REVISION = Kind("pkg.crossplane.io", "v1", "FunctionRevision", "functionrevisions", namespaced=False)
READY_SECONDS = 120.0
_PACKAGE = "pkg.crossplane.io/package"
_REGISTRY = "packages.continuo.dev"
"""Nobody is asked there: a digest in the cache needs no registry."""


def put_package(cache: Path, meta: Object) -> str:
    """Put a package that has only metadata into core's cache; what it is called."""
    text = yaml.safe_dump(meta).encode()
    source, digest = f"{_REGISTRY}/{meta['metadata']['name']}", f"sha256:{hashlib.sha256(text).hexdigest()}"
    # Core's own name of a file: the source and the digest, cut to 50 and 12 characters, as a DNS label.
    label = re.sub(r"[^a-z0-9-]", "", re.sub(r"[./:]", "-", f"{source[:50]}-{digest[:12]}")).strip("-")
    cache.mkdir(parents=True, exist_ok=True)
    (cache / f"{label}.gz").write_bytes(gzip.compress(text, mtime=0))
    return f"{source}@{digest}"


async def install_function(
    client: KubeCluster, package: str, name: str, address: str, certificates: Path, namespace: str
) -> None:
    """Install a package of the cache, and be its runtime: it answers at host:port with the folder's certificates."""
    secret = kinds.SECRET.new(f"{name}-tls-server", namespace, type="Opaque", data=_encoded(certificates))
    await client.apply(secret, manager=MANAGER)
    wanted = {"package": package, "packagePullPolicy": "Never", "skipDependencyResolution": True}
    await client.apply(FUNCTION.new(name, spec=wanted), manager=MANAGER)
    runs = {"endpoint": address, "tlsServerSecretName": secret["metadata"]["name"]}

    async def missing() -> str | None:
        for revision in (await client.list(FUNCTION_REVISION)).items:
            if labels_of(revision).get(_PACKAGE) == name:
                await _say_running(client, revision, runs)
                healthy = is_true(await client.get(FUNCTION, name), "Healthy")
                return None if healthy else "Crossplane has not said that it is healthy"
        return "it has no revision"

    await until(missing, f"function {name}", READY_SECONDS)


def _encoded(folder: Path) -> dict[str, str]:
    return {file.name: base64.b64encode(file.read_bytes()).decode() for file in sorted(folder.iterdir())}


async def _say_running(client: KubeCluster, revision: Object, runs: Object) -> None:
    status = revision.get("status") or {}
    if all(status.get(field) == value for field, value in runs.items()) and is_true(revision, "RuntimeHealthy"):
        return
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    healthy = {
        "type": "RuntimeHealthy", "status": "True", "reason": "HealthyPackageRevision", "lastTransitionTime": now,
    }  # fmt: skip
    others = [entry for entry in status.get("conditions") or () if entry["type"] != healthy["type"]]
    try:
        await client.replace(
            {**revision, "status": {**status, **runs, "conditions": [*others, healthy]}}, subresource="status"
        )
    except Conflict:
        return  # core wrote meanwhile; it is looked at again
