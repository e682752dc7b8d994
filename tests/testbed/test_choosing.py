from __future__ import annotations

from dataclasses import replace

import pytest

from continuo.testbed.choose import Facts, hosts, options
from continuo.testbed.errors import TestbedError
from continuo.testbed.parts import Debian, GoBuild, Maven, OnPath, Part, Release, Source, Wheel, kind_of
from continuo.testbed.table import BY_NAME, PARTS, select

RICH = Facts(
    "Linux",
    "x86_64",
    go=(1, 26),
    wheel_go=True,
    pip=True,
    apt=True,
    compiler=True,
    maven=True,
    modules=frozenset({"thing"}),
    reachable={"files.example": True},
)
RELEASE = Release({"x86_64": ("https://files.example/thing", "00")}, "thing")
GO = GoBuild("thing", {"thing": "."})
WHEEL = Wheel("thing-bin", "1", ("00",), ("x86_64",), {"thing": "thing"})
DEBIAN = Debian("thing", {"thing": "usr/bin/thing"})
MAVEN = Maven("thing", {"thing": "example.Thing"})
ALL = (OnPath(), RELEASE, GO, WHEEL, DEBIAN, MAVEN)


def part(*sources: Source, unavailable: str = "") -> Part:
    return Part("thing", "1", "tests", ("thing",), sources, unavailable=unavailable)


def test_every_source_that_suits_is_tried_in_the_order_of_the_part() -> None:
    usable, refused = options(part(*ALL), RICH)
    assert (usable, refused) == (list(ALL), [])


@pytest.mark.parametrize(
    ("source", "facts", "why", "helps"),
    [
        (RELEASE, {"reachable": {"files.example": False}}, "files.example cannot be reached", ""),
        (RELEASE, {"reachable": {}}, "files.example cannot be reached", ""),
        (RELEASE, {"machine": "riscv64"}, "no file for riscv64", ""),
        (GO, {"modules": frozenset()}, "testbed/thing is not here", "checkout"),
        (GO, {"go": None, "wheel_go": False}, "there is no Go", "Go 1.21 or newer"),
        (GO, {"go": (1, 19), "wheel_go": False}, "Go 1.19 is too old", "Go 1.21 or newer"),
        (replace(GO, cgo=True), {"compiler": False}, "C compiler", "gcc"),
        (WHEEL, {"pip": False}, "no pip", "ensurepip"),
        (WHEEL, {"machine": "aarch64"}, "no wheel for aarch64", ""),
        (DEBIAN, {"apt": False}, "no apt-get", "Debian calls it thing"),
        (MAVEN, {"maven": False}, "no mvn", "Debian calls it maven"),
        (MAVEN, {"modules": frozenset()}, "testbed/thing is not here", "checkout"),
        (OnPath(), {"system": "Darwin"}, "this is Darwin", "Linux"),
    ],
)
def test_what_does_not_suit_is_refused_with_its_reason(
    source: Source, facts: dict[str, object], why: str, helps: str
) -> None:
    usable, refused = options(part(source), replace(RICH, **facts))  # type: ignore[arg-type]
    assert usable == []
    assert refused[0].source == kind_of(source)
    assert why in refused[0].why
    assert helps in refused[0].help


@pytest.mark.parametrize("go", [None, (1, 19)])
def test_go_may_come_from_its_wheel(go: tuple[int, int] | None) -> None:
    assert options(part(GO), replace(RICH, go=go))[0] == [GO]


def test_one_refused_source_leaves_the_others() -> None:
    usable, refused = options(part(*ALL), replace(RICH, go=None, wheel_go=False))
    assert GO not in usable and len(usable) == len(ALL) - 1
    assert [refusal.source for refusal in refused] == ["Go build"]


def test_a_part_may_say_why_it_cannot_be_had() -> None:
    _, refused = options(part(unavailable="nobody publishes it"), RICH)
    assert str(refused[0]) == "any source: nobody publishes it"


def test_only_hosts_of_releases_are_probed() -> None:
    assert hosts(part(*ALL)) == {"files.example"}
    assert hosts(part(GO, WHEEL)) == set()


@pytest.mark.parametrize(
    ("names", "without", "expected"),
    [
        ((), (), [entry.name for entry in PARTS]),
        (("kwok", "etcd"), (), ["etcd", "kwok"]),
        ((), ("liqo",), [entry.name for entry in PARTS if entry.name != "liqo"]),
        (("kwok", "etcd"), ("etcd",), ["kwok"]),
    ],
)
def test_select(names: tuple[str, ...], without: tuple[str, ...], expected: list[str]) -> None:
    assert [entry.name for entry in select(names, without)] == expected


@pytest.mark.parametrize(("names", "without"), [(("etdc",), ()), ((), ("etdc",))])
def test_a_name_that_is_no_part_is_refused(names: tuple[str, ...], without: tuple[str, ...]) -> None:
    with pytest.raises(TestbedError, match="no part etdc; its parts are kubernetes"):
        select(names, without)


def made_by(source: Source) -> set[str]:
    """The programs that a source yields."""
    match source:
        case Release():
            return {source.program}
        case GoBuild():
            return {*source.targets, *source.links}
        case Wheel() | Debian() | Maven():
            return set(source.programs)
        case OnPath():
            return set()


@pytest.mark.parametrize("entry", PARTS, ids=lambda entry: entry.name)
def test_every_source_in_the_table_yields_all_programs_of_its_part(entry: Part) -> None:
    assert entry.purpose and entry.programs and entry.sources
    for source in entry.sources:
        assert isinstance(source, OnPath) or set(entry.programs) <= made_by(source)


def test_parts_that_share_programs_are_versions_of_kubernetes_only() -> None:
    seen: dict[str, str] = {}
    for entry in PARTS:
        for program in entry.programs:
            other = seen.setdefault(program, entry.name)
            assert other == entry.name or {other.split("-")[0], entry.name.split("-")[0]} == {"kubernetes"}


def test_real_clusters_need_kubernetes_and_a_store() -> None:
    assert {"kubernetes-1.36", "etcd"} <= {entry.name for entry in PARTS if entry.essential}
    assert BY_NAME["liqo"].essential is False
