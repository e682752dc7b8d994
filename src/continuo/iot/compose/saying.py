"""What is said of a slice: its conditions, its status, and whether it is ready. Pure.

No time is in it and nothing that changes by itself: each change of a status wakes all who watch, and Crossplane stops
listening to objects that change too often.
"""

from __future__ import annotations

from collections.abc import Iterator

from continuo.iot.compose import objects, observed
from continuo.iot.compose.world import Standing, Verdict
from continuo.resources.meta import Object

MOST_LISTED = 200
MOST_SAID = 3


def readiness(stands: Standing) -> bool | None:
    """Whether the slice is ready. None leaves it to Crossplane, which names the objects that are not."""
    if stands.world.slice.spec.boards is None:
        return None
    if stands.world.boards is None or stands.waiting or (stands.threshold and not stands.members):
        return False
    if len(stands.ready) < stands.threshold:
        return False if len(stands.ready) == len(stands.members) else None
    return True if all(composed.ready for composed in stands.shared.values()) else None


def conditions(stands: Standing) -> Iterator[Verdict]:
    """One for each part of the claim. `Ready` and `Synced` are Crossplane's."""
    said = {entry["type"] for entry in stands.world.remembered.get("conditions") or ()}
    for type_, name in (("ClustersReady", objects.ORCHESTRATION), ("NetworkReady", _network(stands))):
        composed = stands.shared.get(name)
        if composed is None:
            yield from _over(type_, said)
        elif composed.ready:
            yield Verdict(type_, "True", "Available")
        else:
            yield Verdict(type_, "False", "Waiting", observed.why_not(stands.world.observed.get(name)))
    if stands.world.slice.spec.boards is not None:
        yield _of_boards(stands)
    else:
        yield from _over("BoardsReady", said)


def _over(type_: str, said: set[str]) -> Iterator[Verdict]:
    """Of a part that the claim has no more. Crossplane keeps a condition that was once said, so it has to be corrected."""
    if type_ in said:
        yield Verdict(type_, "True", "NotRequested")


def _of_boards(stands: Standing) -> Verdict:
    if stands.world.boards is None:
        return Verdict("BoardsReady", "Unknown", "Looking", "the boards were not told yet")
    if stands.threshold and not stands.members:
        return Verdict("BoardsReady", "False", "NoneFound", "no Board of this namespace has the labels: label one")
    said = f"{len(stands.ready)} of {len(stands.members)} boards ready"
    if stands.waiting:
        return Verdict("BoardsReady", "False", "Waiting", "; ".join((said, *stands.waiting)))
    if len(stands.ready) >= stands.threshold:
        return Verdict("BoardsReady", "True", "Available", said)
    late = [board for board in stands.members if board not in stands.ready]
    parts = [said, *(f"{board}: {_lacks(stands, board)}" for board in late[:MOST_SAID])]
    if len(late) > MOST_SAID:
        parts.append(f"and {len(late) - MOST_SAID} more")
    elif len(stands.members) < stands.threshold:
        parts.append(f"{stands.threshold} are required")
    return Verdict("BoardsReady", "False", "Waiting", "; ".join(parts))


def _lacks(stands: Standing, board: str) -> str:
    """The first thing that a board lacks."""
    at = next(name for name in stands.members[board] if not stands.resources[name].ready)
    return f"{at.rsplit('/', 1)[0]}: {observed.why_not(stands.world.observed.get(at))}"


def status(stands: Standing) -> Object:
    """What the claim's status says. Nothing empty is in it: an empty field is a field, too."""
    said: Object = {}
    if clusters := observed.cluster_summary(stands.world.observed):
        said["clusters"] = clusters
    if cidr := observed.network_summary(stands.world.observed.get(_network(stands))):
        said["network"] = cidr
    if stands.world.slice.spec.boards is not None:
        online = sum(_online(stands, board) for board in stands.members)
        said["boards"] = {"found": len(stands.members), "online": online, "ready": len(stands.ready)}
        if stands.members and len(stands.members) <= MOST_LISTED:
            said["members"] = [_member(stands, board) for board in stands.members]
    if stands.endpoints:
        said["endpoints"] = [
            {"app": app, "component": component, "url": url} | ({"port": port} if port else {})
            for (app, component, port), url in sorted(stands.endpoints.items())
        ]
    return said


def _online(stands: Standing, board: str) -> bool:
    return board in stands.boards and observed.is_online(stands.boards[board])


def _member(stands: Standing, board: str) -> Object:
    world = stands.world
    member: Object = {"name": board, "ready": board in stands.ready, "online": _online(stands, board)}
    if ip := observed.address(world.observed.get(objects.port_key(world.slice, board))):
        member["ip"] = ip
    exposed = {each.name: world.observed.get(objects.expose_key(each, board)) for each in world.slice.spec.expose}
    if services := {name: at for name, found in exposed.items() if (at := observed.reached(found))}:
        member["services"] = services
    return member


def _network(stands: Standing) -> str:
    return objects.network_key(stands.world.slice)
