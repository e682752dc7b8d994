"""Which minor version of Kubernetes a testbed runs: one of those that are pinned, and no older one than its state."""

from __future__ import annotations

from pathlib import Path

from continuo.testbed.cache import Cache
from continuo.testbed.errors import Missing, TestbedError
from continuo.testbed.memory import remember, remembered
from continuo.testbed.table import PARTS

_PREFIX = "kubernetes-"
MINORS = tuple(part.name.removeprefix(_PREFIX) for part in PARTS if part.name.startswith(_PREFIX))
"""Those that can be had, the usual one first."""
USUAL = MINORS[0]
_FOLDER, _KEY = "kubernetes", "kubernetes"


def lacking(minor: str, cache: Cache | None = None) -> str | None:
    """Why that version cannot run here; None when it can. The usual one may also be the user's own, on PATH."""
    if minor not in MINORS:
        return f"Kubernetes {minor!r} is not pinned; there are {', '.join(MINORS)}"
    part = next(part for part in PARTS if part.name == _PREFIX + minor)
    if minor == USUAL or (cache or Cache()).find(part) is not None:
        return None
    return f"Kubernetes {minor} is missing on this machine; get it with: continuo testbed build {part.name}"


def kept(data: Path) -> str | None:
    """The version that the state in this data folder was made by."""
    return remembered(data / _FOLDER, _KEY)


def keep(data: Path, minor: str) -> None:
    """Let the state belong to this version, or raise: Missing where it is not here, TestbedError for newer state."""
    if reason := lacking(minor):
        raise Missing(reason)
    before = kept(data) or minor
    if _number(minor) < _number(before):
        raise TestbedError(
            f"the state in {data} was made by Kubernetes {before}, which {minor} cannot read: "
            f"use another folder, or --kubernetes {before}"
        )
    remember(data / _FOLDER, **{_KEY: minor})


def _number(minor: str) -> tuple[int, ...]:
    return tuple(int(part) for part in minor.split("."))
