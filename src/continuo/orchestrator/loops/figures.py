"""The figures that loops follow: asked for at the edges, kept for a while, and given to policies as data.

A round never waits long for a figure: what takes longer comes with the next one, and wakes it. What could not be had is a
figure too, with the reason in one sentence. The cache is bounded, and holds nothing that has to survive a restart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

from continuo.kube.port import Cluster
from continuo.orchestrator import naming
from continuo.orchestrator.loops import figures_resource
from continuo.orchestrator.loops.model import ClusterView, ComponentView, Figure
from continuo.resources.errors import ApiError
from continuo.resources.meta import Key
from continuo.resources.orchestration_policies import Metric, MetricSource, Policy

log = logging.getLogger(__name__)

FIRST_WAIT = 0.5
"""Seconds that a round waits for figures."""
LONGEST = 5.0
"""Seconds after which a source has not answered."""
MOST = 4096
"""Figures that are kept."""
AT_ONCE = 16
"""Requests for figures under way."""

AskKey: TypeAlias = tuple[Key, str]
"""The orchestration (namespace, name) and the policy."""


class Queries(Protocol):
    """Whoever answers queries: `figures_prometheus.Prometheus`."""

    async def ask(self, query: str, oldest: timedelta) -> tuple[float, datetime]:
        """The one number that a query returns, and when it was so; raises Unanswered with a sentence."""
        ...


class Unanswered(Exception):
    """A source has no figure; `str()` is one sentence for people."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One figure to get."""

    orchestration: Key
    policy: str
    metric: Metric
    every: int
    cluster: str
    """Where it is measured."""
    client: Cluster | None
    """That cluster's API; none while it cannot be asked."""
    namespace: str = ""
    labels: str = ""
    """Of pods; nodes are meant where both are empty."""
    request: float = 0.0
    """What one pod asks for of the metric's resource."""
    ready: int = 0
    """Pods that are ready, as their Deployment says."""

    @property
    def key(self) -> AskKey:
        return self.orchestration, self.policy


@dataclass(slots=True)
class _Kept:
    figure: Figure
    asked: Ask
    due: datetime


class Figures:
    """Figures of all orchestrations, each asked for as often as its policy says."""

    def __init__(
        self,
        queries: Queries | None = None,
        *,
        clock: Callable[[], float] = time.time,
        first_wait: float = FIRST_WAIT,
        longest: float = LONGEST,
    ) -> None:
        self._queries, self._clock = queries, clock
        self.on_late: Callable[[Iterable[Key]], None] = lambda _: None
        """Told the orchestrations whose figures came after the round that asked for them."""
        self._first_wait, self._longest = first_wait, longest
        self._kept: dict[AskKey, _Kept] = {}
        self._under_way: dict[AskKey, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def collect(self, orchestration: Key, asks: Iterable[Ask]) -> Mapping[str, Figure]:
        """The newest figures by policy; what is due is asked for, and what comes later wakes the orchestration."""
        wanted = {ask.key: ask for ask in asks}
        self._drop(orchestration, keep=wanted.keys())
        started = [self._start(ask) for ask in wanted.values() if self._due(ask)]
        if started:
            await asyncio.wait(started, timeout=self._first_wait)
        return {key[1]: self._kept[key].figure for key in wanted if key in self._kept}

    def next_due(self, orchestration: Key, policy: str) -> datetime | None:
        """When that figure is asked for again; None before it was asked for first."""
        kept = self._kept.get((orchestration, policy))
        return kept.due if kept is not None else None

    def forget(self, orchestration: Key) -> None:
        """The orchestration is gone."""
        self._drop(orchestration, keep=())

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _drop(self, orchestration: Key, keep: Iterable[AskKey]) -> None:
        kept = set(keep)
        for key in [key for key in (*self._kept, *self._under_way) if key[0] == orchestration and key not in kept]:
            self._kept.pop(key, None)
            if (task := self._under_way.pop(key, None)) is not None:
                task.cancel()

    def _due(self, ask: Ask) -> bool:
        """Whether it is time; another metric, or another place to measure it, is asked for at once."""
        kept = self._kept.get(ask.key)
        if ask.key in self._under_way:
            return False
        if kept is None or (kept.asked.metric, kept.asked.cluster) != (ask.metric, ask.cluster):
            return True
        left = kept.due - self._now()
        return left <= timedelta(0) or left > timedelta(seconds=ask.every)  # more than that: the clock was set back

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _start(self, ask: Ask) -> asyncio.Task[None]:
        task = asyncio.create_task(self._get(ask), name=f"figure {ask.orchestration[1]}/{ask.policy}")
        self._under_way[ask.key] = task
        task.add_done_callback(lambda done: self._ended(ask.key, done))
        return task

    def _ended(self, key: AskKey, task: asyncio.Task[None]) -> None:
        if self._under_way.get(key) is task:
            del self._under_way[key]

    async def _get(self, ask: Ask) -> None:
        began = asyncio.get_running_loop().time()
        figure = await self._answer(ask)
        if len(self._kept) >= MOST and ask.key not in self._kept:
            self._kept.pop(min(self._kept, key=lambda key: self._kept[key].due))
        self._kept[ask.key] = _Kept(figure, ask, self._now() + timedelta(seconds=ask.every))
        if asyncio.get_running_loop().time() - began >= self._first_wait:
            self.on_late([ask.orchestration])

    async def _answer(self, ask: Ask) -> Figure:
        """A figure whatever happens: a source that fails says why."""
        now = self._now()
        try:
            async with self._slots, asyncio.timeout(self._longest):
                return await self._measured(ask, now)
        except Unanswered as problem:
            return Figure(now, problem=str(problem))
        except TimeoutError:
            return Figure(now, problem=f"{self._whom(ask)} has not answered within {self._longest:g} s")
        except ApiError as error:
            return Figure(now, problem=figures_resource.sentence(ask.cluster, error))
        except Exception:  # whatever a source does, its loop says so and the others go on
            log.exception("the figure of policy %s of %s/%s cannot be had", ask.policy, *ask.orchestration)
            return Figure(now, problem=f"{self._whom(ask)} answered what cannot be read; the operator's log has more")

    def _whom(self, ask: Ask) -> str:
        prometheus = ask.metric.source is MetricSource.PROMETHEUS
        return "Prometheus" if prometheus else f"the metrics API of cluster {ask.cluster}"

    async def _measured(self, ask: Ask, now: datetime) -> Figure:
        oldest = timedelta(seconds=2 * ask.every + 30)
        if ask.metric.source is MetricSource.PROMETHEUS:
            if self._queries is None:
                raise Unanswered("this operator knows no Prometheus: start it with `--prometheus URL`")
            value, at = await self._queries.ask(ask.metric.query or "", oldest)
            if now - at > oldest:
                raise Unanswered(f"what Prometheus answered is {int((now - at).total_seconds())} s old")
            return Figure(at, value=value)
        if ask.client is None:
            raise Unanswered(f"cluster {ask.cluster} does not answer")
        resource = ask.metric.resource
        if not ask.namespace:
            samples = await figures_resource.of_nodes(ask.client, resource, now, oldest)
        else:
            pods = figures_resource.Pods(ask.namespace, ask.labels, ask.request, ask.ready)
            samples = await figures_resource.of_pods(ask.client, pods, resource, now, oldest)
        return Figure(now, samples)


def asks_of(
    orchestration: Key,
    policies: Iterable[Policy],
    clusters: Mapping[str, ClusterView],
    components: Mapping[str, ComponentView],
    client: Callable[[str], Cluster | None],
) -> list[Ask]:
    """What the policies of an orchestration follow. Pure, but for `client`, which finds the API of a cluster."""
    found: list[Ask] = []
    for policy in policies:
        if (scaled := policy.scale_component) is not None:
            component = components.get(scaled.component)
            if component is not None and component.cluster is not None:
                found.append(_of_component(orchestration, policy, scaled.metric, component, clusters, client))
        elif policy.scale_cluster is not None and policy.scale_cluster.metric is not None:
            name = policy.scale_cluster.cluster
            there = clusters[name].lost_since is None if name in clusters else False
            api = client(name) if there else None
            found.append(Ask(orchestration, policy.name, policy.scale_cluster.metric, policy.every, name, api))
    return found


def _of_component(
    orchestration: Key,
    policy: Policy,
    metric: Metric,
    component: ComponentView,
    clusters: Mapping[str, ClusterView],
    client: Callable[[str], Cluster | None],
) -> Ask:
    place = component.cluster or ""
    there = place in clusters and clusters[place].lost_since is None
    namespace, name = orchestration
    labels = {
        naming.ORCHESTRATION_NAMESPACE: namespace, naming.ORCHESTRATION: name,
        naming.APPLICATION: component.app.name, naming.COMPONENT: component.spec.name,
    }  # fmt: skip
    requests = component.spec.resources.requests if component.spec.resources is not None else {}
    return Ask(
        orchestration, policy.name, metric, policy.every, place, client(place) if there else None,
        component.app.name, ",".join(f"{key}={value}" for key, value in labels.items()),
        figures_resource.number(requests.get(metric.resource, 0)), component.ready,
    )  # fmt: skip
