"""Workloads: processes, containers and jobs, of one board or spread over a fleet by the hub.

A job runs once for each generation of its object. So one that was begun, and that somebody then removed at the hub, is not
made again: its object keeps what it knew, until it is changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

from continuo.iot.provider.external import (
    Absent,
    Change,
    Creation,
    Managed,
    Neighbours,
    NotYet,
    Observation,
    Readiness,
    Reference,
    Refused,
)
from continuo.iot.provider.kinds.common import (
    extra_of,
    lacks,
    marked,
    named,
    path,
    removed,
    text,
    untouched,
    with_extra,
)
from continuo.iot.provider.kinds.running import begun, observed, readiness, subjects, unfit
from continuo.iot.provider.lists import Row
from continuo.iot.provider.references import external_name, for_provider
from continuo.iot.provider.world import Connection, Driver, World
from continuo.iot.sealed import seals
from continuo.resources.boards import BOARD, FLEET, WORKLOAD, WorkloadParameters
from continuo.resources.boards_types import SecretKeyRef
from continuo.resources.meta import Key, Kind, Object, key_of

Workload = Managed[WorkloadParameters]


class Workloads:
    """Workloads at one endpoint."""

    def __init__(self, connection: Connection, world: World) -> None:
        self._connection, self._world = connection, world
        self._rest, self._looks = connection.rest, connection.looks

    async def observe(self, managed: Workload) -> Observation:
        """By uuid or marker, with how it goes on each board."""
        row = await self._find(managed)
        before = begun(managed.status, managed.generation)
        if row is None:
            job = managed.parameters.job
            if job is not None and before is not None and not managed.deleting:
                well = before.succeeded == before.desired > 0
                if well or not job.retry:
                    return _remembered(managed, well)
            return Observation(exists=False, sure=before is not None)
        boards = {text(board, "uuid"): board for board in await self._connection.lists.boards.all()}
        changes = {} if managed.deleting else await self._changes(managed, row)
        # Of what is about to be replaced nothing is said of this generation.
        told = observed(row, boards, 0 if _anew(changes) else managed.generation)
        ready = readiness(told, managed.parameters, unfit(row, boards))
        return Observation(
            exists=True, up_to_date=not changes, readiness=ready, at_provider=told,
            external_name=text(row, "uuid"), subjects=frozenset(subjects(row)), difference=", ".join(changes),
        )  # fmt: skip

    async def create(self, managed: Workload) -> Creation:
        """Declare it; boards are told when they are there."""
        said = managed.parameters
        body = {**await self._wanted(managed), "extra": _extra(managed)}
        try:
            row = (await self._rest.call("POST", _listing(said), {k: v for k, v in body.items() if v is not None})).body
        except Absent as error:
            if self._connection.ours:
                raise
            raise Refused(
                f"{self._rest.endpoint} runs no workloads (there is no /v1/{_listing(said)}): use a Continuo hub, or a "
                "PluginInjection"
            ) from error
        self._looks.drop(f"{_listing(said)}/{row['uuid']}")
        return Creation(row["uuid"], subjects=frozenset(subjects(row)))

    async def update(self, managed: Workload, seen: Observation) -> Change:  # noqa: ARG002
        """What runs is replaced where what it should run is another."""
        row = await self._find(managed)
        if row is not None and (changes := await self._changes(managed, row)):
            await self._rest.call("PATCH", _path(managed), changes)
            self._looks.drop(_path(managed))
        return Change()

    async def delete(self, managed: Workload) -> None:
        """End it everywhere; boards that are away end it when they come."""
        if managed.external_name:
            await removed(self._rest, _path(managed))
            self._looks.drop(_path(managed))

    # --- parts --------------------------------------------------------------------------------------------------------

    async def _find(self, managed: Workload) -> Row | None:
        said = managed.parameters
        if not (said.board_id or said.fleet_id):
            if managed.deleting:
                return None
            raise NotYet("neither a board nor a fleet is named yet")
        if untouched(managed):
            return None
        if managed.external_name:
            uuid = managed.external_name
            found = await self._looks.get(
                _path(managed), lambda row: frozenset(subjects(row) if row else (f"workload:{uuid}",))
            )
            return found if isinstance(found, dict) else None
        try:
            rows = await self._rest.pages(_listing(said), "workloads")
        except Absent:
            return None
        return next((row for row in rows if marked(row, managed) and not row.get("parent")), None)

    async def _changes(self, managed: Workload, row: Row) -> dict[str, Any]:
        wanted = await self._wanted(managed)
        secret = wanted.pop("secret_env")
        changes = {key: value for key, value in wanted.items() if (row.get(key) or None) != (value or None)}
        if (row.get("secret_env") or {}) != await asyncio.to_thread(seals, text(row, "uuid"), secret):
            changes["secret_env"] = secret
        extra = _extra(managed)
        return {**changes, "extra": with_extra(row, extra)} if lacks(row, extra) else changes

    async def _wanted(self, managed: Workload) -> dict[str, Any]:
        said = managed.parameters
        job = said.job is not None
        secrets = {name: await self._secret(managed, ref) for name, ref in said.secret_env.items()}
        placement = msgspec.to_builtins(said.placement) if said.placement is not None else {}
        return {
            "name": named(managed, said.name, 63), "runtime": said.runtime.value, "image": said.image,
            "command": list(said.command), "env": dict(said.env), "secret_env": secrets, "files": dict(said.files),
            "resources": msgspec.to_builtins(said.resources) if said.resources is not None else {},
            "replicas": said.replicas, "restart": said.restart.value if said.restart else _restart(job=job), "job": job,
            "retry": job and said.job is not None and said.job.retry, "placement": placement,
        }  # fmt: skip

    async def _secret(self, managed: Workload, ref: SecretKeyRef) -> str:
        found = (await self._world.secret(managed.namespace, ref.name) or {}).get(ref.key)
        if found is None:
            raise NotYet(f"Secret {managed.namespace}/{ref.name} has no {ref.key!r}, which secretEnv names")
        return found.decode("utf-8", "replace")


def _extra(managed: Workload) -> dict[str, Any]:
    said = managed.parameters
    signature = msgspec.to_builtins(said.signature) if said.signature is not None else None
    return extra_of(managed, said.extra, signature=signature)


def _restart(*, job: bool) -> str:
    return "OnFailure" if job else "Always"


def _anew(changes: dict[str, Any]) -> bool:
    """Whether a change makes another run; a name, a place or a number of replicas does not."""
    return bool(changes.keys() - {"name", "extra", "placement", "replicas"})


def _listing(said: WorkloadParameters) -> str:
    return (
        path("boards", said.board_id, "workloads")
        if said.board_id
        else path("fleets", said.fleet_id or "", "workloads")
    )


def _path(managed: Workload) -> str:
    return f"{_listing(managed.parameters)}/{path(managed.external_name)}"


def _remembered(managed: Workload, well: bool) -> Observation:
    """A job that ran, and of which the hub knows no more."""
    why = "" if well else "it was removed at the hub, and is not run again: change the object to run it anew"
    return Observation(
        exists=True, readiness=Readiness(well, why), subjects=frozenset({f"workload:{managed.external_name}"})
    )


def concerned(_kind: Kind, old: Object | None, new: Object | None, neighbours: Neighbours) -> Iterable[Key]:
    """The workloads of a Fleet whose members are others now."""
    fleet = new or old
    assert fleet is not None
    before, after = ((each.get("status") or {}).get("atProvider") if each else None for each in (old, new))
    name = external_name(fleet)
    if not name or before == after:
        return
    for workload in neighbours.all(WORKLOAD, fleet["metadata"].get("namespace") or ""):
        if for_provider(workload).get("fleetId") == name:
            yield key_of(workload)


WORKLOADS: Driver[WorkloadParameters] = Driver(
    WORKLOAD, WorkloadParameters, Workloads, (Reference("board", BOARD), Reference("fleet", FLEET)),
    wakes={FLEET: concerned},
)  # fmt: skip
