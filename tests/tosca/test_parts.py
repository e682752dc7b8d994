"""The parts that the reader is made of: located YAML, units, names, clusters, output."""

from __future__ import annotations

from fractions import Fraction

import pytest
import yaml

from continuo.tosca.clusters import declare_clusters, read_clusters
from continuo.tosca.convert import Options, convert_text
from continuo.tosca.deployment import documents, orchestration, to_yaml
from continuo.tosca.names import port_name, slug
from continuo.tosca.problems import MAX_PROBLEMS, Problems
from continuo.tosca.reader import read
from continuo.tosca.units import bytes_text, cpu_text, quantity
from continuo.tosca.yaml_nodes import ListNode, MapNode, Scalar, parse
from tosca.bad_blueprints import GOOD, INPUTS


def node(text: str) -> MapNode:
    problems = Problems("x")
    root = parse(text, problems)
    assert isinstance(root, MapNode) and problems.sorted() == ()
    return root


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("010", 10), ("1.5", 1.5), ("1e3", 1000.0), ("true", True), ("yes", "yes"), ("~", None), ("'5'", "5"),
     ("!!str 5", "5"), ("12:30:00", "12:30:00"), ("1_000", "1_000"), ("2024-01-01", "2024-01-01"), ("", None)],
)  # fmt: skip
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = node(f"a: {text}\n").fields["a"]
    assert isinstance(found, Scalar) and found.value == value and type(found.value) is type(value)


def test_every_value_knows_its_place() -> None:
    root = node("a:\n  - b: 1\n    c: &x [2]\n  - *x\n")
    items = root.fields["a"]
    assert isinstance(items, ListNode)
    first = items.items[0]
    assert isinstance(first, MapNode)
    assert (first.keys["c"].line, first.keys["c"].column) == (3, 5)
    assert (first.fields["b"].line, first.fields["b"].column) == (2, 8)
    assert items.items[1] is first.fields["c"]


def test_merge_keys_bring_what_is_not_written() -> None:
    merged = node("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\n").fields["use"]
    assert isinstance(merged, MapNode)
    values = {name: value.value for name, value in merged.fields.items() if isinstance(value, Scalar)}
    assert values == {"y": 3, "x": 1}


def test_half_a_million_open_brackets_do_no_harm() -> None:
    problems = Problems("x")
    assert parse("[" * 500_000, problems) is None
    assert [problem.code for problem in problems.sorted()] == ["yaml-limit"]


@pytest.mark.parametrize(
    ("text", "type_", "value"),
    [
        ("512 MB", "size", 512_000_000), ("1 GiB", "size", 2**30), ("1.5kB", "size", 1500), ("1 gb", "size", 10**9),
        ("10 XB", "size", None), ("MB", "size", None), ("-1 MB", "size", None), ("8 Mbps", "bitrate", 8_000_000),
        ("1 GBps", "bitrate", 8 * 10**9), ("8 mbps", "bitrate", None), ("20 ms", "time", 20),
        ("5 us", "time", Fraction(1, 200)),
        ("2 m", "time", 120_000), ("1 S", "time", 1000),
    ],
)  # fmt: skip
def test_units(text: str, type_: str, value: object) -> None:
    found = quantity(text, f"scalar-unit.{type_}")
    assert (found and found.value) == value


def test_quantities_round_up() -> None:
    assert [cpu_text(Fraction(text)) for text in ("2", "0.5", "0.0001")] == ["2", "500m", "1m"]
    assert bytes_text(Fraction("1.5")) == "2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("VR Tour Creator", "vr-tour-creator"),
        ("--A--", "a"),
        ("é☃", ""),
        ("x" * 60, "x" * 53),
        ("a" * 52 + " b", "a" * 52),
    ],
)
def test_slugs(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_port_names_keep_what_they_can() -> None:
    assert [port_name(text) for text in ("ServerCP", "a b", "_x_", "é")] == ["ServerCP", "a-b", "x", ""]


def test_clusters_are_declared_from_pins_data_centres_and_hints() -> None:
    text = GOOD.replace("- cluster: [{ equal: green }]", "- datacenter: [{ equal: Porto 1 }]")
    blueprint = read(text).blueprint
    assert blueprint is not None
    found = {c["name"]: (c.get("tier"), c.get("datacenter")) for c in declare_clusters(blueprint)}
    assert found == {"rose": ("cloud", None), "porto-1": (None, "Porto 1")}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("clusters: 5\n", 1, "The clusters must be a list, not a single value."),
        ("- name: Green\n  kubernetes-version: v1.34.2\n", 1, "cluster Green: name: "),
        (
            "- name: green\n  kubernetes-versoin: v1.34.2\n",
            2,
            "cluster green: it has no field named kubernetes-versoin.",
        ),
        ("- name: green\n  control-plane-count: 0\n", 2, "cluster green: control-plane-count: "),
        ("- {name: green}\n- {name: green}\n", 1, "the cluster green is declared 2 times."),
        ("- 5\n", 1, "a cluster must be a map with a name, not a single value."),
        ("a: [\n", 2, "The file is not valid YAML"),
    ],
)
def test_wrong_cluster_files(text: str, line: int, says: str) -> None:
    _, problems = read_clusters(text, file="clusters.yaml")
    assert len(problems) == 1
    assert says.lower() in problems[0].message.lower() and problems[0].line == line


def test_a_whole_orchestration_serves_as_clusters_file() -> None:
    conversion = convert_text(GOOD, Options("dev", inputs=INPUTS))
    clusters, problems = read_clusters(to_yaml([orchestration(conversion)]))
    assert problems == () and tuple(clusters) == conversion.clusters


def test_a_refused_conversion_has_nothing_to_orchestrate() -> None:
    with pytest.raises(ValueError, match="no application"):
        orchestration(convert_text("", Options("dev")))


def test_documents_are_in_one_namespace() -> None:
    conversion = convert_text(GOOD, Options("dev", inputs=INPUTS))
    found = documents(conversion, namespace="prod")
    assert [(d["kind"], d["metadata"]["namespace"]) for d in found] == [
        ("Secret", "prod"), ("LowLevelOrchestration", "prod")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["y", "on", "1e3", "0o17", "12:30", "", " x ", "a\nb\n", "# no", "null", "5", "a: b", "é"]
)
def test_output_keeps_every_text_a_text(text: str) -> None:
    printed = to_yaml([{"value": text}])
    assert yaml.safe_load(printed) == {"value": text}
    if text in ("y", "on", "1e3", "0o17", "null", "5"):
        assert printed == f"value: '{text}'\n"


def test_findings_end_somewhere() -> None:
    wrong = "".join(f"    t{n}: {{ type: Nothing{n} }}\n" for n in range(2 * MAX_PROBLEMS))
    problems = read(GOOD.replace("  outputs:\n", wrong + "  outputs:\n")).problems
    assert len(problems) == MAX_PROBLEMS + 1 and "too-many-problems" in {problem.code for problem in problems}


def test_messages_carry_no_control_characters() -> None:
    text = GOOD.replace(
        "    visitor:\n      type: Charity.External", '    "vis\\e[31m\\nitor":\n      type: Charity.Extern'
    )
    assert all(problem.message.isprintable() and problem.node.isprintable() for problem in read(text).problems)


def test_a_large_blueprint_is_read_whole() -> None:
    links = "".join(f"    L{n}: {{ type: Charity.VirtualLink, properties: {{ name: L{n} }} }}\n" for n in range(400))
    points = "".join(
        f"    P{n}:\n      type: Charity.ConnectionPoint\n      properties: {{ name: P{n} }}\n"
        f"      requirements: [{{ binding: visitor }}, {{ link: L{n} }}, {{ link: L{(n + 1) % 400} }}]\n"
        for n in range(400)
    )
    reading = read(GOOD.replace("\n  outputs:\n", "\n" + links + points + "  outputs:\n"))
    assert reading.problems == () and reading.blueprint is not None
    assert len(reading.blueprint.links) == 402 and len(reading.blueprint.points) == 403
