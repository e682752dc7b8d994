"""Act: run the steps of a plan that can be run now, each on its own, with bounded concurrency.

Every write is a server-side apply of the whole declaration or a deletion, so it may be repeated or cut off anywhere. A
step that fails is left alone for a while (longer each time) unless its writes change; the others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from continuo.kube.port import Cluster
from continuo.orchestrator import naming
from continuo.orchestrator.plan import Plan, Step, Write
from continuo.resources.errors import ApiError, NotFound
from continuo.resources.meta import Object, key_of
from continuo.telemetry.tracing import span

log = logging.getLogger(__name__)

Learn = Callable[[Write, Object], None]
"""Told the server's answer to each apply, so that caches need not wait for the watch."""


@dataclass(slots=True)
class _Try:
    fingerprint: str
    failures: int
    not_before: float
    message: str


@dataclass(slots=True)
class Attempts:
    """The memory of failed steps of one orchestration; losing it costs only an earlier retry."""

    first: float = 1.0
    limit: float = 300.0
    _tries: dict[str, _Try] = field(default_factory=dict)

    def may_run(self, step: Step, now: float) -> bool:
        known = self._tries.get(step.id)
        return known is None or now >= known.not_before or known.fingerprint != fingerprint(step)

    def failed(self, step: Step, message: str, now: float) -> None:
        known, mark = self._tries.get(step.id), fingerprint(step)
        failures = known.failures + 1 if known is not None and known.fingerprint == mark else 1
        delay = min(self.first * 2 ** (failures - 1), self.limit)
        self._tries[step.id] = _Try(mark, failures, now + delay, message)

    def worked(self, step: Step) -> None:
        self._tries.pop(step.id, None)

    def forgive(self) -> None:
        """What failed may be tried at once; a step that fails again waits longer than before."""
        for entry in self._tries.values():
            entry.not_before = 0.0

    def keep_only(self, plan: Plan) -> None:
        """Forget steps that are no longer planned."""
        open_steps = {step.id for step in plan.steps}
        for known in [known for known in self._tries if known not in open_steps]:
            del self._tries[known]

    def failures(self) -> dict[str, str]:
        """Step id -> why its last try failed."""
        return {step: entry.message for step, entry in self._tries.items()}

    def tried(self) -> dict[str, tuple[int, str]]:
        """Step id -> how often in a row it failed, and why the last time."""
        return {step: (entry.failures, entry.message) for step, entry in self._tries.items()}

    def next_retry(self, plan: Plan, now: float) -> float | None:
        """Seconds until the first failed step may be tried again.

        Steps that wait for others do not count: what they wait for will say when to look again.
        """
        runnable = {step.id for step in plan.runnable()}
        times = [entry.not_before for name, entry in self._tries.items() if name in runnable]
        return max(self.first / 2, min(times) - now) if times else None


def fingerprint(step: Step) -> str:
    """What the step would write, in short."""
    return naming.digest([[write.cluster, write.op, write.object] for write in step.writes])


async def act(
    plan: Plan,
    clusters: Mapping[str, Cluster],
    attempts: Attempts,
    learn: Learn,
    *,
    now: Callable[[], float],
    concurrency: int = 8,
) -> tuple[Step, ...]:
    """Run the runnable steps; returns those whose writes all succeeded. Failures are kept in `attempts`."""
    attempts.keep_only(plan)
    gate = asyncio.Semaphore(concurrency)

    async def one(step: Step) -> Step | None:
        async with gate:
            with span(f"{step.action} {step.target.kind}", {"continuo.step": step.id}):
                return step if await _run(step, clusters, attempts, learn, now) else None

    steps = [step for step in plan.runnable() if attempts.may_run(step, now())]
    done = await asyncio.gather(*(one(step) for step in steps))
    return tuple(step for step in done if step is not None)


async def _run(
    step: Step, clusters: Mapping[str, Cluster], attempts: Attempts, learn: Learn, now: Callable[[], float]
) -> bool:
    for write in step.writes:
        cluster = clusters.get(write.cluster)
        try:
            if cluster is None:
                raise NotFound(f"cluster {write.cluster} has no client yet; its kubeconfig Secret is missing")
            await _write(cluster, write, learn)
        except ApiError as error:
            where = write.cluster or "the management cluster"
            message = f"{write} on {where}: {error}"
            log.warning("%s %s failed: %s", step.action, step.target, message)
            attempts.failed(step, message, now())
            return False
    attempts.worked(step)
    return True


async def _write(cluster: Cluster, write: Write, learn: Learn) -> None:
    if write.op == "apply":
        learn(write, await cluster.apply(write.object, manager=naming.MANAGER))
        return
    namespace, name = key_of(write.object)
    with contextlib.suppress(NotFound):  # it is gone, which is what was wanted
        await cluster.delete(write.kind, name, namespace or None)
