"""What a buyer's requests say. Pure; whatever is wrong is a Refusal with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from continuo.edge.node import NodeIdentity
from continuo.edge.rear import wire
from continuo.edge.rear.refusals import bad
from continuo.edge.rear.wire import BadWire, pick
from continuo.resources.meta import Object


@dataclass(frozen=True, slots=True)
class ReserveRequest:
    """Somebody wants a flavor."""

    flavor: str
    buyer: NodeIdentity
    configuration: Object | None


@dataclass(frozen=True, slots=True)
class PurchaseRequest:
    """Somebody buys what was reserved."""

    cluster_id: str = ""
    """What the buyer's cluster is called in Liqo."""
    telemetry: Object | None = None


def _body(body: bytes) -> Mapping[str, Any]:
    try:
        data = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad(f"the body is no JSON: {error}") from error
    if not isinstance(data, Mapping):
        raise bad("the body must be a JSON object")
    return data


def read_reserve(body: bytes) -> ReserveRequest:
    """The body of POST /reservations."""
    data = _body(body)
    try:
        flavor = wire.text_of(pick(data, "flavorID"), "flavorID", longest=253)
        buyer = wire.identity_from(pick(data, "buyerID", "buyer"), "buyerID")
        return ReserveRequest(flavor, buyer, wire.configuration_from(pick(data, "configuration")))
    except BadWire as error:
        raise bad(str(error)) from error


def read_purchase(body: bytes) -> PurchaseRequest:
    """The body of POST /transactions/{id}/purchase; it may be empty."""
    data = _body(body)
    credentials = pick(data, "liqoCredentials") or {}
    telemetry = pick(data, "ingressTelemetryEndpoint")
    if not isinstance(credentials, Mapping):
        raise bad("liqoCredentials must be an object with clusterID")
    if telemetry is not None and not isinstance(telemetry, Mapping):
        raise bad("ingressTelemetryEndpoint must be an object with endpoint and intents")
    try:
        cluster = wire.text_of(
            pick(credentials, "clusterID", "liqoID"), "liqoCredentials.clusterID", needed=False, longest=63
        )
    except BadWire as error:
        raise bad(str(error)) from error
    return PurchaseRequest(cluster, dict(telemetry) if telemetry else None)
