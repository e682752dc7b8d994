"""The Flavor of a sensor, and what has to be written so that it is as it should be. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from continuo.edge.discovery.boards import Board
from continuo.edge.discovery.devices import DEVICE_ID, id_of
from continuo.edge.discovery.settings import PREFIX, Settings
from continuo.edge.node import NodeIdentity
from continuo.edge.rear import holds
from continuo.edge.rear.names import DEVICE, HOLDS, WITHDRAWN
from continuo.edge.rear.refusals import Refusal
from continuo.edge.sensors.model import SENSOR, Sensor
from continuo.resources.kinds import DEVICE as DEVICE_KIND
from continuo.resources.kinds import FLAVOR
from continuo.resources.meta import Object, annotations_of, deleting, labels_of

NODE = "continuo.dev/node"
_LOCATION = ("latitude", "longitude", "country", "city", "additionalNotes")


@dataclass(frozen=True, slots=True)
class Site:
    """What the flavors of one board have in common."""

    board: Board
    identity: NodeIdentity
    settings: Settings
    node_notes: Mapping[str, str]
    """The Node's annotations."""
    away: bool
    """The board sends nothing at present, or nobody hears of its node."""


@dataclass(frozen=True, slots=True)
class Change:
    """One write: a Flavor to create, to replace (with the version that was read), or to delete."""

    verb: str
    flavor: Object


def name_of(identity: NodeIdentity, board: Board, sensor: Sensor) -> str:
    """Always the same for the same sensor of the same Device, so that nothing is made twice."""
    digest = hashlib.sha256(f"{board.uid}/{sensor.uid}".encode()).hexdigest()[:16]
    domain = re.sub(r"[^a-z0-9.-]+", "-", identity.domain.lower()).strip("-.") or "fluidos"
    return f"{domain[:180]}-sensor-{digest}"


def topic_of(board: Board, sensor: Sensor) -> str:
    """Where the readings of a sensor appear: by its addresses where they are known, as its mapper does it."""
    uuid = next(
        (board.characteristics[word] for word in (sensor.category.casefold(), *map(str.casefold, sensor.types))
         if word in board.characteristics), "",
    )  # fmt: skip
    if board.mac and uuid and sensor.model:
        return f"sensor/{_level(board.mac)}/{_level(uuid)}/{_level(sensor.model)}"
    return sensor.topic or f"sensor/{_level(board.key[1])}/{_level(sensor.model)}"


def _level(text: str) -> str:
    """A level of a topic: neither wildcards nor separators."""
    return re.sub(r"[+#/\s\x00]+", "-", text)


def placed(site: Site, sensor: Sensor) -> Sensor:
    """The sensor with its node and topic filled in, also in what its Flavor says."""
    board, source = site.board, sensor.source or site.settings.source
    topic = topic_of(board, sensor)
    said = dict(sensor.type_data["characteristics"])
    access = dict(said.get("access") or {})
    resource = dict(access.get("resource") or {})
    said["node"] = board.node
    said["access"] = {
        **access, "type": sensor.access, "source": source, "resource": {**resource, "topic": topic, "node": board.node},
    }  # fmt: skip
    return replace(
        sensor, node=board.node, source=source, topic=topic, topic_node=board.node, type_data={"characteristics": said}
    )


def desired(site: Site, sensor: Sensor) -> Object:
    """The Flavor of a sensor while nobody holds it."""
    board, identity = site.board, site.identity
    namespace, device = board.key
    owner = {
        "apiVersion": DEVICE_KIND.api_version, "kind": DEVICE_KIND.kind, "name": device, "uid": board.uid,
    }  # fmt: skip
    labels = {DEVICE: label_of(device), NODE: label_of(board.node)}
    metadata: Object = {"labels": labels, "ownerReferences": [owner]}
    domain = site.settings.trust_domain
    if domain is not None and (spiffe_id := id_of(board, domain)) is not None:
        metadata["annotations"] = {DEVICE_ID: str(spiffe_id)}
    return FLAVOR.new(name_of(identity, board, sensor), namespace, metadata=metadata, spec=_spec(site, sensor))


def label_of(text: str) -> str:
    """A name as a label can carry it: long ones end in a digest."""
    if len(text) <= 63:
        return text
    return f"{text[:52].rstrip('-.')}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _spec(site: Site, sensor: Sensor) -> Object:
    price = site.settings.price
    spec: Object = {
        "providerID": site.identity.node_id,
        "flavorType": {"typeIdentifier": SENSOR, "typeData": placed(site, sensor).type_data},
        "owner": site.identity.to_object(),
        "price": {
            "amount": _noted(site, "price-amount", price.amount),
            "currency": _noted(site, "price-currency", price.currency),
            "period": _noted(site, "price-period", price.period),
        },
        "availability": not site.away,
        "networkPropertyType": site.settings.network,
    }
    location = {key: _noted(site, f"location-{key}", site.settings.location.get(key, "")) for key in _LOCATION}
    found = {key: value for key, value in location.items() if value}
    return {**spec, "location": found} if found else spec


def _noted(site: Site, name: str, default: str) -> str:
    """What the Device says, else the Node, else the operator."""
    return site.board.notes.get(PREFIX + name) or site.node_notes.get(PREFIX + name) or default


# --- what differs -----------------------------------------------------------------------------------------------------
def change_for(wanted: Object, actual: Object | None) -> Change | None:
    """The write that makes a Flavor as it should be; None where it is."""
    if actual is None:
        return Change("create", wanted)
    if deleting(actual):
        return withdrawal(actual, "it was deleted")  # its name is free once the last hold is off
    kept = {key: text for key, text in annotations_of(actual).items() if key not in (WITHDRAWN, DEVICE_ID)}
    kept |= annotations_of(wanted)
    spec = dict(wanted["spec"])
    spec["availability"] = spec["availability"] and not held_exclusively(actual)
    metadata = {
        **actual["metadata"],
        "labels": {**labels_of(actual), **labels_of(wanted)},
        "ownerReferences": wanted["metadata"]["ownerReferences"],
    }
    made = {**actual, "metadata": metadata, "spec": spec}
    return _replaced(actual, _with_notes(made, kept))


def withdrawal(actual: Object, why: str) -> Change | None:
    """What takes a Flavor back: it goes, or, while somebody has it, is marked and sold no more."""
    if not annotations_of(actual).get(HOLDS):
        return None if deleting(actual) else Change("delete", actual)
    if WITHDRAWN in annotations_of(actual):
        why = annotations_of(actual)[WITHDRAWN]  # the first reason is the true one
    made = {**actual, "spec": {**actual["spec"], "availability": False}}
    return _replaced(actual, _with_notes(made, {**annotations_of(actual), WITHDRAWN: why}))


def held_exclusively(flavor: Object) -> bool:
    """Whether somebody has it for himself; holds that cannot be read are no reason to sell it twice."""
    try:
        return any(hold.exclusive for hold in holds.read(flavor).values())
    except Refusal:
        return True


def _replaced(actual: Object, made: Object) -> Change | None:
    before = (actual["spec"], _told(actual))
    return None if before == (made["spec"], _told(made)) else Change("replace", made)


def _told(flavor: Object) -> tuple[Any, ...]:
    return labels_of(flavor), annotations_of(flavor), _owners(flavor)


def _owners(flavor: Object) -> set[tuple[str, str]]:
    return {(owner["kind"], owner["uid"]) for owner in flavor["metadata"].get("ownerReferences") or ()}


def _with_notes(flavor: Object, notes: Mapping[str, str]) -> Object:
    metadata = {key: value for key, value in flavor["metadata"].items() if key != "annotations"}
    return {**flavor, "metadata": {**metadata, "annotations": dict(notes)} if notes else metadata}
