"""What flavors can be asked for, under the names that the three spellings have for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from continuo.edge.sensors import units
from continuo.edge.sensors.model import K8SLICE, SENSOR, BadFilter


class Kind(Enum):
    """How values of a field are read and compared."""

    TEXT = "text"
    MANUFACTURER = "a manufacturer"
    TYPES = "types"
    """Any of several texts."""
    NUMBER = "a number"
    """Without a unit: accuracies have that of what is measured."""
    MEASURE = "a number with a unit"
    AMOUNT = "a Kubernetes quantity"


NUMBERS = frozenset({Kind.NUMBER, Kind.MEASURE, Kind.AMOUNT})


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that can be asked for."""

    name: str
    """In `where` expressions, and on the wire."""
    kind: Kind
    selector: str
    """The key in the filters of a selector."""
    others: tuple[str, ...] = ()
    """What else it is called on the wire."""
    dimension: units.Dimension | None = None

    @property
    def is_number(self) -> bool:
        return self.kind in NUMBERS


_SENSOR = (
    Field("uid", Kind.TEXT, "uidFilter"),
    Field("name", Kind.TEXT, "nameFilter"),
    Field("node", Kind.TEXT, "nodeFilter"),
    Field("type", Kind.TYPES, "typeFilter", ("sensor_type",)),
    Field("category", Kind.TEXT, "categoryFilter"),
    Field("model", Kind.TEXT, "modelFilter", ("sensor_model",)),
    Field("manufacturer", Kind.MANUFACTURER, "manufacturerFilter", ("sensor_manufacturer",)),
    Field("market", Kind.TEXT, "marketFilter", ("sensor_market",)),
    Field("samplingRate", Kind.MEASURE, "srateFilter", ("sampling_rate", "srate"), units.RATE),
    Field("accuracy", Kind.NUMBER, "accuracyFilter"),
    Field("consumption", Kind.MEASURE, "consumptionFilter", (), units.CONSUMPTION),
    Field("latency", Kind.MEASURE, "latencyFilter", (), units.LATENCY),
)
_K8SLICE = (
    Field("architecture", Kind.TEXT, "architectureFilter"),
    Field("cpu", Kind.AMOUNT, "cpuFilter"),
    Field("memory", Kind.AMOUNT, "memoryFilter"),
    Field("pods", Kind.AMOUNT, "podsFilter"),
    Field("storage", Kind.AMOUNT, "storageFilter"),
    Field("gpu", Kind.AMOUNT, "gpuFilter"),
)
_TYPES: Mapping[str, tuple[Field, ...]] = {SENSOR.casefold(): _SENSOR, K8SLICE.casefold(): _K8SLICE}
_SPELLED = {SENSOR.casefold(): SENSOR, K8SLICE.casefold(): K8SLICE}


def flavor_type(text: str) -> str:
    """A flavor's type as objects spell it, from `Sensor` or `sensor`; raises BadFilter."""
    found = _SPELLED.get(str(text).casefold())
    if found is None:
        raise BadFilter(f"flavors of type {units.brief(text)} cannot be filtered; there are {SENSOR} and {K8SLICE}")
    return found


def by_name(kind: str) -> Mapping[str, Field]:
    """The fields of a type of flavors by their names in `where`."""
    return MappingProxyType({field.name: field for field in _TYPES[flavor_type(kind).casefold()]})


def on_the_wire(kind: str) -> Mapping[str, Field]:
    """By all names that query strings have for them."""
    fields = by_name(kind).values()
    return {name: field for field in fields for name in (field.name, *field.others)}


def in_selectors(kind: str) -> Mapping[str, Field]:
    """By their keys in selectors."""
    return {field.selector: field for field in by_name(kind).values()}
