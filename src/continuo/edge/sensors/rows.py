"""Flavors flattened for filters: one row each, made once per version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from continuo.edge.sensors import units
from continuo.edge.sensors.model import BadSensor, Sensor
from continuo.edge.sensors.names import folded
from continuo.expressions.where import ABSENT, Absent


class Several:
    """Some texts that count as one: whatever holds of one of them holds of it."""

    __slots__ = ("_texts",)

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = frozenset(texts)

    def __eq__(self, other: object) -> bool:
        return self is other or other in self._texts

    def __ne__(self, other: object) -> bool:
        return self is not other and other not in self._texts

    def __hash__(self) -> int:
        return hash(self._texts)

    def _never(self, _: object) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _never

    def startswith(self, part: str) -> bool:
        """Whether one of them does."""
        return any(text.startswith(part) for text in self._texts)

    def endswith(self, part: str) -> bool:
        """Whether one of them does."""
        return any(text.endswith(part) for text in self._texts)

    def __contains__(self, part: str) -> bool:
        return any(part in text for text in self._texts)

    def matching(self, test: Callable[[str], bool]) -> bool:
        """Whether one of them passes a test."""
        return any(map(test, self._texts))


class SensorRow(msgspec.Struct, gc=False, eq=False):
    """One sensor. Text is folded, so that case does not matter; what is not known is absent."""

    item: Any
    uid: str | Absent
    name: str | Absent
    node: str | Absent
    type: Any
    category: str | Absent
    model: str | Absent
    manufacturer: str | Absent
    market: str | Absent
    samplingRate: Decimal | Absent
    accuracy: Decimal | Absent
    consumption: Decimal | Absent
    latency: Decimal | Absent
    accuracies: Mapping[str, Decimal]
    """By quantity and category; `accuracy` is the worst of them."""
    rates: Mapping[str, Decimal]
    """By quantity and category."""
    types: frozenset[str]
    """What `type` is any of."""


class SliceRow(msgspec.Struct, gc=False, eq=False):
    """One slice of a cluster."""

    item: Any
    architecture: str | Absent
    cpu: Decimal | Absent
    memory: Decimal | Absent
    pods: Decimal | Absent
    storage: Decimal | Absent
    gpu: Decimal | Absent


def sensor_row(sensor: Sensor, item: Any = None) -> SensorRow:
    """The row of a sensor; `item` is what a query finds."""
    accuracies = {folded(one.type): one.accuracy for one in sensor.quantities if one.accuracy is not None}
    rates = {folded(one.type): one.sampling_rate for one in sensor.quantities if one.sampling_rate is not None}
    worst, fastest = max(accuracies.values(), default=None), sensor.sampling_rate
    category = folded(sensor.category)
    types = frozenset(text for text in (*map(folded, sensor.types), category) if text)
    if worst is not None:
        accuracies.setdefault(category, worst)
    if fastest is not None:
        rates.setdefault(category, fastest)
    return SensorRow(
        item, _text(sensor.uid), _text(sensor.name), _text(sensor.node),
        Several(types),
        _text(category), _text(sensor.model), _text(sensor.manufacturer), _text(sensor.market),
        _or_absent(fastest), _or_absent(worst), _or_absent(sensor.consumption), _or_absent(sensor.latency),
        accuracies, rates, types,
    )  # fmt: skip


def slice_row(type_data: Any, item: Any = None) -> SliceRow:
    """The row of a K8Slice's `typeData`, as objects or as the wire spell it; raises BadSensor."""
    if not isinstance(type_data, Mapping):
        raise BadSensor("typeData", f"must be an object, and is {units.brief(type_data)}")
    data = type_data.get("characteristics") or type_data.get("charateristics") or {}
    if not isinstance(data, Mapping):
        raise BadSensor("typeData.characteristics", f"must be an object, and is {units.brief(data)}")
    gpu = data.get("gpu") if isinstance(data.get("gpu"), Mapping) else {}
    return SliceRow(
        item, _text(str(data.get("architecture") or "")), _amount(data, "cpu"), _amount(data, "memory"),
        _amount(data, "pods"), _amount(data, "storage"), _amount(gpu or {}, "cores"),
    )  # fmt: skip


def _amount(data: Mapping[str, Any], key: str) -> Decimal | Absent:
    written = data.get(key)
    if written is None or written == "":
        return ABSENT
    try:
        return units.amount(Decimal(repr(written)) if isinstance(written, float) else written)
    except units.BadNumber as problem:
        raise BadSensor(f"typeData.characteristics.{key}", str(problem)) from problem


def _text(text: str) -> str | Absent:
    return folded(text) or ABSENT


def _or_absent(value: Decimal | None) -> Decimal | Absent:
    return ABSENT if value is None else value
