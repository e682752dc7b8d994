"""The port through which contracts reach the clusters of providers and consumers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from continuo.kube.port import Cluster

Party: TypeAlias = Literal["Provider", "Consumer"]
Changed: TypeAlias = Callable[[Party, str], None]


class Members(Protocol):
    """The clusters that the broker can enter, by the Provider or Consumer that declares them."""

    def client(self, party: Party, name: str) -> Cluster | None:
        """The client, which stays its owner's; None: the broker cannot enter it now."""
        ...

    def name_of(self, party: Party, name: str) -> str | None:
        """The name under which the fleet knows the cluster; None: it does not."""
        ...

    def on_change(self, callback: Changed) -> None:
        """Call back whenever a client came, went or was replaced."""
        ...
