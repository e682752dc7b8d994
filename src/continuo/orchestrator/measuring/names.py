"""How a prober's things are called: one namespace for each orchestration on each cluster that it measures from."""

from __future__ import annotations

from continuo.orchestrator import naming
from continuo.resources.meta import Key


def space_of(key: Key) -> str:
    """The namespace of the probers of an orchestration (namespace, name)."""
    return f"continuo-prober-{naming.digest(list(key), 10)}"


def probe_of(key: Key, cluster: str) -> str:
    """The name of one prober, which tokens are for."""
    return f"{key[0]}/{key[1]}/{cluster}"
