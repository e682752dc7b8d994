"""The port through which contracts reach the clusters of providers and consumers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from continuo.federation.paths import Ends
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

    def problem(self, party: Party, name: str) -> str | None:
        """Why there is no client though there should be one, as a sentence."""
        ...

    def on_change(self, callback: Changed) -> None:
        """Call back whenever a client came, went or was replaced."""
        ...


class Networks(Protocol):
    """What makes networks between two clusters; `broker.paths.Paths` does."""

    def hold(self, who: str, pair: Ends | None) -> None:
        """Let there be a network between these for somebody, and no other one; None: none."""
        ...


def shut(members: Members, party: Party, name: str) -> str:
    """That the broker cannot enter a cluster now, and why if that is known."""
    why = members.problem(party, name)
    return f"the broker cannot enter the cluster of {party} {name} now{f': {why}' if why else ''}"
