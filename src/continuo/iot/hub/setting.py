"""What is said once about a hub: where it is reached, and what it admits."""

from __future__ import annotations

from dataclasses import dataclass, field

from continuo.iot.wire import REALM

AGENT = "hub"
"""The first part of the procedures that boards call."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where boards and people reach the hub, and what it allows."""

    wamp_url: str = "ws://127.0.0.1:8181/"
    """With an explicit port, and a slash at its end: Lightning-rod reads it so."""
    tunnel_url: str = "ws://127.0.0.1:8182/"
    network_url: str = "wss://127.0.0.1:8443/"
    public: str = "127.0.0.1"
    """The host at which exposed services are reached."""
    realm: str = REALM
    lightning_rod: bool = False
    """Whether boards without a key of their own are admitted."""
    unsigned: bool = False
    """Whether our agents may run code that nobody signed."""
    limits: dict[str, object] = field(default_factory=dict)
    """Of plugins, as the agents' policy says."""
    code_life: float = 7 * 86400.0
    """Seconds for which a registration code is good."""
    patience: float = 40.0
    """Seconds for which an answer waits until a board has done what it should."""
    forget: float = 900.0
    """Seconds after which a request whose board says nothing is ended."""
    keep_requests: int = 20_000
    """How many requests are kept once they are done; the oldest go first."""
    keep_results: int = 64 << 20
    """How many characters of results all that are kept may have together."""
