"""Readers that stand behind another one: reserve a share, filter by consumer, cap by contract."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from fractions import Fraction

from continuo.broker.readers.amounts import ZERO, at_most, plus
from continuo.broker.readers.port import Bell, Changes, Merged, ResourceReader, Resources

_PODS = "pods"


class _Behind:
    """A reader that changes what another one says, and nothing else."""

    def __init__(self, source: ResourceReader) -> None:
        self._source = source

    async def remove(self, cluster: str) -> None:
        """Tell the reader before."""
        await self._source.remove(cluster)

    def subscribe(self) -> Changes:
        """What changes before changes here."""
        return self._source.subscribe()


class Reserved(_Behind):
    """Keeps a share of every resource back, or another share of some."""

    def __init__(self, source: ResourceReader, share: Fraction, of: Mapping[str, Fraction] | None = None) -> None:
        super().__init__(source)
        self._share, self._of = share, dict(of or {})
        for kept in (share, *self._of.values()):
            if not 0 <= kept <= 1:
                raise ValueError(f"a reserved share is between 0 and 1, not {kept}")

    async def read(self, originator: str) -> dict[str, Fraction]:
        """What is left of it."""
        whole = await self._source.read(originator)
        return {name: value * (1 - self._of.get(name, self._share)) for name, value in whole.items()}


class Filtered(_Behind):
    """Shows resources that match a pattern (`nvidia.com/*`) only to the consumers that the pattern names."""

    def __init__(self, source: ResourceReader, allowed: Mapping[str, frozenset[str]]) -> None:
        super().__init__(source)
        self._allowed = dict(allowed)

    async def read(self, originator: str) -> dict[str, Fraction]:
        """What this consumer may see. A resource that several patterns match must be allowed by each."""
        whole = await self._source.read(originator)
        return {name: value for name, value in whole.items() if self._shows(name, originator)}

    def _shows(self, name: str, originator: str) -> bool:
        return all(originator in who for pattern, who in self._allowed.items() if fnmatchcase(name, pattern))


class Contracts:
    """What each consumer has bought, in all."""

    def __init__(self) -> None:
        self.bell = Bell()
        self._held: dict[str, dict[str, Resources]] = {}

    def put(self, consumer: str, contract: str, resources: Resources) -> None:
        """A contract was made, or changed."""
        self._held.setdefault(consumer, {})[contract] = dict(resources)
        self.bell.ring()

    def drop(self, consumer: str, contract: str | None = None) -> None:
        """A contract ended, or all of a consumer's."""
        held = self._held.get(consumer, {})
        held.pop(contract, None) if contract is not None else held.clear()
        if not held:
            self._held.pop(consumer, None)
        self.bell.ring()

    def of(self, consumer: str) -> Resources | None:
        """All contracts of a consumer together; None when there is none."""
        held = self._held.get(consumer)
        if held is None:
            return None
        whole: dict[str, Fraction] = {}
        for resources in held.values():
            whole = plus(whole, resources)
        return whole


class Capped(_Behind):
    """Never more than was bought. Without a contract there is nothing; `pods`, which plans rarely name, passes.

    A cluster that is removed keeps its contracts: they end where they were made.
    """

    def __init__(self, source: ResourceReader, contracts: Contracts) -> None:
        super().__init__(source)
        self._contracts = contracts

    async def read(self, originator: str) -> dict[str, Fraction]:
        """What was bought, as far as it is there."""
        bought = self._contracts.of(originator)
        if bought is None:
            return {}
        whole = await self._source.read(originator)
        return at_most({name: whole.get(name, ZERO) for name in whole if name in bought or name == _PODS}, bought)

    def subscribe(self) -> Changes:
        """A contract changes it, too."""
        return Merged(self._source.subscribe(), self._contracts.bell.subscribe())
