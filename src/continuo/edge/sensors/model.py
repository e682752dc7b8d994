"""One sensor, with numbers that can be compared: whatever they were written in, time is in ms, power in mW, rates in Hz."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

SENSOR, K8SLICE = "Sensor", "K8Slice"
"""The types of Flavors that can be asked for, as they are spelled in objects."""


class BadSensor(ValueError):
    """Something that does not describe a sensor; `str()` is a sentence, `where` the place of what is wrong."""

    def __init__(self, where: str, sentence: str) -> None:
        super().__init__(sentence)
        self.where, self.sentence = where, sentence


class BadFilter(ValueError):
    """A filter that cannot be used; `str()` is a sentence with the place in it, to be answered with 400."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in an annotation, and where: `sensors[2].latency`."""

    where: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Measured:
    """One quantity that a sensor measures."""

    type: str
    """`Humidity`, as it was written."""
    unit: str = ""
    accuracy: Decimal | None = None
    """In `unit`, or in percent where the sensor says so; the smaller the better."""
    interface: str = ""
    sampling_rate: Decimal | None = None
    """Readings a second (Hz)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """What somebody can buy readings of."""

    uid: str
    model: str
    """In lower case: `hts221`."""
    manufacturer: str
    """By its usual name, where that is known; else as it was written."""
    category: str
    quantities: tuple[Measured, ...]
    name: str = ""
    market: str = ""
    node: str = ""
    """The edge node that the sensor is attached to."""
    sampling_rate: Decimal | None = None
    """Readings a second (Hz); of several quantities, that of the one which is read most often."""
    consumption: Decimal | None = None
    """mW."""
    latency: Decimal | None = None
    """ms."""
    access: str = "MQTT"
    source: str = ""
    """The RuleEndpoint that readings come from."""
    topic: str = ""
    """Without the namespace of the Rule, which stands before it on the edge."""
    topic_node: str = ""
    """The edge node on which the topic is published."""
    named: bool = field(default=True, compare=False)
    """Whether the uid was given. In shapes without one it is made of the device's name and the model."""
    type_data: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The `typeData` of its Flavor: one key, `characteristics`."""

    @property
    def types(self) -> tuple[str, ...]:
        """The names of what it measures."""
        return tuple(quantity.type for quantity in self.quantities)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What an annotation says: the sensors that are well described, and what is wrong with the others."""

    sensors: tuple[Sensor, ...]
    problems: tuple[Problem, ...] = ()
