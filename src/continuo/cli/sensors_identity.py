"""Who a command about sensors is, and whom it deals with: SPIFFE identities, or none on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from continuo.cli.failures import BadInput

if TYPE_CHECKING:
    from continuo.edge.rear.client import Sellers
    from continuo.trust.identity import Identity
    from continuo.trust.ids import Authorized


def parties(ids: tuple[str, ...], domains: tuple[str, ...], insecure: bool) -> Authorized | None:
    """Who may be dealt with; None: whoever comes, without identities."""
    from continuo.trust.ids import Authorized, BadId

    if insecure:
        if ids or domains:
            raise BadInput("--allow and --allow-domain are about identities; with --insecure there are none")
        return None
    if not ids and not domains:
        raise BadInput(
            "nobody could be dealt with: name trust domains with --allow-domain, or SPIFFE IDs with --allow; "
            "--insecure does without identities, on this machine"
        )
    try:
        return Authorized.of(ids=ids, domains=domains)
    except BadId as error:
        raise BadInput(str(error)) from None


@contextlib.asynccontextmanager
async def sellers(identity: Identity | None, allowed: Authorized | None) -> AsyncIterator[Sellers]:
    """Connections to sellers, closed at the end."""
    from continuo.edge.rear.client import Sellers

    if identity is None or allowed is None:
        made = Sellers()
    else:
        context = identity.client_context(allowed)
        made = Sellers(lambda: context)
    try:
        yield made
    finally:
        await made.close()
