"""Who takes part, what stands at the edge, and what is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from continuo.edge.mapper.manifests import devices_of
from continuo.edge.mapper.model import device_ids, parse
from continuo.resources import kinds
from continuo.resources.meta import Object
from continuo.trust.ids import SpiffeId, parse_domain

SPACE = "fluidos"
PROVIDER, FIRST, SECOND = "provider", "consumer1", "consumer2"
CLUSTERS = (f"{PROVIDER}:2", f"{FIRST}:1", f"{SECOND}:1")
EDGES = (f"{PROVIDER}-1", f"{PROVIDER}-2")
"""The provider's edge worker nodes: each has an MQTT broker and a mapper."""
SENSING = {"node-role.fluidos.eu/sensors": "true"}


def domain(party: str) -> str:
    """The trust domain of a party, which is also its name in the market."""
    return f"{party}.example"


def site_id(party: str) -> str:
    """Who a party's site is."""
    return f"spiffe://{domain(party)}/cp/site"


RELAY_ID = f"spiffe://{domain(PROVIDER)}/cp/relay"


def gateway_id(edge: str) -> str:
    """Who speaks for the boards of an edge node: its mapper."""
    return f"spiffe://{domain(PROVIDER)}/gw/{edge}"


def buyer_id(party: str) -> str:
    """Somebody of a party who buys by hand."""
    return f"spiffe://{domain(party)}/user/buyer"


def receiver_id(party: str) -> str:
    """Who a party's endpoints are, where they prove it by TLS."""
    return f"spiffe://{domain(party)}/app/receiver"


STWIN, BOX, TILE, MOTOR = "stwinkt1b-e9906ef209a8", "sensortile-box", "sensortile", "stwin-box"
_BOARDS: dict[str, list[Any]] = {
    EDGES[0]: [
        {
            "name": STWIN, "board": "STWINKT1B", "macAddress": "E9:90:6E:F2:09:A8",
            "overrides": {
                "hts221": {"rate": 5, "waves": {
                    "Humidity": {"mean": 52, "amplitude": 6, "period": 8, "noise": 0.3, "lowest": 0, "highest": 100},
                }},
                "lsm6dsox": {"rate": 4},
            },
        },
        {
            "name": BOX, "board": "SensorTile.box", "macAddress": "C0:FF:EE:00:00:01", "sensors": ["hts221", "lps22hh"],
            "overrides": {"hts221": {"rate": 5, "latency": 22, "waves": {
                "Humidity": {"mean": 41, "amplitude": 3, "period": 5, "noise": 0.3, "lowest": 0, "highest": 100},
            }}},
        },
    ],
    EDGES[1]: [
        {
            "name": TILE, "board": "SensorTile", "macAddress": "C0:FF:EE:00:00:02", "sensors": ["hts221", "imp34dt05"],
            "overrides": {"hts221": {"latency": 31}},
        },
        {
            "name": MOTOR, "board": "STWIN.box", "macAddress": "C0:FF:EE:00:00:03", "sensors": ["lsm6dsox", "stts22h"],
            "overrides": {"lsm6dsox": {"rate": 4}},
        },
    ],
}  # fmt: skip
DEVICES = tuple(str(board["name"]) for boards in _BOARDS.values() for board in boards)


def boards(edge: str) -> dict[str, Any]:
    """The mapper's file of an edge node."""
    return {"namespace": SPACE, "node": edge, "seed": 5, "devices": _BOARDS[edge]}


def board_ids(edge: str) -> dict[str, SpiffeId]:
    """Who the boards of an edge node are, by the names of their Devices."""
    found = device_ids(devices_of(parse(boards(edge), edge)), parse_domain(domain(PROVIDER)))
    return {name: spiffe_id for name, spiffe_id in found.items() if spiffe_id is not None}


_HUMID = 'type == "Humidity" && manufacturer == "STMicroelectronics"'
WIDE, NARROW = f"{_HUMID} && latency < 25ms", f"{_HUMID} && latency < 16ms"
SHAKEN = 'type == "Acceleration" && latency < 5ms'
SOLVER = "humid"
METADATA = "http://169.254.169.254/latest/meta-data"
"""Where clouds keep machines' credentials: readings must never go there."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where somebody wants readings."""

    party: str
    name: str
    scheme: str
    """How the relay proves itself there: as in a sensor's configuration."""


ARCHIVE, SCREEN = Endpoint(FIRST, "archive", "signed"), Endpoint(FIRST, "screen", "spiffe")
LAB = Endpoint(SECOND, "lab", "spiffe")
ENDPOINTS = (ARCHIVE, SCREEN, LAB)


def known_cluster(address: str) -> Object:
    """What tells a buyer's site where a seller is."""
    return kinds.KNOWN_CLUSTER.new(f"knowncluster-{PROVIDER}", SPACE, spec={"address": address})


def solver(endpoint: Any) -> Object:
    """Consumer 2's wish: the same as `NARROW`, in FLUIDOS' words, and where the readings are to go."""
    filters = {
        "typeFilter": {"name": "Match", "data": {"value": "Humidity"}},
        "manufacturerFilter": {"name": "Match", "data": {"value": "STMicroelectronics"}},
        "latencyFilter": {"name": "Range", "data": {"max": "15"}},
    }
    spec = {
        "selector": {"flavorType": "Sensor", "filters": filters}, "intentID": f"intent-{SOLVER}", "findCandidate": True,
        "reserveAndBuy": True, "establishPeering": True,
        "configuration": {"type": "Sensor", "data": {"endpoints": [endpoint]}},
    }  # fmt: skip
    return kinds.SOLVER.new(SOLVER, SPACE, spec=spec)
