"""One registry of metrics for each process, handed to its parts; nothing registers itself anywhere by being imported.

A family is data, so that the reference page, the dashboards' tests and the code speak of the same names.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

log = logging.getLogger(__name__)

Labels = tuple[str, ...]
Exemplar = Mapping[str, str]
Source = Callable[[], Iterable[Metric]]
"""Called in the event loop at every scrape, to take hold of what it tells of; what it returns is consumed in a thread, where
nothing may be touched that changes meanwhile. So a source of many objects takes a list of them, and returns a generator."""


@dataclass(frozen=True, slots=True)
class Family:
    """What one metric is called and says. Counters' names end in `_total`; units are seconds, bytes and ratios."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    labels: Labels = ()
    buckets: tuple[float, ...] = ()
    legacy: bool = False
    """One of the names of before, exported only where they are asked for."""
    starts: tuple[Labels, ...] = ()
    """Labels of a counter that are told from zero, so that the first time is an increase, too."""


_M = TypeVar("_M", Counter, Gauge, Histogram)


class Metrics:
    """The figures of one process: what is counted as it happens, and sources that are asked when somebody scrapes."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each series, which nothing of ours asks for
        self.registry = CollectorRegistry()
        self._sources: list[tuple[str, Source]] = []
        self._made: dict[str, Counter | Gauge | Histogram] = {}

    def counter(self, family: Family) -> Counter:
        """The counter of that family, made at the first call."""
        return self._get(Counter, family, lambda: self._counter(family))

    def _counter(self, family: Family) -> Counter:
        made = Counter(*_said(family), registry=self.registry)
        for labels in family.starts:
            made.labels(*labels)
        return made

    def gauge(self, family: Family) -> Gauge:
        """The gauge of that family, made at the first call."""
        return self._get(Gauge, family, lambda: Gauge(*_said(family), registry=self.registry))

    def histogram(self, family: Family) -> Histogram:
        """The histogram of that family, made at the first call."""
        return self._get(
            Histogram, family, lambda: Histogram(*_said(family), buckets=family.buckets, registry=self.registry)
        )

    def collect(self, name: str, source: Source) -> None:
        """Ask that source at every scrape. One that fails is logged and left out; the others are still told."""
        self._sources.append((name, source))

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Everything as text, and its content type: OpenMetrics, with exemplars, where `Accept` asks for it."""
        return self._encoder(accept)()

    async def told(self, accept: str = "") -> tuple[bytes, str]:
        """The same without holding up the loop: thousands of series are put together in a thread."""
        return await asyncio.to_thread(self._encoder(accept))

    def _encoder(self, accept: str) -> Callable[[], tuple[bytes, str]]:
        encode, content_type = choose_encoder(accept)
        scrape = _Scrape(self.registry, [(name, _taken(name, source)) for name, source in self._sources])
        return lambda: (encode(scrape), content_type)

    def _get(self, type_: type[_M], family: Family, make: Callable[[], _M]) -> _M:
        made = self._made.get(family.name)
        if made is None:
            made = self._made[family.name] = make()
        if not isinstance(made, type_):
            raise TypeError(f"{family.name} is a {type(made).__name__} already, not a {type_.__name__}")
        return made


def _said(family: Family) -> tuple[str, str, Labels]:
    return family.name, family.help, family.labels


def _taken(name: str, source: Source) -> Iterable[Metric]:
    try:
        return source()
    except Exception:
        log.exception("the metrics of %s cannot be collected", name)
        return ()


class _Scrape(Collector):
    """What one scrape tells."""

    def __init__(self, counted: CollectorRegistry, taken: Sequence[tuple[str, Iterable[Metric]]]) -> None:
        self._counted, self._taken = counted, taken

    def collect(self) -> Iterator[Metric]:
        yield from self._counted.collect()
        for name, found in self._taken:
            try:
                yield from list(found)
            except Exception:
                log.exception("the metrics of %s cannot be collected", name)


class Tally:
    """Samples for one scrape of what somebody else counts: gauges and counters, added up by their labels, and histograms."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._rows: dict[str, tuple[Family, dict[Labels, float]]] = {f.name: (f, {}) for f in families}
        self._histograms: dict[str, list[tuple[Labels, list[tuple[str, float]], float]]] = {}

    def add(self, family: Family, labels: Labels = (), value: float = 1.0) -> None:
        """Add to what there is under these labels; zero makes the series appear."""
        rows = self._rows[family.name][1]
        rows[labels] = rows.get(labels, 0.0) + value

    def put(self, family: Family, labels: Labels, value: float) -> None:
        """Say what is under these labels."""
        self._rows[family.name][1][labels] = value

    def histogram(self, family: Family, labels: Labels, counts: Sequence[int], total: float) -> None:
        """How many fell into each of the family's buckets (and beyond the last), and the sum of all of them."""
        bounds = (*map(floatToGoString, family.buckets), "+Inf")
        below = list(zip(bounds, map(float, itertools.accumulate(counts)), strict=True))
        self._histograms.setdefault(family.name, []).append((labels, below, total))

    def metrics(self) -> Iterator[Metric]:
        """As the exposition wants them, in the families' order."""
        for family, rows in self._rows.values():
            if family.kind == "histogram":
                yield self._histogram(family)
                continue
            made: GaugeMetricFamily | CounterMetricFamily
            if family.kind == "gauge":
                made = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            else:
                made = CounterMetricFamily(family.name, family.help, labels=family.labels)
            for labels, value in rows.items():
                made.add_metric(labels, value)
            yield made

    def _histogram(self, family: Family) -> Metric:
        made = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for labels, below, total in self._histograms.get(family.name, ()):
            made.add_metric(labels, below, total)
        return made
