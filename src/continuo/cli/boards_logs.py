"""`continuo boards logs`: what a Workload wrote, asked of the endpoint with the credentials of its ProviderConfig."""

from __future__ import annotations

import base64
import codecs
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import click

from continuo.cli.connection import Target, connected, target_options
from continuo.cli.failures import BadInput, Failed, run
from continuo.resources.meta import Object


@click.command()
@click.argument("workload")
@click.option("--board", help="The Board, where the Workload is on several.")
@click.option("--tail", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many lines.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what it writes, until it ends.")
@target_options
@run
async def logs(workload: str, board: str | None, tail: int, follow: bool, target: Target) -> None:
    """Print what WORKLOAD wrote last."""
    from continuo.cli.boards_there import check_definitions, where
    from continuo.iot.provider.external import NotConnected, NotYet, Refused, Unknown
    from continuo.iot.provider.kinds.common import path
    from continuo.resources.boards import WORKLOAD

    async with connected(target) as cluster:
        await check_definitions(cluster)
        namespace = where(target, cluster)
        obj = await cluster.get(WORKLOAD, workload, namespace)
        try:
            async with _endpoint(cluster, obj, namespace) as rest:
                place, name = await _run_of(cluster, rest, obj, board, namespace)
                logs_of = path("boards", place, "workloads", name, "logs")
                if follow:
                    await _follow(rest, logs_of, tail)
                    return
                answer = await rest.get(logs_of, tail=str(tail))
        except (Refused, Unknown, NotYet, NotConnected) as error:
            raise Failed(str(error)) from error
    click.echo(answer if isinstance(answer, str) else str(answer), nl=not str(answer).endswith("\n"))


async def _follow(rest: Any, logs_of: str, tail: int) -> None:
    """Print what comes, as it comes; a letter that came in part waits for its rest."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    asked = {"tail": str(tail), "follow": "true"}
    async with rest.stream(logs_of, {}, None, media="text/plain", params=asked) as content:
        async for part in content.iter_any():
            click.echo(decoder.decode(part), nl=False)


@asynccontextmanager
async def _endpoint(cluster: Any, obj: Object, namespace: str) -> AsyncIterator[Any]:
    """The endpoint of an object's configuration, as whoever may read its Secret."""
    import aiohttp

    from continuo.iot.provider import credentials
    from continuo.iot.provider.auth import Keystone, Password
    from continuo.iot.provider.connections import config_name
    from continuo.iot.provider.rest import Rest
    from continuo.resources.boards import CLUSTER_PROVIDER_CONFIG, PROVIDER_CONFIG, ProviderConfigSpec, decode_at
    from continuo.resources.errors import NotFound
    from continuo.resources.kinds import SECRET

    async def secret(space: str, name: str) -> Mapping[str, bytes] | None:
        try:
            found = await cluster.get(SECRET, name, space)
        except NotFound:
            return None
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}

    named = config_name((obj.get("spec") or {}).get("providerConfigRef"), namespace)
    kind = PROVIDER_CONFIG if named.namespace else CLUSTER_PROVIDER_CONFIG
    spec = decode_at(await cluster.get(kind, named.name, named.namespace or None), "spec", ProviderConfigSpec)
    raw = await credentials.read(spec, named.namespace, secret, os.environ)
    tls = credentials.tls_of(spec)
    async with aiohttp.ClientSession() as http:

        def keystone(url: str, password: Password) -> Keystone:
            return Keystone(http, url, password, time.time, tls=tls)

        auth = credentials.auth_of(spec, raw, keystone)
        yield Rest(http, spec.endpoint, auth, tls=tls, timeout=float(spec.request_timeout))


async def _run_of(cluster: Any, rest: Any, obj: Object, board: str | None, namespace: str) -> tuple[str, str]:
    """(board, workload) at the endpoint."""
    from continuo.iot.provider.kinds.common import path
    from continuo.resources.boards import BOARD, EXTERNAL_NAME
    from continuo.resources.meta import annotations_of

    name = annotations_of(obj).get(EXTERNAL_NAME, "").rpartition("/")[2]
    if not name:
        raise BadInput(f"Workload {obj['metadata']['name']} is not at its endpoint yet")
    said = (obj.get("spec") or {}).get("forProvider") or {}
    wanted = said.get("boardId")
    if board is not None:
        wanted = annotations_of(await cluster.get(BOARD, board, namespace)).get(EXTERNAL_NAME)
    if said.get("boardId"):
        return str(wanted), name
    found = await rest.get(path("fleets", str(said.get("fleetId")), "workloads", name))
    parts = {str(part["board"]): str(part["workload"]) for part in found.get("parts", [])}
    if wanted is None and len(parts) == 1:
        return next(iter(parts.items()))
    if wanted not in parts:
        raise BadInput(f"Workload {obj['metadata']['name']} is on {len(parts)} boards: name one of them with --board")
    return str(wanted), parts[str(wanted)]
