"""Calls to API servers, as metrics: how long they take by server and verb, and how they fail."""

from __future__ import annotations

from continuo.telemetry import families as f
from continuo.telemetry.metrics import Labels, Metrics
from continuo.telemetry.tracing import exemplar


def server_label(client: str) -> str:
    """What an API server is called in metrics: its kubeconfig Secret's name, without what all of them end in."""
    return client.removesuffix("-kubeconfig")


class Calls:
    """Told of each call by the Kubernetes client."""

    def __init__(self, metrics: Metrics) -> None:
        self._seconds, self._errors = metrics.histogram(f.API_SECONDS), metrics.counter(f.API_ERRORS)
        self._told: dict[str, tuple[set[Labels], set[Labels]]] = {}

    def ended(self, client: str, verb: str, seconds: float, error: str | None) -> None:
        """A call ended after so many seconds, its repetitions included; `error` is the reason why it failed."""
        server = server_label(client)
        timed, failed = self._told.setdefault(server, (set(), set()))
        timed.add((server, verb))
        self._seconds.labels(server, verb).observe(seconds, exemplar())
        if error is not None:
            failed.add((server, verb, error))
            self._errors.labels(server, verb, error).inc()

    def forget(self, client: str) -> None:
        """The cluster is no longer there: neither are its series."""
        timed, failed = self._told.pop(server_label(client), (set(), set()))
        for labels in timed:
            self._seconds.remove(*labels)
        for labels in failed:
            self._errors.remove(*labels)
