"""The port through which a contract becomes a link of two clusters. Whoever can link clusters implements it."""

from __future__ import annotations

from dataclasses import dataclass
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


class Peering(Protocol):
    """Links clusters. Both calls are repeated after a crash, so the second one for a contract must change nothing."""

    async def link(self, contract: Contract) -> Link:
        """Make the buyer's cluster use what was bought; raises PeeringRefused."""
        ...

    async def unlink(self, contract: Contract) -> None:
        """Take away whatever `link` made, even half of it."""
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
