"""How much a peer may ask of the hub, and a purse that says when it asked too much."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for each connection and for all of them; times in seconds, sizes in bytes."""

    hello: float = 10.0
    """From the connection until it is known who is there."""
    newcomer: float = 30.0
    """How long a session lives that has nothing but a registration code."""
    arrival: float = 30.0
    """From the welcome until a board calls `connection`."""
    ping: float = 20.0
    """Between pings; a peer that is silent for half of that after one is gone."""
    sending: float = 20.0
    """How long a peer may leave what it is sent unread."""
    registering: float = 10.0
    """How long a call waits for a board that has just come to register the method."""
    greeting: int = 64 << 10
    """The largest message of somebody who is not known yet."""
    message: int = 1 << 20
    """The largest message of a board."""
    rate: float = 100.0
    burst: float = 400.0
    """Messages a second, where every 16 KiB count as one; who sends more is read more slowly."""
    methods: int = 256
    """How many methods a session may register."""
    calls: int = 128
    """How many calls to one board may be under way."""
    arriving: int = 256
    arriving_each: int = 64
    """How many connections may be at their greeting at once, and of one address; others wait."""
    wrong: float = 20.0
    wrong_rate: float = 0.5
    """How many wrong codes and realms one address may try at once, and how many more in each second. Boards that prove a key
    or a realm get in all the same: a whole laboratory may be behind one address."""
    sessions: int = 4
    """How many sessions one board may have open; its newest one that called `connection` counts."""


UNIT = 16 << 10


class Purse:
    """A token bucket. Owing is allowed: `spend` says for how many seconds to do nothing then."""

    __slots__ = ("_at", "_burst", "_clock", "_left", "_rate")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._left, self._at = burst, clock()

    def spend(self, amount: float = 1.0) -> float:
        """Take some; the seconds until it is paid back, 0 while there is enough."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - amount
        self._at = now
        return max(0.0, -self._left / self._rate)

    @property
    def empty(self) -> bool:
        """Whether nothing is left now."""
        now = self._clock()
        return self._left + (now - self._at) * self._rate < 1.0


class Purses:
    """One for each address, of the addresses that were seen last."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float], most: int = 4096) -> None:
        self._rate, self._burst, self._clock, self._most = rate, burst, clock, most
        self._purses: OrderedDict[str, Purse] = OrderedDict()

    def of(self, address: str) -> Purse:
        purse = self._purses.pop(address, None) or Purse(self._rate, self._burst, self._clock)
        self._purses[address] = purse
        if len(self._purses) > self._most:
            self._purses.popitem(last=False)
        return purse
