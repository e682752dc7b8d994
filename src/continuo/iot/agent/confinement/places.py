"""Which files of the system a program may read: what Python and ordinary programs need, and nothing that names secrets."""

from __future__ import annotations

import site
import sys
from pathlib import Path

INSIDE = Path(__file__).resolve().parent.parent / "inside"
"""What the agent brings for the processes that it starts."""

SYSTEM = (
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/opt", "/nix/store",
    "/etc/alternatives", "/etc/group", "/etc/hosts", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/localtime", "/etc/mime.types", "/etc/nsswitch.conf", "/etc/passwd", "/etc/protocols", "/etc/resolv.conf",
    "/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/timezone",
)  # fmt: skip


def python_places() -> tuple[str, ...]:
    """Where this Python and its packages are."""
    places = [sys.prefix, sys.base_prefix, *site.getsitepackages()]
    return tuple(dict.fromkeys(str(Path(place).resolve()) for place in places))


def readable(more: tuple[str, ...] = ()) -> list[str]:
    """All of them, without those that lie within another one."""
    wanted = sorted({*SYSTEM, *python_places(), str(INSIDE), *more})
    kept: list[str] = []
    for path in wanted:
        if not any(path == other or path.startswith(f"{other}/") for other in kept):
            kept.append(path)
    return kept


def overlaps(home: Path, more: tuple[str, ...] = ()) -> str | None:
    """The readable place that the agent's own folder lies in; programs could read its keys there."""
    resolved = str(home.resolve())
    for place in readable(more):
        if resolved == place or resolved.startswith(f"{place}/"):
            return place
    return None
