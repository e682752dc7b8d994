"""REAR's JSON, as the FLUIDOS node writes it, and back into objects. Pure.

Its keys differ from those of objects in places that no rule explains: `ID` and `IP`, `altitude` for the country,
`charateristics`. Those are written; whoever spells them rightly, or with other capitals, is understood too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.edge.node import NodeIdentity
from continuo.edge.rear import names
from continuo.edge.rear.names import K8SLICE, SENSOR
from continuo.resources.kinds import FLAVOR
from continuo.resources.meta import Object

_RENAMED = {"carbon-footprint": "carbonFootprint", "resourceSelector": "resourceSelectors"}
_BACK = {there: here for here, there in _RENAMED.items()}


class BadWire(ValueError):
    """JSON that is not what REAR says; `str()` is a sentence."""


def pick(data: Mapping[str, Any], *spellings: str) -> Any:
    """The value under the first of these keys that is there, whatever its capitals, dashes and underscores; else None."""
    for spelling in spellings:
        if spelling in data:
            return data[spelling]
    plain = {_plain(key): value for key, value in data.items()}
    return next((plain[_plain(spelling)] for spelling in spellings if _plain(spelling) in plain), None)


def _plain(key: object) -> str:
    return str(key).replace("-", "").replace("_", "").lower()


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadWire(f"{what} must be an object, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    words = {None: "nothing", True: "true", False: "false"}
    return (
        words[value]
        if value is None or isinstance(value, bool)
        else f"a {type(value).__name__}".replace("a str", "text")
    )


def text_of(value: Any, what: str, *, needed: bool = True, longest: int = 1024) -> str:
    """A text; numbers are taken as they are written. Raises BadWire."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or (needed and not value):
        raise BadWire(f"{what} must be text, not {_shown(value) if value != '' else 'empty'}")
    if len(value) > longest:
        raise BadWire(f"{what} has {len(value)} characters: at most {longest} are read")
    return value


# --- identities -------------------------------------------------------------------------------------------------------
def identity_to(spec: Mapping[str, Any] | None) -> Object:
    """A node as it is in an object -> on the wire."""
    spec = spec or {}
    told = {"ID": spec.get("nodeID", ""), "IP": spec.get("ip", ""), "domain": spec.get("domain", "")}
    more = spec.get("additionalInformation")
    return {**told, "additionalInformation": dict(more)} if more else told


def identity_from(data: Any, what: str) -> NodeIdentity:
    """The other way; raises BadWire."""
    said = _mapping(data, what)
    more = pick(said, "additionalInformation") or {}
    liqo = pick(_mapping(more, f"{what}.additionalInformation"), "liqoID", "clusterID") or ""
    return NodeIdentity(
        text_of(pick(said, "domain"), f"{what}.domain", needed=False, longest=253),
        text_of(pick(said, "ID", "nodeID"), f"{what}.ID", longest=253),
        text_of(pick(said, "IP", "ip"), f"{what}.IP", needed=False, longest=261),
        text_of(liqo, f"{what}.additionalInformation.liqoID", needed=False, longest=253),
    )


# --- flavors ----------------------------------------------------------------------------------------------------------
def flavor_to(flavor: Object) -> Object:
    """A Flavor -> on the wire. Where a sensor's readings are to be found at home is nobody else's concern."""
    spec, meta = flavor["spec"], flavor["metadata"]
    place, status = spec.get("location") or {}, flavor.get("status") or {}
    said = spec["flavorType"]
    return {
        "flavorID": meta["name"],
        "providerID": spec.get("providerID", ""),
        "type": {"name": str(said["typeIdentifier"]).lower(), "data": _data_to(said["typeIdentifier"], said.get("typeData"))},
        "networkPropertyType": spec.get("networkPropertyType", ""),
        "timestamp": status.get("creationTime") or meta.get("creationTimestamp", ""),
        "location": {
            "latitude": place.get("latitude", ""), "longitude": place.get("longitude", ""),
            "altitude": place.get("country", ""), "city": place.get("city", ""),
            "additionalNotes": place.get("additionalNotes", ""),
        },
        "price": {key: str((spec.get("price") or {}).get(key, "")) for key in ("amount", "currency", "period")},
        "owner": identity_to(spec.get("owner")),
        "availability": bool(spec.get("availability", True)),
    }  # fmt: skip


def _data_to(kind: str, data: Any) -> Any:
    if not isinstance(data, Mapping):
        return {}
    if kind == K8SLICE:
        told = {key: _renamed(value, _RENAMED) for key, value in data.items() if key != "characteristics"}
        return {"charateristics": data.get("characteristics", {}), **told}
    if kind == SENSOR and isinstance(data.get("characteristics"), Mapping):
        own = dict(data["characteristics"])
        if isinstance(own.get("access"), Mapping):
            own["access"] = {**own["access"], "resource": {"topic": "", "node": ""}}
        return {**data, "characteristics": own}
    return data


def _renamed(value: Any, table: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {table.get(key, key): _renamed(each, table) for key, each in value.items()}
    return [_renamed(each, table) for each in value] if isinstance(value, list) else value


def flavor_from(data: Any) -> Object:
    """A flavor of a seller -> an object; raises BadWire with what is wrong."""
    said = _mapping(data, "a flavor")
    name = pick(said, "flavorID")
    if not names.is_name(name):
        raise BadWire(f"flavorID {name!r:.80} is no name: small letters, digits, dashes and dots")
    about = _mapping(pick(said, "type", "flavorType"), f"type of flavor {name}")
    spelled = pick(about, "name", "typeIdentifier")
    kind = names.type_of(spelled)
    if kind is None:
        raise BadWire(f"flavor {name} is of the type {spelled!r:.40}: known are {', '.join(names.TYPES)}")
    price = _mapping(pick(said, "price") or {}, f"price of flavor {name}")
    available = pick(said, "availability")
    spec: Object = {
        "providerID": text_of(pick(said, "providerID"), f"providerID of flavor {name}", needed=False),
        "flavorType": {"typeIdentifier": kind, "typeData": _data_from(kind, pick(about, "data", "typeData"), name)},
        "owner": identity_from(pick(said, "owner"), f"owner of flavor {name}").to_object(),
        "price": {
            key: text_of(pick(price, key), f"price.{key} of flavor {name}", needed=False)
            for key in ("amount", "currency", "period")
        },
        "availability": available if isinstance(available, bool) else True,
        "networkPropertyType": text_of(pick(said, "networkPropertyType"), f"networkPropertyType of {name}", needed=False),
        "location": _place_from(pick(said, "location") or {}, name),
    }  # fmt: skip
    made = FLAVOR.new(name, spec=spec)
    if stamp := text_of(pick(said, "timestamp"), f"timestamp of flavor {name}", needed=False):
        made["status"] = {"creationTime": stamp}
    return made


def _data_from(kind: str, data: Any, name: str) -> Object:
    said = _mapping(data if data is not None else {}, f"type.data of flavor {name}")
    if kind != K8SLICE:
        return dict(said)
    told = {
        key: _renamed(value, _BACK) for key, value in said.items() if key not in ("charateristics", "characteristics")
    }
    return {"characteristics": pick(said, "charateristics", "characteristics") or {}, **told}


def _place_from(data: Any, name: str) -> Object:
    said = _mapping(data, f"location of flavor {name}")
    keys = {"latitude": ("latitude",), "longitude": ("longitude",), "country": ("altitude", "country"), "city": ("city",),
            "additionalNotes": ("additionalNotes",)}  # fmt: skip
    found = {
        here: text_of(pick(said, *there), f"location.{here} of {name}", needed=False) for here, there in keys.items()
    }
    return {key: value for key, value in found.items() if value}


# --- trades -----------------------------------------------------------------------------------------------------------
def configuration_to(configuration: Any) -> Object | None:
    """A configuration -> on the wire, where secrets stay what they are in objects: references."""
    if not isinstance(configuration, Mapping):
        return None
    return {"type": str(configuration.get("type", "")).lower(), "data": configuration.get("data", {})}


def configuration_from(data: Any) -> Object | None:
    """The other way, with the type as objects spell it; raises BadWire."""
    if data is None:
        return None
    said = _mapping(data, "configuration")
    kind = names.type_of(pick(said, "type", "configurationTypeIdentifier"))
    if kind is None:
        raise BadWire(f"configuration.type is {pick(said, 'type')!r:.40}: it must be one of {', '.join(names.TYPES)}")
    found = pick(said, "data", "configurationData")
    return {"type": kind, "data": dict(_mapping(found if found is not None else {}, "configuration.data"))}


def transaction_to(transaction: Object) -> Object:
    """A Transaction -> on the wire."""
    spec = transaction["spec"]
    told: Object = {
        "transactionID": transaction["metadata"]["name"], "flavorID": spec["flavorID"],
        "buyer": identity_to(spec.get("buyer")), "clusterID": spec.get("clusterID", ""),
        "expirationTime": spec.get("expirationTime", ""),
    }  # fmt: skip
    configuration = configuration_to(spec.get("configuration"))
    return told if configuration is None else {**told, "configuration": configuration}


def contract_to(contract: Object, kubeconfig: str = "") -> Object:
    """A Contract -> on the wire; `kubeconfig` (base64) is made for this one answer."""
    spec = contract["spec"]
    credentials = spec.get("peeringTargetCredentials") or {}
    told: Object = {
        "contractID": contract["metadata"]["name"], "transactionID": spec["transactionID"],
        "flavor": flavor_to(spec["flavor"]), "buyerID": identity_to(spec.get("buyer")),
        "buyerClusterID": spec.get("buyerClusterID", ""), "seller": identity_to(spec.get("seller")),
        "peeringTargetCredentials": {"clusterID": credentials.get("liqoID", ""), "kubeconfig": kubeconfig},
        "expirationTime": spec.get("expirationTime", ""), "extraInformation": spec.get("extraInformation") or {},
        "ingressTelemetryEndpoint": spec.get("ingressTelemetryEndpoint"),
    }  # fmt: skip
    configuration = configuration_to(spec.get("configuration"))
    return told if configuration is None else {**told, "configuration": configuration}


def standing_of(contract: Object, allocation: Object | None) -> Object:
    """How it goes with a contract: what we add to REAR's answer under `status`."""
    said, delivery = (allocation or {}).get("status") or {}, (contract.get("status") or {}).get("delivery")
    phase = (contract.get("status") or {}).get("phase") or {}
    state = "Released" if "deletionTimestamp" in contract["metadata"] else said.get("status") or "Provisioning"
    told: Object = {"allocation": state, "message": said.get("message") or phase.get("message") or ""}
    return {**told, "delivery": delivery} if delivery is not None else told
