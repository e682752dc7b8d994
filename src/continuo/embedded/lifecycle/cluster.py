"""All lifecycles of one cluster, started and stopped together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from continuo.embedded.api import ClusterApi
from continuo.embedded.lifecycle.accounts import NamespaceBasics
from continuo.embedded.lifecycle.definitions import DefinitionCleanup
from continuo.embedded.lifecycle.expiry import EventExpiry
from continuo.embedded.lifecycle.garbage import GarbageCollector
from continuo.embedded.lifecycle.namespaces import NamespaceDeletion
from continuo.embedded.lifecycle.worker import CallLater


class _Lifecycle(Protocol):
    def stop(self) -> None: ...


class ClusterLifecycle:
    """What the control plane of one cluster does by itself."""

    def __init__(self, api: ClusterApi, call_later: CallLater, now: Callable[[], float], ca: str) -> None:
        self._parts: list[_Lifecycle] = [
            DefinitionCleanup(api, call_later),
            GarbageCollector(api, call_later),
            NamespaceDeletion(api, call_later),
            NamespaceBasics(api, call_later, ca),
            EventExpiry(api, call_later, now),
        ]

    def stop(self) -> None:
        """End all of it."""
        for part in self._parts:
            part.stop()
