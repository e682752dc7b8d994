"""Which resource a request path names: parsed by hand, because every request pays for it."""

from __future__ import annotations

from dataclasses import dataclass

_NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Target:
    """A resource path, taken apart. Empty strings stand for parts that are missing."""

    group: str
    version: str
    plural: str
    namespace: str
    name: str
    subresource: str


def parse_target(segments: list[str]) -> Target | None:
    """`["apis", "apps", "v1", "namespaces", "a", "deployments", "b", "scale"]` -> Target; None for other paths."""
    root = segments[0] if segments else ""
    if root == "api" and len(segments) >= 3:
        group, version, rest = "", segments[1], segments[2:]
    elif root == "apis" and len(segments) >= 4:
        group, version, rest = segments[1], segments[2], segments[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and not (len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        rest = [rest[0], rest[1], "/".join(rest[2:])]
    plural, name, subresource = rest + [""] * (3 - len(rest))
    return Target(group, version, plural, namespace, name, subresource)
