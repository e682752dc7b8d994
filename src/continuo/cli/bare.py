"""`--cluster NAME[:NODES]`: bare clusters of the embedded engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from continuo.cli.beds import EMBEDDED
from continuo.cli.failures import BadInput

if TYPE_CHECKING:
    from continuo.embedded.standins.bare import Bare

_NAMED = re.compile(r"([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)(?::(\d{1,4}))?")
_TAKEN = "management"


def bare_clusters(texts: Sequence[str], engine: str) -> tuple[Bare, ...]:
    """What is asked for; raises BadInput with a sentence."""
    if not texts:
        return ()
    from continuo.embedded.standins.bare import MOST_NODES, Bare

    if engine != EMBEDDED:
        raise BadInput("--cluster needs --engine embedded; real clusters are counted by --clusters")
    found: dict[str, Bare] = {}
    for text in texts:
        match = _NAMED.fullmatch(text)
        if match is None:
            raise BadInput(
                f"--cluster {text!r} must be NAME or NAME:NODES, such as milan:3; a name has at most 63 lower-case letters, "
                f"digits and dashes, and there are at most {MOST_NODES} nodes"
            )
        name, nodes = match.group(1), match.group(2)
        if name == _TAKEN or name in found:
            raise BadInput(f"--cluster {text!r}: there is a cluster {name} already; choose another name")
        if nodes is not None and int(nodes) > MOST_NODES:
            raise BadInput(
                f"--cluster {text!r} asks for {nodes} nodes: at most {MOST_NODES} are simulated in one cluster"
            )
        found[name] = Bare(name) if nodes is None else Bare(name, int(nodes))
    return tuple(found.values())
