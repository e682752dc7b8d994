"""Sensors as Flavors describe them: one `typeData`, ours or somebody else's."""

from __future__ import annotations

from typing import Any

from continuo.edge.sensors.model import SENSOR, BadSensor, Sensor
from continuo.edge.sensors.shapes import sensor_from
from continuo.resources.meta import Object


def sensor_of(type_data: Any) -> Sensor:
    """The sensor that a `typeData` describes; raises BadSensor."""
    return sensor_from(type_data, "typeData")


def sensor_of_flavor(flavor: Object) -> Sensor:
    """The sensor of a Flavor object; raises BadSensor."""
    kind = flavor["spec"]["flavorType"]
    if str(kind.get("typeIdentifier", "")).casefold() != SENSOR.casefold():
        raise BadSensor(
            "typeIdentifier", f"is {kind.get('typeIdentifier')!r}; only flavors of type Sensor have sensors"
        )
    return sensor_of(kind.get("typeData"))
