"""Three spellings of what is asked, one meaning."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.edge.sensors.criteria import Criteria, matches
from continuo.edge.sensors.fields import by_name
from continuo.edge.sensors.filters import from_selector
from continuo.edge.sensors.index import Index, matches_flavor
from continuo.edge.sensors.model import K8SLICE, SENSOR, BadFilter, Sensor
from continuo.edge.sensors.query import from_query, to_query
from continuo.edge.sensors.where import from_where
from continuo.resources.kinds import FLAVOR
from continuo.resources.meta import Object

from .descriptions import fork, older, one

FAST = one([fork("fast", latency="14", manufacturer="STMicroelecronics")])
SLOW = one([fork("slow", latency="0.02", properties={"unit": {"latency": "s"}})])
BARE = one([fork("bare", latency=None, consumption=None, samplingRate=None, accuracy=None, market=None)])
RATES = one([older()], device="rates")
ALL = {sensor.uid: sensor for sensor in (FAST, SLOW, BARE, RATES)}


def found(criteria: Criteria) -> set[str]:
    return {uid.removesuffix("-lps22hh") for uid, sensor in ALL.items() if matches(criteria, sensor)}


def match(value: Any) -> dict[str, Any]:
    return {"name": "Match", "data": {"value": value}}


def bounds(**data: Any) -> dict[str, Any]:
    return {"name": "Range", "data": data}


def test_the_slides_example_tells_two_sensors_apart() -> None:
    asked = 'type == "Humidity" && manufacturer == "STMicroelectronics" && latency < {}ms'
    assert found(from_where(asked.format(16))) == {"fast"}
    assert found(from_where(asked.format(25))) == {"fast", "slow"}
    assert found(from_where(asked.format(14))) == set()
    assert found(from_where('type == "Humidity" && manufacturer == "STM32" && latency < 16ms')) == {"fast"}


@pytest.mark.parametrize(
    ("where", "query", "selector"),
    [
        ('type == "Humidity"', {"filter[sensor_type][match]": "Humidity"}, {"typeFilter": match("Humidity")}),
        ("latency <= 14ms", {"filter[latency][range][max]": "14"}, {"latencyFilter": bounds(max="14ms")}),
        ("latency < 0.014s", {"filter[latency][lt]": "14ms"}, {"latencyFilter": bounds(lt=14)}),
        ("latency > 14ms", {"filter[latency][gt]": "14000us"}, {"latencyFilter": bounds(gt="14")}),
        ("latency == 14", {"filter[latency][exact]": "14 ms"}, {"latencyFilter": match(14)}),
        ("samplingRate >= 5Hz", {"filter[sampling_rate][range][min]": "5"}, {"srateFilter": bounds(min="5 Hz")}),
        ("samplingRate < 50ms", {"filter[samplingRate][lt]": "50ms"}, {"srateFilter": bounds(lt="50 ms")}),
        ("samplingRate == 10Hz", {"filter[sampling_rate][exact]": "10"}, {"srateFilter": match("100ms")}),
        ("consumption <= 0.0009W", {"filter[consumption][range][max]": "0.9"}, {"consumptionFilter": bounds(max="900uW")}),
        ('manufacturer == "st"', {"filter[manufacturer][match]": "STM32"}, {"manufacturerFilter": match("ST")}),
        ('model.matches("^hts")', {"filter[model][regex]": "^hts"}, {"modelFilter": bounds(regex="^hts")}),
        ('market == "industrial"', {"filter[market][match]": "industrial"}, {"marketFilter": match("industrial")}),
        ('node == "edge-a"', {"filter[node][match]": "edge-a"}, {"nodeFilter": match("edge-a")}),
        ('uid == "FAST"', {"filter[uid]": "FAST"}, {"uidFilter": match("FAST")}),
        (
            'type == "Humidity" && accuracy <= 3.5',
            {"filter[type][match]": "Humidity", "filter[accuracy][range][max]": "3.5"},
            {"typeFilter": match("Humidity"), "accuracyFilter": bounds(max="3.5")},
        ),
        ("true", {}, {}),
    ],
)  # fmt: skip
def test_all_three_agree(where: str, query: dict[str, str], selector: dict[str, Any]) -> None:
    expected = from_where(where)
    assert from_query("sensor", query.items()) == expected
    assert from_selector("Sensor", selector) == expected
    assert from_query("Sensor", [("where", where)]) == expected == from_selector("sensor", {"where": where})


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("latency < 14ms", ""), ("latency <= 14ms", "fast"), ("latency >= 14ms", "fast slow"), ("latency > 14ms", "slow"),
        ("14ms < latency", "slow"), ("!(latency < 15ms)", "slow"), ("latency != 14ms", "slow"),
        ("has(latency)", "fast slow"), ("!has(latency)", "bare rates"), ("!has(market)", "bare"),
        ("latency in [14ms, 1s]", "fast"), ("!(latency in [14ms])", "slow"), ("latency + 5 < 20", "fast"),
        ('type == "humidity"', "fast slow bare"), ('type != "Humidity"', "rates"),
        ('type == "Environmental"', "fast slow bare rates"),
        ('type in ["Pressure", "Noise"]', "rates"), ('type.startsWith("Pres")', "rates"),
        ('type.matches("^hum.*y$")', "fast slow bare"),
        ('!type.contains("ress")', "fast slow bare"),
        ('type == "Temperature" && accuracy <= 0.5', "fast slow"), ("accuracy <= 0.5", ""), ("accuracy <= 1.5", "rates"),
        ('type == "Pressure" && type == "Temperature" && accuracy < 1', ""), ('accuracy["Pressure"] < 1', "rates"),
        ("accuracy.Temperature < 1", "fast slow"), ('type == "Environmental" && accuracy <= 1.5', "rates"),
        ("samplingRate >= 100Hz", "rates"), ('type == "Temperature" && samplingRate >= 100Hz', ""),
        ('type == "Temperature" && (samplingRate >= 10Hz || latency < 1ms)', "fast slow rates"),
        ("samplingRate < 50ms", "rates"), ("samplingRate > 50ms", "fast slow"),
        ('model.startsWith("HTS") && market.endsWith("rial")', "fast slow"), ('model.contains("22")', "fast slow bare rates"),
        ('model.matches("(hts|lps)2+[0-9]+(hh)?$")', "fast slow bare rates"), ('model.matches("HH$")', "rates"),
        ('!model.matches("hts")', "rates"), ("latency < 16ms || consumption < 1mW", "fast slow"),
        ("latency < 16ms ? true : false", "fast"), ("false", ""), ("quantity('14') == latency", "fast"),
        ('name == "latency < 16ms"', ""), ("consumption < 1.5e-3W", "fast slow"),
    ],
)  # fmt: skip
def test_where(where: str, names: str) -> None:
    assert found(from_where(where)) == set(names.split())


WHERE: list[tuple[str, str]] = [
    ("", "the expression is empty"),
    ("latency <", "the expression is no CEL at column 10: Syntax error"),
    ("latency < 16 parsec", "column 11: '16 parsec' has a unit that is not known; there are ms, s, us"),
    ("latency < 5mW", "latency is a time such as 14ms; 'mW' is no unit of it"),
    ("consumption < 5ms", "consumption is a power such as 0.9mW; 'ms' is no unit of it"),
    ("samplingRate < 5mW", "samplingRate is a rate such as 10Hz; 'mW' is no unit of it"),
    ("samplingRate > 0ms", "is a period of 0 ms, which is no rate"),
    ("accuracy < 5ms", "accuracy is compared with a number without a unit"),
    ('latency < "fast"', "latency must be a number, perhaps with a unit, not 'fast'"),
    ("latency < -5", "latency must not be negative, and is -5"),
    ("latency == true", "true, false, null and bytes are no values of flavors"),
    ("model == 5", "model is text; compare it with text in quotes"),
    ("model == 5ms", "model is text; compare it with text in quotes"),
    ("16ms", "16ms must be compared with a field, such as latency < 16ms"),
    ("16ms < 17ms", "16ms must be compared with a field"),
    ("latency", "latency is not a condition; compare it with something"),
    ("colour == 'red'", "undeclared reference to 'colour'; there are "),
    ("memory > 16Gi", "undeclared reference to 'memory'"),
    ("_a == 3", "column 1: there is no field _a; none begins with _"),
    ("has(colour)", "undeclared reference to 'colour'"),
    ('model.matches("(")', "the pattern '(' is none: missing )"),
    ('model.matches("' + "a" * 300 + '")', "the pattern has 300 characters; at most 256"),
    ("model.matches(uid)", "matches is for text and takes text in quotes"),
    ("latency.startsWith('1')", "startsWith is for text and takes text in quotes"),
    ("latency in model", "`in` wants a list"),
    ("model in ['a', 5]", "model is text; compare it with text in quotes"),
    ("[1, 2].exists(x, x > 1)", "a macro such as exists or all is not a condition"),
    ("size(model) > 3", "`size` cannot be used as a value here"),
    ("&&".join(["latency < 1ms"] * 200), "the expression has 2998 characters; at most 2048"),
    (" || ".join(["latency<1"] * 100), "the expression is too large; at most 256 parts"),
    (" + ".join(["1ms"] * 70) + " < latency", "the expression has more than 62 numbers with units"),
    ("!(" * 60 + "latency < 1" + ")" * 60, "Expression recursion limit exceeded"),
]


@pytest.mark.parametrize(("where", "says"), WHERE, ids=[where[:20] for where, _ in WHERE])
def test_bad_expressions(where: str, says: str) -> None:
    with pytest.raises(BadFilter) as raised:
        from_where(where)
    assert says in str(raised.value)
    assert not any(name in str(raised.value) for name in ("_a ", "Has", "Type ")) or where == "_a == 3"


QUERIES: list[tuple[str, str, str, str]] = [
    (
        "Sensor",
        "filter[colour][match]",
        "red",
        "filter[colour][match]: there is no such filter for Sensor; there are uid",
    ),
    ("Sensor", "filter[latency][near]", "5", "filter[latency][near]: there is no such operator"),
    ("Sensor", "filter[latency][range]", "5", "there is no such operator; there are match, exact"),
    ("Sensor", "filter[latency][range][max]", "soon", "latency must be a number, perhaps with a unit, not 'soon'"),
    ("Sensor", "filter[latency][range][max]", "", "latency is compared with nothing; give a value"),
    ("Sensor", "filter[latency][regex]", "1.", "latency is a number, which no regular expression is for"),
    ("Sensor", "filter[model][range][min]", "a", "model is text, which has no range; use match or regex"),
    ("Sensor", "filter[model][regex]", "(", "the pattern '(' is none"),
    ("Sensor", "filter[model", "a", "filter[model: there is no such filter"),
    ("Sensor", "filter[model][match]", "x" * 5000, "the text has 5000 characters; at most 2048"),
    ("Sensor", "where", "latency <", "where: the expression is no CEL"),
    ("Sensor", "filter[cpu][match]", "1", "there is no such filter for Sensor"),
    ("K8Slice", "filter[cpu][range][min]", "two", "must be a Kubernetes quantity such as 500m, 4 or 16Gi, not 'two'"),
    ("K8Slice", "filter[latency][match]", "1", "there is no such filter for K8Slice; there are architecture, cpu"),
    ("VM", "filter[cpu][match]", "1", "flavors of type 'VM' cannot be filtered; there are Sensor and K8Slice"),
]


@pytest.mark.parametrize(("kind", "key", "value", "says"), QUERIES)
def test_bad_queries(kind: str, key: str, value: str, says: str) -> None:
    with pytest.raises(BadFilter) as raised:
        from_query(kind, [(key, value)])
    assert says in str(raised.value)


SELECTORS: list[tuple[Any, str]] = [
    ([], "filters: must be an object such as {latencyFilter: ...}, and is a list"),
    (
        {"colourFilter": match("red")},
        "filters.colourFilter: there is no such filter for Sensor; there are accuracyFilter",
    ),
    ({"latencyFilter": "14"}, "filters.latencyFilter: must be an object with name and data, and is '14'"),
    (
        {"latencyFilter": {"name": "Near", "data": {}}},
        "filters.latencyFilter.name: must be Match or Range, and is 'Near'",
    ),
    ({"latencyFilter": {"name": "Range"}}, "filters.latencyFilter.data: must be an object, and is null"),
    ({"latencyFilter": bounds()}, "a Range of latency has gt or lt or max or min, and nothing else"),
    ({"latencyFilter": bounds(regex="1")}, "a Range of latency has gt or lt or max or min"),
    ({"latencyFilter": bounds(max="soon")}, "filters.latencyFilter.data: latency must be a number"),
    ({"latencyFilter": match(None)}, "latency must be a number, perhaps with a unit, not null"),
    ({"modelFilter": {"name": "Match", "data": {"regex": "a"}}}, "a Match of model has a value and nothing else"),
    ({"modelFilter": match({"a": 1})}, "model is compared with text, not with an object"),
    ({"modelFilter": bounds(min=1)}, "a Range of model has regex or values, and nothing else"),
    ({"modelFilter": bounds(values=[])}, "values must be a list of 1 to 64 entries"),
    ({"modelFilter": bounds(regex=5)}, "model: a regular expression is text, not 5"),
    ({"where": 5}, "filters.where: must be text such as latency < 16ms, and is 5"),
    ({"where": "latency"}, "latency is not a condition"),
]


@pytest.mark.parametrize(("filters", "says"), SELECTORS)
def test_bad_selectors(filters: Any, says: str) -> None:
    with pytest.raises(BadFilter) as raised:
        from_selector("Sensor", filters)
    assert says in str(raised.value)


def test_two_filters_with_one_operator_both_count() -> None:
    both = {"latencyFilter": bounds(max="14ms"), "consumptionFilter": bounds(max="0.5mW")}
    assert found(from_selector("Sensor", {"latencyFilter": both["latencyFilter"]})) == {"fast"}
    assert found(from_selector("Sensor", both)) == set()


def test_a_list_of_values_is_any_of_them() -> None:
    assert found(from_selector("Sensor", {"modelFilter": bounds(values=["LPS22HH", "none"])})) == {"rates"}


# --- slices of clusters -----------------------------------------------------------------------------------------------
def flavor(name: str, kind: str, type_data: Any, available: bool = True) -> Object:
    spec = {"flavorType": {"typeIdentifier": kind, "typeData": type_data}, "availability": available}
    return FLAVOR.new(name, "fluidos", spec=spec)


SLICE = flavor("s", K8SLICE, {"characteristics": {
    "architecture": "amd64", "cpu": "4", "memory": "16Gi", "pods": "110", "gpu": {"cores": "2"},
}})  # fmt: skip


@pytest.mark.parametrize(
    ("where", "query", "expected"),
    [
        ("cpu >= 4000m && memory >= 16Gi", {"filter[cpu][range][min]": "4", "filter[memory][range][min]": "16Gi"}, True),
        ("memory > 16Gi", {"filter[memory][gt]": "17179869184"}, False),
        ("memory <= quantity('16Gi')", {"filter[memory][range][max]": "16777216Ki"}, True),
        ('architecture == "AMD64"', {"filter[architecture][match]": "AMD64"}, True),
        ("storage >= 0", {"storage[range][min]": "0"}, False),
        ("gpu == 2", {"filter[gpu][exact]": "2"}, True),
        ("pods < 110", {"[pods][lt]": "110"}, False),
    ],
)  # fmt: skip
def test_slices(where: str, query: dict[str, str], expected: bool) -> None:
    asked = from_where(where, K8SLICE)
    assert matches_flavor(asked, SLICE) is expected
    assert matches_flavor(from_query("k8slice", query.items()), SLICE) is expected


def test_slices_by_selector() -> None:
    asked = {"cpuFilter": bounds(min=2), "memoryFilter": match("16Gi"), "architectureFilter": bounds(regex="^amd")}
    assert matches_flavor(from_selector(K8SLICE, asked), SLICE)
    assert not matches_flavor(from_selector(K8SLICE, asked | {"podsFilter": bounds(max="10")}), SLICE)
    assert not matches_flavor(from_where("true"), SLICE), "that is no sensor"


# --- many -------------------------------------------------------------------------------------------------------------
def test_an_index_follows_changes() -> None:
    index, everything = Index(), Criteria(SENSOR)
    assert index.put(flavor("a", SENSOR, FAST.type_data)) is None
    assert index.put(flavor("b", SENSOR, SLOW.type_data, available=False)) is None
    assert index.put(SLICE) is None
    assert [one["metadata"]["name"] for one in index.find(everything)] == ["a"]
    assert len(index.find(everything, available=None)) == 2
    assert len(index.find(Criteria(K8SLICE))) == 1
    index.put(flavor("a", SENSOR, FAST.type_data, available=False))
    assert index.find(everything) == []
    problem = index.put(flavor("a", SENSOR, {"characteristics": {"uid": "x"}}))
    assert problem is not None
    assert str(problem) == "typeData.characteristics.model: is missing; every sensor needs it"
    index.drop(("fluidos", "b"))
    assert len(index) == 1


# --- properties -------------------------------------------------------------------------------------------------------
VALUES: dict[str, st.SearchStrategy[str]] = {
    "latency": st.sampled_from(["14", "14ms", "0.014s", "20ms", "1 ms"]),
    "samplingRate": st.sampled_from(["10", "10Hz", "100ms", "0.01kHz", "3Hz"]),
    "consumption": st.sampled_from(["0.9", "900uW", "1mW", "0.001W"]),
    "accuracy": st.sampled_from(["0.5", "1.5", "3.5"]),
    "type": st.sampled_from(["Humidity", "temperature", "Environmental"]),
    "manufacturer": st.sampled_from(["STM32", "STMicroelecronics", "Bosch"]),
    "model": st.sampled_from(["hts221", "LPS22HH", "x"]),
}
OPERATORS = {">=": "range][min", "<=": "range][max", "<": "lt", ">": "gt", "==": "match"}
ENDS = {">=": "min", "<=": "max", "<": "lt", ">": "gt"}


@st.composite
def terms(draw: st.DrawFn) -> tuple[str, str, str]:
    name = draw(st.sampled_from(sorted(VALUES)))
    number = by_name(SENSOR)[name].is_number
    return name, draw(st.sampled_from(sorted(OPERATORS))) if number else "==", draw(VALUES[name])


@given(st.lists(terms(), max_size=5, unique_by=lambda term: term[0]))
def test_any_conjunction_means_the_same_in_all_three(parts: list[tuple[str, str, str]]) -> None:
    fields = by_name(SENSOR)
    where = " && ".join(
        f"{name} {sign} {value if fields[name].is_number else repr(value)}" for name, sign, value in parts
    )
    query = [(f"filter[{name}][{OPERATORS[sign]}]", value) for name, sign, value in parts]
    selector = {
        fields[name].selector: match(value) if sign == "==" else bounds(**{ENDS[sign]: value})
        for name, sign, value in parts
    }
    expected = from_where(where or "true")
    assert from_query(SENSOR, query) == expected == from_selector(SENSOR, selector)
    asked = to_query(expected)
    again = from_query(SENSOR, asked.pairs)
    assert found(expected) <= found(again), "a seller leaves out nothing that matches"
    assert not asked.exact or found(expected) == found(again)


@given(st.text(max_size=40) | st.lists(st.sampled_from(
    ["latency", "type", "<", "==", "16ms", "&&",
     "!", "(", ")", '"x"', "has(", "in", "[", "]", "16", ".", "matches(", "_a", "'", "\\"]
), max_size=12).map("".join))  # fmt: skip
def test_the_parser_raises_nothing_but_its_error(text: str) -> None:
    for read in (lambda: from_where(text), lambda: from_query(SENSOR, [(text, text), ("filter[model][regex]", text)])):
        with contextlib.suppress(BadFilter):
            matches(read(), FAST)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "data", "value", "min", "max", "lt", "regex", "values", "latencyFilter", "modelFilter"]),
        inner | st.sampled_from(["Match", "Range"]), max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(ANYTHING)
def test_selectors_raise_nothing_but_their_error(filters: Any) -> None:
    with contextlib.suppress(BadFilter):
        matches(from_selector(SENSOR, filters), FAST)


def test_numbers_are_exact() -> None:
    tenth = one([fork(latency="0.1")])
    assert tenth.latency == Decimal("0.1")
    assert matches(from_where("latency == 0.1ms && latency == 100us && latency >= 0.1"), tenth)


def test_a_pattern_that_would_never_end_elsewhere() -> None:
    sensor: Sensor = one([fork("a" * 200 + "b")])
    assert not matches(from_where('uid.matches("^(a+)+$")'), sensor)
