"""Whether a bed gets real Cluster API: what this machine allows, and what the state in its folder was made with.

Cluster API's definitions and webhooks stay in the state of a management cluster. Without its managers every write of its
kinds would be refused, and the definitions that stand for it elsewhere have the same names: a folder stays what it is.
"""

from __future__ import annotations

from pathlib import Path

from continuo.testbed.capi import PROGRAMS, port_taken
from continuo.testbed.errors import TestbedError
from continuo.testbed.memory import remember, remembered
from continuo.testbed.tools import Tools

_KEY, _WITH, _WITHOUT = "cluster_api", "with", "without"


def impossible(tools: Tools) -> str | None:
    """Why Cluster API cannot run here now; None when it can."""
    if lacking := tools.missing(PROGRAMS):
        verb = "is" if len(lacking) == 1 else "are"
        return f"{', '.join(lacking)} {verb} missing; get them with: continuo testbed build cluster-api"
    return port_taken()


def kept(data: Path) -> bool | None:
    """Whether the state in this folder was made with Cluster API; None when there is no state yet."""
    folder = data / "kubernetes"
    said = remembered(folder, _KEY)
    if said is None:
        return False if (folder / "management").exists() else None
    return said == _WITH


def keep(data: Path, wanted: bool) -> None:
    """Note what the state is made with. Raises TestbedError when it was made the other way."""
    if refusal := mixed(data, wanted):
        raise TestbedError(refusal)
    remember(data / "kubernetes", **{_KEY: _WITH if wanted else _WITHOUT})


def mixed(data: Path, wanted: bool) -> str | None:
    """Why the state in this folder does not go with what is wanted; None when it does."""
    if kept(data) in (None, wanted):
        return None
    if wanted:
        return f"the state in {data} was made without Cluster API, which cannot be added to it: name another folder by --data"
    return (
        f"the state in {data} was made with Cluster API, and refuses writes without it: "
        "start it with --cluster-api, or name another folder by --data"
    )
