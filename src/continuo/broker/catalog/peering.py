"""The port through which a contract becomes a link of two clusters. Whoever can link clusters implements it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from continuo.broker.catalog.contracts import Contract


class PeeringRefused(Exception):
    """The clusters of this contract will never be linked; `str()` is a sentence. Any other error is tried again."""


@dataclass(frozen=True, slots=True)
class Link:
    """What was done for a contract."""

    state: Literal["linked", "handed-over"]
    reason: str = ""
    place: str = ""
    """The identity of the cluster that keeps it; empty: nobody said."""


class PeeringUnavailable(Exception):
    """It cannot be done now, and may be later; `str()` is a sentence that a buyer may read."""


@dataclass(frozen=True, slots=True)
class Access:
    """A way into what was handed over. It is told once, and never stored or logged."""

    kubeconfig: str = field(repr=False)
    namespace: str
    expires: str
    """When its token is void at the latest, as Kubernetes writes times."""


class Peering(Protocol):
    """Links clusters. `link` and `unlink` are repeated after a crash, so the second one must change nothing."""

    async def link(self, contract: Contract) -> Link:
        """Make the buyer's cluster use what was bought; raises PeeringRefused.

        Raises PeeringUnavailable to say what it waits for; it is tried again, as after any other error.
        """
        ...

    async def unlink(self, contract: Contract) -> None:
        """Take away whatever `link` made, even half of it."""
        ...

    async def credentials(self, contract: Contract, *, rotate: bool) -> Access | None:
        """For a contract that was handed over: a new way in, with `rotate` the only one; None: the token is all there is.

        Raises PeeringUnavailable.
        """
        ...


class HandOver:
    """Links nothing: the buyer peers by itself with the contract's credentials, and says so."""

    async def link(self, contract: Contract) -> Link:
        """Only says what is left to do."""
        del contract
        return Link(
            "handed-over", "this catalog links no clusters; peer with the credentials that the contract hands over"
        )

    async def unlink(self, contract: Contract) -> None:
        """The credentials end with the contract."""
        del contract

    async def credentials(self, contract: Contract, *, rotate: bool) -> Access | None:
        """The provider knows what the token opens."""
        del contract, rotate
        return None
