"""What there is of a slice, read from the objects that Crossplane observed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.iot.compose import objects
from continuo.iot.compose.claim import Endpoint
from continuo.resources.meta import Object, annotations_of, condition

Observed = Mapping[str, Object]
"""Composed objects by their names in the pipeline."""


def is_ready(obj: Object | None) -> bool:
    """Whether it is as wanted, and says so of what is wanted now."""
    found = condition(obj, "Ready") if obj is not None else None
    if obj is None or found is None or found.get("status") != "True":
        return False
    spoke_of = found.get("observedGeneration")
    return spoke_of is None or spoke_of >= obj["metadata"].get("generation", 0)


def why_not(obj: Object | None) -> str:
    """Why it is not ready, in a few words."""
    if obj is None:
        return "being made"
    found = condition(obj, "Ready") or {}
    synced = condition(obj, "Synced") or {}
    if synced.get("status") == "False" and synced.get("message"):
        return str(synced["message"])
    return str(found.get("message") or found.get("reason") or "being made")


def boards_of(observed: Observed) -> list[str]:
    """The boards for which something was made before, in order."""
    return sorted({board for obj in observed.values() if (board := annotations_of(obj).get(objects.BOARD))})


def is_online(board: Object) -> bool:
    """Whether a Board is online."""
    return _provided(board).get("status") == "online"


def address(port: Object | None) -> str:
    """A board's address in the network; empty as long as there is none."""
    return str(_provided(port).get("ip") or "")


def reached(exposed: Object | None) -> str:
    """Where a board's exposed port is reached, as `host:port`; empty as long as it is not."""
    found = _provided(exposed)
    return f"{found['host']}:{found['publicPort']}" if found.get("host") and found.get("publicPort") else ""


def cluster_summary(observed: Observed) -> str:
    """Clusters that are ready, of all, such as `2/2`; empty as long as nobody says."""
    status = (observed.get(objects.ORCHESTRATION) or {}).get("status") or {}
    return str((status.get("summary") or {}).get("clusters") or "")


def network_summary(network: Object | None) -> str:
    """The network's addresses as its provider says them."""
    return str(_provided(network).get("cidr") or "")


def url_of(observed: Observed, endpoint: Endpoint) -> str | None:
    """Where a component is reached, as the orchestration says; None as long as it says nothing."""
    status = (observed.get(objects.ORCHESTRATION) or {}).get("status") or {}
    for app in _named(status.get("apps"), endpoint.app):
        for component in _named(app.get("components"), endpoint.component):
            for url in component.get("urls") or ():
                if endpoint.port in (None, url.get("name")):
                    return str(url["url"])
    return None


def _named(items: Any, name: str) -> list[Object]:
    return [item for item in items or () if item.get("name") == name]


def _provided(obj: Object | None) -> Object:
    """`status.atProvider`."""
    found: Object = ((obj or {}).get("status") or {}).get("atProvider") or {}
    return found
