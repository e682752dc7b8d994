"""What a slice means now: its objects, which of them are ready, and what to say of it. Pure and deterministic.

What was made stays wanted as long as the claim wants it: an object that depends on something unknown is left out only
before it is made for the first time. Nothing that was observed is handed back: only names, and addresses that the slice
itself remembers in its status.
"""

from __future__ import annotations

from collections.abc import Mapping

from continuo.iot.compose import objects, observed, saying
from continuo.iot.compose.claim import Endpoint, Spec
from continuo.iot.compose.names import HASH, key
from continuo.iot.compose.world import Composed, Endpoints, Plan, Standing, World
from continuo.resources.crd import NAMES_TOGETHER
from continuo.resources.errors import Invalid
from continuo.resources.meta import Object, deleting

MOST_OBJECTS = 5000
"""An XR names all its objects, and etcd takes 1.5 MiB."""


def plan(world: World) -> Plan:
    """Decide; raises Invalid, with a sentence, for a claim that cannot be fulfilled."""
    check(world)
    stands = _standing(world)
    return Plan(
        resources=stands.resources,
        conditions=tuple(saying.conditions(stands)),
        status=saying.status(stands),
        ready=saying.readiness(stands),
    )


def check(world: World) -> None:
    """Refuse what would only fail later, and less clearly."""
    name, spec = world.slice.name, world.slice.spec
    made = objects.orchestration_name(name)
    for cluster in spec.orchestration.clusters if spec.orchestration else ():
        if len(made) + len(cluster.name) > NAMES_TOGETHER:
            raise Invalid(
                f"metadata.name {name} and the cluster's name {cluster.name} are together longer than "
                f"{NAMES_TOGETHER - HASH - 1} characters: shorten one of them"
            )
    count = len(world.boards or ()) * objects.per_board(spec)
    if count > MOST_OBJECTS:
        raise Invalid(
            f"spec.boards.matchLabels select {len(world.boards or ())} boards, which would get {count} objects, and a slice "
            f"has at most {MOST_OBJECTS}: select fewer, or inject and run on a Fleet"
        )


def _standing(world: World) -> Standing:
    boards = {board["metadata"]["name"]: board for board in world.boards or () if not deleting(board)}
    endpoints = _known_endpoints(world)
    shared = {name: _composed(world, name, obj) for name, obj in objects.shared(world.slice)}
    members: dict[str, tuple[str, ...]] = {}
    resources = dict(shared)
    for board in _board_names(world, boards):
        made = dict(objects.of_board(world.slice, board, _variables(world, board, endpoints)))
        members[board] = tuple(made)
        resources |= {name: _composed(world, name, obj) for name, obj in made.items()}
    return Standing(
        world=world, boards=boards, members=members, shared=shared, resources=resources, endpoints=endpoints,
        ready=_ready_boards(world.slice.spec, members, resources), waiting=_waiting(world.slice.spec, endpoints),
    )  # fmt: skip


def _board_names(world: World, boards: Mapping[str, Object]) -> list[str]:
    """Whom the slice is for: those that were found, or, before they were asked for, those that had something before."""
    if world.slice.spec.boards is None:
        return []
    return sorted(boards) if world.boards is not None else observed.boards_of(world.observed)


def _known_endpoints(world: World) -> Endpoints:
    """What is said now, else what was known before."""
    before = {
        (entry["app"], entry["component"], entry.get("port", "")): entry["url"]
        for entry in world.remembered.get("endpoints") or ()
    }
    found = {}
    for wanted in objects.wanted_endpoints(world.slice.spec):
        if url := observed.url_of(world.observed, wanted) or before.get(_at(wanted)):
            found[_at(wanted)] = url
    return found


def _variables(world: World, board: str, endpoints: Endpoints) -> dict[str, dict[str, str]]:
    """By workload of a board, its variables with addresses; without those that wait and were never made."""
    found = {}
    for workload in world.slice.spec.workloads:
        told = {wanted.env: url for wanted in workload.endpoints if (url := endpoints.get(_at(wanted)))}
        if len(told) == len(workload.endpoints) or key(objects.RUN, workload.name, board) in world.observed:
            found[workload.name] = told
    return found


def _composed(world: World, name: str, obj: Object) -> Composed:
    return Composed(obj, observed.is_ready(world.observed.get(name)))


def _waiting(spec: Spec, endpoints: Endpoints) -> tuple[str, ...]:
    waits = {
        f"workload {workload.name} waits for the address of {wanted.app}/{wanted.component}"
        for workload in spec.workloads
        for wanted in workload.endpoints
        if _at(wanted) not in endpoints
    }
    return tuple(sorted(waits))


def _ready_boards(
    spec: Spec, members: Mapping[str, tuple[str, ...]], resources: Mapping[str, Composed]
) -> frozenset[str]:
    wanted = objects.per_board(spec)
    return frozenset(
        board for board, made in members.items() if len(made) == wanted and all(resources[at].ready for at in made)
    )


def _at(wanted: Endpoint) -> tuple[str, str, str]:
    return wanted.app, wanted.component, wanted.port or ""
