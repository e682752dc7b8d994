"""Names of what a claim makes: the same for the same claim, short enough for a label, and no two alike."""

from __future__ import annotations

import hashlib

OBJECT = 63
EXTERNAL = 36
"""How long IoTronic lets names of plugins, networks and ports be."""
HASH = 8


def child_name(*parts: str, fixed: str = "", longest: int = OBJECT) -> str:
    """A name of these parts: readable as far as it fits, then a hash of all of them.

    The hash is always there, since `a-b` and `c` would otherwise be named like `a` and `b-c`. `fixed`: what the object cannot
    change, so that it is another object where that changes.
    """
    mark = hashlib.sha256("\0".join((*parts, fixed) if fixed else parts).encode()).hexdigest()[:HASH]
    stem = "-".join(parts).replace(".", "-")[: longest - HASH - 1].rstrip("-")
    return f"{stem}-{mark}"


def key(*parts: str) -> str:
    """A composed resource's name in the pipeline. A slash is in no object's name, so no two are alike."""
    return "/".join(parts)
