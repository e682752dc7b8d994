"""The jitter of links, out of what Liqo measures: how much one round trip differs from the next.

Liqo tells only the last round trip, so the operator has to remember. Once the jitter is known it stands in the status, and a
new process goes on from there; what is lost with a process are the samples of a link whose jitter was not known yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from continuo.orchestrator.measuring.figures import Figures, LinkFigures, Pair
from continuo.resources.meta import Key
from continuo.telemetry.latency import Jitter, seconds


@dataclass(slots=True)
class _Followed:
    jitter: Jitter
    seen: tuple[str | None, str | None] = (None, None)
    """The last round trip and its time: what is told again is no new sample."""


@dataclass(slots=True)
class Jitters:
    """The jitters of all links of one operator."""

    _links: dict[Key, dict[Pair, _Followed]] = field(default_factory=dict)

    def take(self, key: Key, figures: Figures) -> Figures:
        """The figures of an orchestration's links with their jitter as it is after them."""
        known = self._links.setdefault(key, {})
        for pair in known.keys() - figures.keys():
            known[pair].jitter.last = None  # it was cut: what comes after is no neighbour of what was before
        return {pair: self._one(known, pair, figure) for pair, figure in figures.items()}

    def latest(self, key: Key) -> Mapping[Pair, Jitter]:
        """What is followed of an orchestration."""
        return {pair: followed.jitter for pair, followed in self._links.get(key, {}).items()}

    def forget(self, key: Key) -> None:
        """The orchestration is gone."""
        self._links.pop(key, None)

    @staticmethod
    def _one(known: dict[Pair, _Followed], pair: Pair, figure: LinkFigures) -> LinkFigures:
        followed = known.get(pair)
        if followed is None:
            followed = known[pair] = _Followed(Jitter.resumed(figure.jitter_ms))
        latency, said = seconds(figure.latency), (figure.latency, figure.latency_at)
        if latency is not None and said != followed.seen:
            followed.seen = said
            followed.jitter.take(latency)
        steady = followed.jitter.steady
        return replace(figure, jitter_ms=None if steady is None else steady * 1000)
