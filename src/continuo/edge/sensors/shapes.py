"""The shapes in which sensors are described, each brought into one.

fork        {uid, model, manufacturer, type: {sensorCategory, sensorType: []}, accuracy: [], properties: {unit}, access}
older       {"hts221": {Manufacturer, Type: {category: [quantities]}, Unit: [], Interface: [], Characteristics: {...}}},
            or what is under the model's name alone
REAR        {Characteristics: {SensorType, SamplingRate (ms), Accuracy (percent), ...}, AccessType}
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from continuo.edge.sensors import parts, units
from continuo.edge.sensors.model import BadSensor, Measured, Sensor
from continuo.edge.sensors.names import manufacturer
from continuo.edge.sensors.parts import Entry, parallel

MOST_QUANTITIES = 32


def sensor_from(data: Any, where: str, device: str = "") -> Sensor:
    """The sensor that an object of any shape describes; raises BadSensor."""
    entry = Entry(data, where)
    if "SensorType" in entry.entry_or_empty("Characteristics"):
        return _rear(entry, device)
    if _is_characteristics(entry):
        entry = entry.entry("characteristics")
    elif len(entry.data) == 1 and isinstance(next(iter(entry.data.values())), dict):
        (model,) = entry.data
        return _older(Entry(entry.data[model], f"{where}.{model}"), str(model), device)
    kind = entry.get("type")
    if isinstance(kind, dict) and "sensorType" not in entry.entry("type"):
        return _older(entry, "", device)
    return _fork(entry, device)


def _is_characteristics(entry: Entry) -> bool:
    """Whether this is `typeData`, with everything under one key; the older shape has that key beside others."""
    inner = entry.entry_or_empty("characteristics")
    return "type" in inner or "uid" in inner


# --- the fork's -------------------------------------------------------------------------------------------------------
def _fork(entry: Entry, device: str) -> Sensor:
    properties, access = entry.entry("properties"), entry.entry("access")
    unit, resource = properties.entry("unit"), access.entry("resource")
    rate = entry.number("samplingRate", units.RATE, unit.text("samplingRate"))
    model = entry.text("model", required=True).lower()
    uid, named = _uid(entry, model, device)
    sensor = Sensor(
        uid=uid, named=named, model=model, manufacturer=manufacturer(entry.text("manufacturer", required=True)),
        category=entry.entry("type").text("sensorCategory"), name=entry.text("name"), market=entry.text("market"),
        node=entry.text("node"), sampling_rate=rate, quantities=_quantities(entry, properties, unit, rate),
        consumption=entry.number("consumption", units.CONSUMPTION, unit.text("consumption")),
        latency=entry.number("latency", units.LATENCY, unit.text("latency")),
        access=access.text("type") or "MQTT", source=access.text("source"),
        topic=_topic(resource), topic_node=resource.text("node"),
    )  # fmt: skip
    return replace(sensor, type_data={"characteristics": _kept(entry, sensor)})


def _quantities(entry: Entry, properties: Entry, unit: Entry, rate: Decimal | None) -> tuple[Measured, ...]:
    kind, order = entry.entry("type"), "in the order of sensorType"
    types = _types(kind, "sensorType")
    measured = parallel(list(unit.texts("measurement", empty=True)), len(types), unit.at("measurement"), order)
    accuracies = _accuracies(entry.values("accuracy"), len(types), entry.at("accuracy"))
    interfaces = parallel(
        list(properties.texts("interface", empty=True)), len(types), properties.at("interface"), order
    )
    own = properties.values("samplingRates")
    rates = parallel(own, len(types), properties.at("samplingRates"), order) if own else [None] * len(types)
    return tuple(
        Measured(
            name, measured[at] or "", accuracies[at], interfaces[at] or "",
            rate if (own_rate := rates[at]) is None else _rate(own_rate, "Hz"),
        )
        for at, name in enumerate(types)
    )  # fmt: skip


def _kept(entry: Entry, sensor: Sensor) -> dict[str, Any]:
    """What was written, as far as it can be kept: numbers as text, names as they are usual, all that we do not know."""
    kept = {key: _plain(value) for key, value in entry.data.items()}
    for key, value in kept.items():
        if isinstance(value, int) and not isinstance(value, bool):
            kept[key] = str(value)
        elif key == "accuracy" and isinstance(value, list):
            kept[key] = ["" if one is None else str(one) for one in value]
    return {**kept, "uid": sensor.uid, "model": sensor.model, "manufacturer": sensor.manufacturer}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _topic(resource: Entry) -> str:
    text = resource.text("topic", longest=parts.LONGEST_TOPIC)
    return parts.topic_of(text, resource.at("topic")) if text else ""


def _types(kind: Entry, key: str) -> tuple[str, ...]:
    types = kind.texts(key)
    if not types:
        raise BadSensor(kind.at(key), "is missing; it says what is measured, such as Humidity")
    if len(types) > MOST_QUANTITIES:
        raise BadSensor(kind.at(key), f"has {len(types)} quantities; at most {MOST_QUANTITIES} are allowed")
    if len({name.casefold() for name in types}) != len(types):
        raise BadSensor(kind.at(key), "has a quantity twice; name each once")
    return types


def _uid(entry: Entry, model: str, device: str) -> tuple[str, bool]:
    """The uid, and whether it was given."""
    own = entry.text("uid")
    return (own, True) if own else ("-".join(part for part in (device, model) if part), False)


def _accuracies(values: list[tuple[Any, str]], wanted: int, where: str) -> list[Decimal | None]:
    given = parallel(values, wanted, where, "in the order of sensorType")
    return [None if value is None else _accuracy(*value) for value in given]


def _accuracy(value: Any, where: str) -> Decimal | None:
    """What may be off; a sign before it and a unit behind it are for people."""
    if value is None or value == "":
        return None
    try:
        return units.split(value.strip().lstrip("\u00b1+-") if isinstance(value, str) else value)[0]
    except units.BadNumber as problem:
        raise BadSensor(where, str(problem)) from problem


# --- the older one ----------------------------------------------------------------------------------------------------
def _older(entry: Entry, key: str, device: str) -> Sensor:
    kind, features = entry.entry("type"), entry.entry("characteristics")
    categories = list(kind.data)
    if not categories:
        raise BadSensor(kind.where, 'is empty; it says what is measured, such as {"Environmental": ["Humidity"]}')
    types = tuple(name for category in categories for name in _types(kind, category))
    if len({name.casefold() for name in types}) != len(types):
        raise BadSensor(kind.where, "has a quantity twice; name each once")
    unit = parallel(
        list(entry.texts("unit", empty=True)), len(types), entry.at("unit"), "in the order of the quantities"
    )
    interface = parallel(list(entry.texts("interface", empty=True)), len(types), entry.at("interface"), "in that order")
    accuracies = _accuracies(features.values("accuracy"), len(types), features.at("accuracy"))
    rates = _rates(features.entry_or_value("samplingRate"), len(types))
    model = (entry.text("model") or key).lower()
    if not model:
        raise BadSensor(entry.at("model"), "is missing; every sensor needs it")
    uid, named = _uid(entry, model, device)
    sensor = Sensor(
        uid=uid, named=named, model=parts.text_of(model, entry.at("model")),
        manufacturer=manufacturer(entry.text("manufacturer", required=True)), market=entry.text("market"),
        name=entry.text("name"), category=str(categories[0]).strip(),
        quantities=tuple(
            Measured(name, unit[at] or "", accuracies[at], interface[at] or "", rates[at]) for at, name in enumerate(types)
        ),
        sampling_rate=max((rate for rate in rates if rate is not None), default=None),
        consumption=_with_unit(features.entry_or_value("consumption"), units.CONSUMPTION),
        latency=_with_unit(features.entry_or_value("latency"), units.LATENCY),
    )  # fmt: skip
    return described(sensor)


def _with_unit(entry: Entry, dimension: units.Dimension) -> Decimal | None:
    return entry.number("value", dimension, entry.text("unit"))


def _rates(entry: Entry, wanted: int) -> list[Decimal | None]:
    given = parallel(entry.values("value"), wanted, entry.at("value"), "in the order of the quantities")
    unit = parallel(list(entry.texts("unit", empty=True)), wanted, entry.at("unit"), "in the order of the quantities")
    return [None if value is None else _rate(value, unit[at] or "") for at, value in enumerate(given)]


def _rate(value: tuple[Any, str], unit: str) -> Decimal | None:
    written, where = value
    return None if written in (None, "") else parts.number_of(written, where, units.RATE, unit)


# --- REAR's data model ------------------------------------------------------------------------------------------------
def _rear(entry: Entry, device: str) -> Sensor:
    features = entry.entry("Characteristics")
    more = features.entry("additionalProperties")
    model = features.text("SensorModel", required=True).lower()
    uid, named = _uid(features, model, device)
    rate = features.number("SamplingRate", units.RATE, more.text("SamplingRateUnit") or "ms")
    types = _types(features, "SensorType")
    accuracies = _accuracies(features.values("Accuracy"), len(types), features.at("Accuracy"))
    unit, interface = more.text("MeasurementUnit"), features.text("Interface")
    sensor = Sensor(
        uid=uid, named=named, model=model, manufacturer=manufacturer(features.text("SensorManufacturer", required=True)),
        market=features.text("SensorMarket"), category="", name=features.text("name"),
        quantities=tuple(Measured(kind, unit, accuracies[at], interface, rate) for at, kind in enumerate(types)),
        sampling_rate=rate,
        consumption=features.number("Consumption", units.CONSUMPTION, more.text("ConsumptionUnit")),
        latency=features.number("Latency", units.LATENCY, more.text("LatencyUnit")),
        access=_access(entry, more),
    )  # fmt: skip
    return described(sensor)


def _access(entry: Entry, more: Entry) -> str:
    said = more.text("AccessProtocol")
    if said:
        return said
    kind = entry.entry("AccessType")
    return "HTTP" if "HTTP" in kind or "method" in kind else "MQTT"


# --- the one shape ----------------------------------------------------------------------------------------------------
def described(sensor: Sensor) -> Sensor:
    """The sensor with `typeData` in the shape of Flavors, where all that is known of it stands."""
    named = sensor if sensor.name else replace(sensor, name=sensor.model)
    return replace(named, type_data={"characteristics": characteristics(named)})


def characteristics(sensor: Sensor) -> dict[str, Any]:
    """What a Flavor says about a sensor: all of it text, numbers in ms, mW and Hz."""
    unit: dict[str, Any] = {"measurement": [quantity.unit for quantity in sensor.quantities]}
    properties: dict[str, Any] = {"unit": unit}
    made: dict[str, Any] = {
        "uid": sensor.uid, "node": sensor.node, "name": sensor.name or sensor.model, "model": sensor.model,
        "manufacturer": sensor.manufacturer,
        "type": {"sensorCategory": sensor.category, "sensorType": list(sensor.types)},
        "properties": properties,
        "access": {
            "type": sensor.access, "source": sensor.source,
            "resource": {"topic": sensor.topic, "node": sensor.topic_node},
        },
    }  # fmt: skip
    if sensor.market:
        made["market"] = sensor.market
    if any(quantity.accuracy is not None for quantity in sensor.quantities):
        made["accuracy"] = ["" if one.accuracy is None else units.plain(one.accuracy) for one in sensor.quantities]
    if any(quantity.interface for quantity in sensor.quantities):
        properties["interface"] = [quantity.interface for quantity in sensor.quantities]
    if any(quantity.sampling_rate != sensor.sampling_rate for quantity in sensor.quantities):
        rates = (quantity.sampling_rate for quantity in sensor.quantities)
        properties["samplingRates"] = ["" if rate is None else units.plain(rate) for rate in rates]
    for key, value, name in (
        ("samplingRate", sensor.sampling_rate, "Hz"),
        ("consumption", sensor.consumption, "mW"),
        ("latency", sensor.latency, "ms"),
    ):
        if value is not None:
            made[key] = units.plain(value)
            unit[key] = name
    return made
