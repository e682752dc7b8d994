"""What a contract for sensors asks for, read from objects. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from continuo.edge.discovery.devices import DEVICE_ID
from continuo.edge.relay.model import Authentication, Flow, Scheme, Source
from continuo.edge.sensors.units import RATE, BadNumber, read
from continuo.resources.meta import Key, Object, annotations_of, deleting, key_of

ENDED = ("Released", "Inactive")
"""States of an Allocation that has no path."""
MOST_ENDPOINTS = 64


class Unusable(ValueError):
    """A contract from which no path can be made; `str()` is a sentence."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One endpoint as it was asked for. Its secret is not in it."""

    url: object
    authentication: Authentication = field(default_factory=Authentication)


@dataclass(frozen=True, slots=True)
class Bought:
    """One contract."""

    name: str
    buyer: str
    flows: tuple[Flow, ...]
    endpoints: tuple[Asked, ...]
    secret: str = ""
    """The Secret with what the endpoints' authentication needs; empty: nothing."""
    commands: bool = False

    @property
    def sources(self) -> frozenset[Source]:
        """Where its readings come from."""
        return frozenset(flow.source for flow in self.flows)


def is_over(allocation: Object, contract: Object | None, now: float) -> str | None:
    """Why an allocation has no path any more; None while it has one."""
    if deleting(allocation):
        return "the allocation is being deleted"
    if contract is None:
        return "its contract is gone"
    if deleting(contract):
        return "its contract is being deleted"
    until = ends_at(contract)
    if until is not None and until <= now:
        return f"its contract ended at {contract['spec']['expirationTime']}"
    state = (allocation.get("status") or {}).get("status")
    return f"it is {state}" if state in ENDED else None


def ends_at(contract: Object) -> float | None:
    """Seconds since the epoch until which a contract holds; None: nobody said."""
    text = contract["spec"].get("expirationTime")
    if not text:
        return None
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def contract_of(allocation: Object) -> Key:
    """The key of the contract that an allocation is for."""
    said = allocation["spec"].get("contract") or {}
    return said.get("namespace") or key_of(allocation)[0], said.get("name") or ""


def is_for_sensors(contract: Object) -> bool:
    """Whether a contract is about sensors; both spellings of the type are seen."""
    said = ((contract["spec"].get("flavor") or {}).get("spec") or {}).get("flavorType") or {}
    return str(said.get("typeIdentifier", "")).lower() in ("sensor", "sensors")


def bought(contract: Object, live: Callable[[str], Object | None], namespace: str) -> Bought:
    """What the contract asks for. Raises Unusable.

    `live` finds the Flavor of a sensor by UID as it is now: its device may have moved to another node.
    """
    spec = contract["spec"]
    data = (spec.get("configuration") or {}).get("data") or {}
    if not isinstance(data, Mapping):
        raise Unusable("its configuration's data must be an object with the list `endpoints`")
    own: Object = spec["flavor"]
    uids = [str(uid) for uid in data.get("sensors") or [uid_of(own)]]
    rate = _rate(data)
    flows = tuple(_flow(uid, live(uid) or own, namespace, rate) for uid in dict.fromkeys(uids))
    return Bought(
        contract["metadata"]["name"], str((spec.get("buyer") or {}).get("nodeID") or "unknown"), flows, _endpoints(data),
        str((data.get("secretRef") or {}).get("name") or ""), data.get("commands") is True,
    )  # fmt: skip


def _rate(data: Mapping[str, Any]) -> float:
    if data.get("samplingRate") in (None, ""):
        return 0.0
    try:
        return float(read(data["samplingRate"], RATE, "Hz").value)
    except BadNumber as error:
        raise Unusable(f"its configuration's samplingRate {error}") from error


def _flow(uid: str, flavor: Object, namespace: str, rate: float) -> Flow:
    sensor = _characteristics(flavor)
    if sensor.get("uid") != uid:
        raise Unusable(f"sensor {uid} is not offered any more, and the contract does not say where its readings are")
    source = _source(sensor, namespace)
    if source is None:
        raise Unusable(f"sensor {uid} names no topic or no node: access.resource must have both")
    if any(character in source.topic for character in "+#") or source.topic.startswith("/"):
        raise Unusable(
            f"sensor {uid} has the topic {source.topic!r}, which a rule cannot have: no wildcard, no leading slash"
        )
    return Flow(sensor=uid, source=source, max_rate=rate, device=_device(flavor))


def rate_of(flavor: Object) -> float:
    """Readings a second that a sensor says it gives; 0 where it does not say, or says nothing that can be read."""
    data = _characteristics(flavor)
    unit = ((data.get("properties") or {}).get("unit") or {}).get("samplingRate") or "Hz"
    try:
        return float(read(data["samplingRate"], RATE, unit).value) if data.get("samplingRate") else 0.0
    except BadNumber:
        return 0.0


def source_of(flavor: Object, namespace: str) -> Source | None:
    """Where a sensor's readings come from; None where it does not say."""
    return _source(_characteristics(flavor), namespace)


def _source(sensor: Mapping[str, Any], namespace: str) -> Source | None:
    where = (sensor.get("access") or {}).get("resource") or {}
    topic, node = str(where.get("topic") or ""), str(where.get("node") or sensor.get("node") or "")
    return Source(namespace=namespace, node=node, topic=topic) if topic and node else None


def uid_of(flavor: Object) -> str:
    """The UID of the sensor that a Flavor offers; empty where it is not of a sensor."""
    return str(_characteristics(flavor).get("uid") or "")


def _characteristics(flavor: Object) -> Mapping[str, Any]:
    data = ((flavor.get("spec") or {}).get("flavorType") or {}).get("typeData") or {}
    found = data.get("characteristics") if isinstance(data, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _device(flavor: Object) -> str:
    """Whose readings they are; empty where the Flavor does not say. A Flavor of a Contract may have no metadata."""
    return str(annotations_of(flavor).get(DEVICE_ID) or "") if flavor.get("metadata") else ""


def _endpoints(data: Mapping[str, Any]) -> tuple[Asked, ...]:
    asked = data.get("endpoints")
    if not isinstance(asked, list) or not asked:
        raise Unusable("its configuration names no endpoint: data.endpoints must be a list of URLs")
    if len(asked) > MOST_ENDPOINTS:
        raise Unusable(f"its configuration names {len(asked)} endpoints: at most {MOST_ENDPOINTS} are allowed")
    return tuple(_asked(entry) for entry in asked)


def _asked(entry: object) -> Asked:
    if not isinstance(entry, Mapping):
        return Asked(entry)
    said = entry.get("authentication") or {}
    try:
        scheme = Scheme(said.get("scheme", "none"))
    except ValueError:
        raise Unusable(
            f"an endpoint's authentication has the scheme {said.get('scheme')!r}: it must be one of "
            f"{', '.join(each.value for each in Scheme)}"
        ) from None
    return Asked(entry.get("url"), Authentication(scheme=scheme, spiffe_id=str(said.get("spiffeID") or "")))
