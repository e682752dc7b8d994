"""How Prometheus enters workload clusters' API servers: a job for each, and the files with what its kubeconfig says."""

from __future__ import annotations

from typing import Any

import click

from continuo.cli.failures import Failed
from continuo.cli.monitoring_files import SECRETS
from continuo.resources.errors import ApiError
from continuo.resources.meta import Object, key_of
from continuo.telemetry.proxied import Through, through


async def proxied(cluster: Any, orchestrations: list[Object], service: str) -> tuple[list[Object], dict[str, str]]:
    """The jobs, and files by name. A cluster that cannot be entered (yet) is named and left out."""
    jobs: list[Object] = []
    files: dict[str, str] = {}
    for obj in orchestrations:
        for spec, status in _clusters(obj):
            packages = {each["name"]: each.get("phase") for each in status.get("packages") or ()}
            if packages.get("prometheus") != "Ready":
                continue
            try:
                place, secrets = await _through(cluster, obj, spec, service)
            except (ApiError, Failed) as error:
                click.echo(f"{obj['metadata']['name']}/{spec['name']} is left out: {error}", err=True)
                continue
            jobs.append(through(place))
            files |= secrets
    return jobs, files


def _clusters(obj: Object) -> list[tuple[Object, Object]]:
    known = {each["name"]: each for each in (obj.get("status") or {}).get("clusters") or ()}
    return [(spec, known.get(spec["name"], {})) for spec in (obj.get("spec") or {}).get("clusters") or ()]


async def _through(cluster: Any, obj: Object, spec: Object, service: str) -> tuple[Through, dict[str, str]]:
    from continuo.cli.kubeconfig import read_kubeconfig
    from continuo.kube.config import access_from

    namespace, name = key_of(obj)
    access = access_from(await read_kubeconfig(cluster, namespace, f"{name}/{spec['name']}"))
    if access.tls.insecure:
        raise Failed(
            "its kubeconfig skips the check of the server's certificate, and its credentials would go to anybody"
        )
    identity = await access.credentials.current()
    folder = f"{SECRETS}{namespace}-{name}-{spec['name']}"
    token = (identity.authorization or "").removeprefix("Bearer ")
    secrets = {
        f"{folder}/{file}": text
        for file, text in (
            ("ca.crt", access.tls.ca), ("tls.crt", identity.certificate), ("tls.key", identity.key), ("token", token),
        )
        if text
    }  # fmt: skip

    def there(file: str) -> str:
        return f"{folder}/{file}" if f"{folder}/{file}" in secrets else ""

    return Through(
        f"{namespace}/{name}", spec["name"], access.server, service, there("ca.crt"), access.tls.server_name or "",
        there("tls.crt"), there("tls.key"), there("token"),
    ), secrets  # fmt: skip
