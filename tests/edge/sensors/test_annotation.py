"""Annotations in all their shapes, and forty ways to write them wrongly."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.edge.sensors.annotation import Limits, decode
from continuo.edge.sensors.model import Measured, Problem, Sensor
from continuo.edge.sensors.names import manufacturer
from continuo.edge.sensors.reading import sensor_of
from continuo.edge.sensors.shapes import described

from .descriptions import decoded, encoded, fork, older, one, rear


def test_the_present_shape() -> None:
    sensor = one([fork()])
    assert (sensor.uid, sensor.model, sensor.category) == ("hum-1", "hts221", "Environmental")
    assert (sensor.latency, sensor.consumption, sensor.sampling_rate) == (Decimal(14), Decimal("0.9"), Decimal(10))
    assert sensor.quantities == (
        Measured("Temperature", "C", Decimal("0.5"), "", Decimal(10)),
        Measured("Humidity", "%", Decimal("3.5"), "", Decimal(10)),
    )


def test_the_older_shape_has_one_rate_for_each_quantity_and_a_current_for_consumption() -> None:
    sensor = one([older()], device="stwin")
    assert (sensor.uid, sensor.model, sensor.manufacturer) == ("stwin-lps22hh", "lps22hh", "STMicroelectronics")
    assert sensor.consumption is None, "amperes are no watts"
    assert sensor.sampling_rate == 200
    assert [(q.type, q.unit, q.accuracy, q.interface, q.sampling_rate) for q in sensor.quantities] == [
        ("Pressure", "hPa", Decimal("0.5"), "I2C", 200), ("Temperature", "Celsius", Decimal("1.5"), "SPI", 10),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        [{"lps22hh": older(Model=None)}], {"lps22hh": older(Model=None)}, older(), [older()], {"sensors": [older()]},
        [{key.lower(): value for key, value in older().items()}],
    ],
    ids=["keyed", "object of models", "one object", "list", "wrapped", "small letters"],
)  # fmt: skip
def test_variants_of_the_older_shape_say_the_same(data: Any) -> None:
    assert one(data, device="stwin") == one([older()], device="stwin")


def test_one_device_of_several_models_under_their_names() -> None:
    found = decoded({"hts221": older(Model=None), "lps22hh": older(Model=None)}, device="b")
    assert [sensor.uid for sensor in found.sensors] == ["b-hts221", "b-lps22hh"]
    assert found.problems == ()


def test_rear_gives_a_period_where_others_give_a_rate() -> None:
    sensor = one(rear())
    assert (sensor.sampling_rate, sensor.latency, sensor.consumption) == (Decimal(5), Decimal(12), Decimal(40))
    assert (sensor.types, sensor.access, sensor.model) == (("Temperature",), "HTTP", "x100")
    assert one(rear(SamplingRate="50", additionalProperties={"SamplingRateUnit": "Hz"})).sampling_rate == 50


@pytest.mark.parametrize("data", [fork(), {"characteristics": fork()}, [{"Characteristics": fork()}]])
def test_one_object_and_what_flavors_say_will_do_as_well(data: Any) -> None:
    assert one(data) == one([fork()])


@pytest.mark.parametrize(
    ("written", "unit", "hertz"),
    [("10", "Hz", "10"), (10, "", "10"), ("2.5 kHz", "Hz", "2500"), ("100ms", "Hz", "10"), ("100", "ms", "10"),
     ("0.5", "s", "2"), ("1", "MHz", "1000000"), ("12.50", "hz", "12.5"), ("3", "ms", "333.3333333333333333333333333")],
)  # fmt: skip
def test_rates_and_periods(written: Any, unit: str, hertz: str) -> None:
    assert one([fork(samplingRate=written, properties={"unit": {"samplingRate": unit}})]).sampling_rate == Decimal(
        hertz
    )


@pytest.mark.parametrize(
    ("written", "unit", "ms"),
    [("14", "ms", "14"), ("0.014", "s", "14"), ("14000", "us", "14"), ("14000", "µs", "14"), ("14000", "μs", "14"),
     ("14ms", "s", "14"), (14.5, "", "14.5"), ("1e1", "ms", "10"), ("0", "ms", "0")],
)  # fmt: skip
def test_times(written: Any, unit: str, ms: str) -> None:
    assert one([fork(latency=written, properties={"unit": {"latency": unit}})]).latency == Decimal(ms)


@pytest.mark.parametrize(
    ("written", "unit", "mw"), [("0.9", "mW", "0.9"), ("1", "W", "1000"), ("1500", "uW", "1.5"), ("80", "uA", None)]
)
def test_powers(written: str, unit: str, mw: str | None) -> None:
    found = one([fork(consumption=written, properties={"unit": {"consumption": unit}})]).consumption
    assert found == (None if mw is None else Decimal(mw))


@pytest.mark.parametrize(
    "spelled", ["STMicroelecronics", "STMicroelectronics", "ST", "st-microelectronics", "STM32", "STMicro", " stm "]
)
def test_one_manufacturer_of_many_names(spelled: str) -> None:
    assert manufacturer(spelled) == "STMicroelectronics"
    assert manufacturer("Somebody Else") == "Somebody Else"


def test_what_lacks_a_number_has_none() -> None:
    sensor = one([fork(latency=None, consumption="", samplingRate=None, accuracy=None, market=None)])
    assert (sensor.latency, sensor.consumption, sensor.sampling_rate, sensor.market) == (None, None, None, "")
    assert [quantity.accuracy for quantity in sensor.quantities] == [None, None]


def test_base64_may_have_line_breaks_and_may_be_missing() -> None:
    text = encoded([fork()])
    broken = "\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    assert decode(broken) == decode(text) == decode(json.dumps([fork()]))


def test_a_bad_entry_hurts_none_beside_it() -> None:
    found = decoded([fork("a"), {"uid": "b"}, 7, fork("c"), fork("a"), fork("d", latency="soon")])
    assert [sensor.uid for sensor in found.sensors] == ["a", "c"]
    assert [problem.where for problem in found.problems] == [
        "sensors[1].model", "sensors[2]", "sensors[4].uid", "sensors[5].latency",
    ]  # fmt: skip


DEEP = "[" * 13 + "]" * 13
BAD: list[tuple[str, Any, str]] = [
    ("empty", "", "sensors: is empty; it must be base64 of JSON"),
    ("no base64", "not base64!", "sensors: is no base64: "),
    ("padding", "W3sidWlk", "is base64 of no JSON: "),
    ("cut", encoded([fork()])[:-3], "sensors: is no base64: invalid base64-encoded string: number of data characters"),
    ("bytes", base64.b64encode(b"\xff\xfe").decode(), "is base64 of something that is not UTF-8 (at byte 0)"),
    ("no json", base64.b64encode(b"sensors: none").decode(), "is base64 of no JSON: Expecting value at line 1, column 1"),
    ("deep", base64.b64encode(DEEP.encode()).decode(), "is nested deeper than 12 levels"),
    ("large", "A" * (256 * 1024 + 1), "has 262145 characters; at most 262144 are allowed"),
    ("NaN", "[NaN]", "has NaN, which is no number of JSON"),
    ("digits", f"[{'9' * 80}]", "has a number of 80 characters; at most 60"),
    ("double key", '[{"uid": "a", "uid": "b"}]', "has the key 'uid' twice in one object"),
    ("number", "NQ==", "must be a list of sensors, and is 5"),
    ("text", encoded("hts221"), "must be a list of sensors, and is 'hts221'"),
    ("null", encoded(None), "must be a list of sensors, and is null"),
    ("none", encoded([]), "describes no sensor; leave the annotation out"),
    ("nothing", encoded({}), "describes no sensor"),
    ("many", encoded([7] * 513), "describes 513 sensors; at most 512 are allowed"),
    ("entry", [["a"]], "sensors[0]: must be an object, and is a list"),
    ("model", [fork(model=None)], "sensors[0].model: is missing; every sensor needs it"),
    ("empty model", [fork(model=" ")], "sensors[0].model: must not be empty"),
    ("manufacturer", [fork(manufacturer=None)], "sensors[0].manufacturer: is missing"),
    ("type", [fork(type=None)], "sensors[0].type.sensorType: is missing; it says what is measured"),
    ("type text", [fork(type="Humidity")], "sensors[0].type: must be an object, and is 'Humidity'"),
    ("types", [fork(type={"sensorType": [{}]})], "sensors[0].type.sensorType[0]: must be text, and is an object"),
    ("twice", [fork(type={"sensorType": ["A", "a"]})], "has a quantity twice; name each once"),
    ("forty", [fork(type={"sensorType": [f"q{n}" for n in range(40)]})], "has 40 quantities; at most 32"),
    ("control", [fork(uid="a\x00b")], "sensors[0].uid: must be of one line without control characters"),
    ("long", [fork(uid="x" * 300)], "sensors[0].uid: has 300 characters; at most 253"),
    ("uid", [fork(uid={"a": 1})], "sensors[0].uid: must be text, and is an object"),
    ("latency", [fork(latency="fast")], "sensors[0].latency: must be a number, perhaps with a unit, not 'fast'"),
    ("negative", [fork(latency="-3")], "sensors[0].latency: must not be negative, and is '-3'"),
    ("unit", [fork(latency="3 furlongs")], "is a time such as 14ms; 'furlongs' is no unit of it"),
    ("watts", [fork(consumption="3 ms")], "sensors[0].consumption: is a power such as 0.9mW; 'ms' is no unit of it"),
    ("zero period", [fork(samplingRate="0 ms")], "is a period of 0 ms, which is no rate"),
    ("true", [fork(samplingRate=True)], "sensors[0].samplingRate: must be a number, perhaps with a unit, not true"),
    ("accuracies", [fork(accuracy=["1", "2", "3"])], "sensors[0].accuracy: has 3 entries for 2 quantities"),
    ("accuracy", [fork(accuracy=["1", "x"])], "sensors[0].accuracy[1]: must be a number"),
    ("measurement", [fork(properties={"unit": {"measurement": ["a", "b", "c"]}})], "measurement: has 3 entries"),
    ("properties", [fork(properties=[])], "sensors[0].properties: must be an object, and is a list"),
    ("wildcard", [fork(access={"resource": {"topic": "a/+/b"}})], "access.resource.topic: 'a/+/b' has a wildcard"),
    ("slash", [fork(access={"resource": {"topic": "/a"}})], "must neither begin nor end with a slash"),
    ("older units", [older(Unit=["a", "b", "c"])], "sensors[0].Unit: has 3 entries for 2 quantities"),
    ("older rates", [older(Characteristics={"samplingRate": {"value": [1, 2, 3]}})], "value: has 3 entries"),
    ("older type", [older(Type={})], "sensors[0].Type: is empty; it says what is measured"),
    ("rear model", [rear(SensorModel=None)], "sensors[0].Characteristics.SensorModel: is missing"),
    ("rear rate", [rear(SamplingRate="often")], "Characteristics.SamplingRate: must be a number"),
    ("no uid twice", [older(), older()], "would be the uid, as there is none, and is that of sensors[0] already"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "says"), BAD, ids=[name for name, _, _ in BAD])
def test_what_is_wrong_is_said_with_its_place(name: str, data: Any, says: str) -> None:
    found = decode(data if isinstance(data, str) else encoded(data))
    assert says in "\n".join(map(str, found.problems))


def test_limits_are_arguments() -> None:
    found = decode(encoded([fork("a"), fork("b")]), limits=Limits(sensors=1))
    assert found.problems == (Problem("sensors", "describes 2 sensors; at most 1 are allowed"),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["uid", "type", "model", "Characteristics", "SensorType", "access", "accuracy", "unit", "x"])
        | st.text(max_size=4), inner, max_size=4,
    ), max_leaves=12,
)  # fmt: skip


@given(st.text() | st.binary().map(lambda data: base64.b64encode(data).decode()) | JSON.map(encoded))
def test_decoding_never_raises(text: str) -> None:
    found = decode(text)
    assert found.sensors or found.problems


@given(st.sampled_from(sorted(fork())), JSON)
def test_one_key_of_anything_never_raises(key: str, value: Any) -> None:
    found = decoded([fork("ok"), fork("odd") | {key: value}])
    assert found.sensors[0].uid == "ok"
    assert len(found.sensors) + len(found.problems) == 2


NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)
NUMBERS = st.none() | st.decimals(0, 10**6, places=3, allow_nan=False).map(lambda value: value.normalize() + 0)


@st.composite
def sensors(draw: st.DrawFn) -> Sensor:
    rates = draw(st.lists(NUMBERS.filter(lambda rate: rate != 0), min_size=1, max_size=4))
    types = draw(st.lists(NAMES, min_size=len(rates), max_size=len(rates), unique_by=str.casefold))
    quantities = tuple(
        Measured(name, draw(NAMES), draw(NUMBERS), draw(NAMES), rate) for name, rate in zip(types, rates, strict=True)
    )
    return Sensor(
        uid=draw(NAMES), model=draw(NAMES).lower(), manufacturer=manufacturer(draw(NAMES)), category=draw(NAMES),
        name=draw(NAMES), quantities=quantities, consumption=draw(NUMBERS), latency=draw(NUMBERS),
        sampling_rate=max((rate for rate in rates if rate is not None), default=None), topic=draw(NAMES),
    )  # fmt: skip


@given(sensors())
def test_what_a_flavor_says_is_read_back(sensor: Sensor) -> None:
    again = sensor_of(json.loads(json.dumps(described(sensor).type_data)))
    assert again == sensor
