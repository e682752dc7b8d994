"""What a site of the market tells of itself as metrics: what it offers, and what it sold. Counted from its caches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from continuo.edge.sensors.reading import sensor_of_flavor
from continuo.resources.meta import Object
from continuo.telemetry import families as f
from continuo.telemetry.metrics import Tally

MOST_TYPES = 64
"""Quantities that have a series of their own; what boards say is not ours to bound otherwise."""
OTHER = "other"


def tally(flavors: Iterable[Object], contracts: Iterable[Object]) -> Tally:
    """The samples. A sensor that measures two quantities counts under both."""
    told = Tally((f.FLAVORS, f.SENSORS, f.CONTRACTS))
    told.add(f.CONTRACTS, ("fluidos", "Active"), 0)
    sensors: Counter[tuple[str, bool]] = Counter()
    for flavor in flavors:
        spec = flavor.get("spec") or {}
        kind = (spec.get("flavorType") or {}).get("typeIdentifier") or OTHER
        told.add(f.FLAVORS, (kind,))
        if kind == "Sensor":
            sensors.update(
                (quantity, bool(spec.get("availability", True))) for quantity in sensor_of_flavor(flavor).types
            )
    common = Counter(quantity for quantity, _ in sensors.elements()).most_common(MOST_TYPES)
    shown = {quantity for quantity, _ in common}
    for (quantity, available), count in sensors.items():
        told.add(f.SENSORS, (quantity if quantity in shown else OTHER, "yes" if available else "no"), count)
    for contract in contracts:
        phase = (contract.get("status") or {}).get("phase") or {}
        state = phase.get("phase") if isinstance(phase, dict) else phase
        told.add(f.CONTRACTS, ("fluidos", state or "Active"))
    return told
