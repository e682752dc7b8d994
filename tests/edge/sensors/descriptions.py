"""Descriptions of sensors for tests, in the shapes that are published."""

from __future__ import annotations

import base64
import json
from typing import Any

from continuo.edge.sensors.annotation import decode
from continuo.edge.sensors.model import Decoded, Sensor


def encoded(data: Any) -> str:
    """The annotation that says it."""
    return base64.b64encode(json.dumps(data, ensure_ascii=False).encode()).decode()


def decoded(data: Any, **arguments: Any) -> Decoded:
    return decode(encoded(data), **arguments)


def one(data: Any, **arguments: Any) -> Sensor:
    """The only sensor of a description without problems."""
    found = decoded(data, **arguments)
    assert found.problems == ()
    (sensor,) = found.sensors
    return sensor


def fork(uid: str = "hum-1", **changes: Any) -> dict[str, Any]:
    """FLUIDOS Edge's present shape; a key that is None is left out."""
    data: dict[str, Any] = {
        "uid": uid, "node": "", "name": "HTS", "model": "hts221", "manufacturer": "STMicroelectronics",
        "market": "Industrial", "type": {"sensorCategory": "Environmental", "sensorType": ["Temperature", "Humidity"]},
        "samplingRate": "10", "accuracy": ["0.5", "3.5"], "consumption": "0.9", "latency": "14",
        "properties": {"unit": {"measurement": ["C", "%"], "consumption": "mW", "samplingRate": "Hz", "latency": "ms"}},
        "access": {"type": "MQTT", "source": "eventbus-fluidos", "resource": {"topic": "", "node": ""}},
    }  # fmt: skip
    data.update(changes)
    return {key: value for key, value in data.items() if value is not None}


def older(**changes: Any) -> dict[str, Any]:
    """The shape before, with what is parallel in arrays of its own."""
    return {
        "Manufacturer": "STMicroelecronics", "Market": "Consumer", "Model": "LPS22HH",
        "Type": {"environmental": ["Pressure", "Temperature"]}, "Unit": ["hPa", "Celsius"], "Interface": ["I2C", "SPI"],
        "Characteristics": {
            "accuracy": [0.5, 1.5], "samplingRate": {"unit": ["Hz", "Hz"], "value": [200, 10]},
            "consumption": {"unit": "μA", "value": 12},
        },
        **changes,
    }  # fmt: skip


def rear(**changes: Any) -> dict[str, Any]:
    """The shape of REAR's data models."""
    return {
        "Characteristics": {
            "SensorType": "Temperature", "SensorModel": "X100", "SensorManufacturer": "ExampleSense",
            "SensorMarket": "Industrial", "SamplingRate": 200, "Accuracy": 97, "Consumption": 40, "Interface": "SPI",
            "Latency": 12, "additionalProperties": {"MeasurementUnit": "Celsius", "SamplingRateUnit": "milliseconds"},
            **changes,
        },
        "AccessType": {"HTTP": {"method": ["GET"]}},
    }  # fmt: skip
