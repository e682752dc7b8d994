"""Whom a workload believes at this moment: the authorities of each trust domain, never in one heap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from continuo.trust.ids import TrustDomain

_NONE: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Bundles:
    """A snapshot. A trust domain that is absent is not believed at all."""

    x509: Mapping[TrustDomain, frozenset[bytes]] = field(default_factory=lambda: _NONE)
    """The CA certificates of a trust domain, in DER."""
    jwt: Mapping[TrustDomain, Mapping[str, Any]] = field(default_factory=lambda: _NONE)
    """The public keys that sign its tokens, by `kid`."""
