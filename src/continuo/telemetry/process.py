"""What every process says of itself: which build it is, its memory, its CPU time, its open files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import ProcessCollector

from continuo.telemetry import families as f
from continuo.telemetry.metrics import Metrics


def process_metrics(part: str, environment: Mapping[str, str] = os.environ) -> Metrics:
    """The registry of a process. `part`: which of Continuo's; an image's build says its revision in CONTINUO_REVISION."""
    metrics = Metrics()
    ProcessCollector(registry=metrics.registry)
    metrics.gauge(f.BUILD).labels(built(), environment.get("CONTINUO_REVISION", ""), part).set(1)
    return metrics


def built() -> str:
    """The version that runs."""
    try:
        return version("continuo")
    except PackageNotFoundError:
        return "unknown"
