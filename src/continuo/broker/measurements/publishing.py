"""From records to the catalog: its offers show what is fresh, and are not rewritten for every small difference.

A changed value of a provider changes every offer of it, for every subscriber. So values are told when one appears or goes
stale, and otherwise only when they differ noticeably, at most once a minute. The records themselves are always exact.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from continuo.broker.measurements.store import Measurements, Signed, Value

QUIET = 60.0
_NOTICEABLE = {"uptime_1h": 0.001, "uptime": 0.001, "uptime_7d": 0.001}
_ELSE = 0.1

Tell = Callable[[str, Mapping[str, float]], Awaitable[None]]


class Publisher:
    """Keeps measurements, and tells the catalog what of them counts now."""

    def __init__(self, measurements: Measurements, tell: Tell, *, quiet: float = QUIET) -> None:
        self.measurements = measurements
        self._tell, self._quiet = tell, quiet
        self._told: dict[str, tuple[float, dict[str, float]]] = {}

    async def load(self) -> None:
        """Take over what is kept, and tell of it: what went stale meanwhile is told no more."""
        await self.measurements.load()
        await self.refresh()

    async def add(self, values: Iterable[Value]) -> list[Signed]:
        """Sign and keep what was measured, and tell it where it makes a difference."""
        made = await self.measurements.add(values)
        for provider in sorted({one.record.provider for one in made}):
            await self._publish(provider)
        return made

    async def refresh(self) -> None:
        """Look whether something went stale."""
        for provider in self.measurements.providers():
            await self._publish(provider)

    async def forget(self, provider: str) -> None:
        """Drop everything of a provider."""
        await self.measurements.forget(provider)
        self._told.pop(provider, None)
        await self._tell(provider, {})

    def fresh(self, provider: str) -> dict[str, float]:
        """The values that count now."""
        now = self.measurements.clock()
        newest = self.measurements.newest(provider)
        return {metric: one.record.value for metric, one in newest.items() if one.record.fresh(now)}

    async def _publish(self, provider: str) -> None:
        values, now = self.fresh(provider), self.measurements.clock()
        at, told = self._told.get(provider, (float("-inf"), None))
        same = told is not None and told.keys() == values.keys()
        if told is not None and same and (now - at < self._quiet or not differs(told, values)):
            return
        self._told[provider] = now, values
        await self._tell(provider, values)


def differs(told: Mapping[str, float], values: Mapping[str, float]) -> bool:
    """Whether a value is noticeably another."""
    return any(
        abs(value - told[metric]) > _NOTICEABLE.get(metric, _ELSE) * abs(told[metric])
        for metric, value in values.items()
    )
