"""Which cluster a command talks to, and the options that choose it.

In this order: --kubeconfig/--context, KUBECONFIG, the engine that runs on this machine, ~/.kube/config, the pod's account.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from continuo.cli import places

if TYPE_CHECKING:
    from continuo.kube.transport import CallObserver


@dataclass(frozen=True, slots=True)
class Target:
    """The options by which a user names a cluster and a namespace."""

    kubeconfig: Path | None
    context: str | None
    namespace: str | None

    def source(self) -> Path | None:
        """The kubeconfig file to use; None: whatever kubectl would use."""
        if self.kubeconfig is not None:
            return self.kubeconfig
        if self.context is None and not os.environ.get("KUBECONFIG"):
            data = places.default_data()
            if places.find_running(data) is not None:
                return places.kubeconfig_path(data)
        return None


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--kubeconfig, --context and --namespace, handed over as `target`."""

    @click.option("--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), help="The kubeconfig file to use.")
    @click.option("--context", help="The context in it.")
    @click.option("-n", "--namespace", help="The namespace; the context's own where absent.")
    def wrapped(kubeconfig: Path | None, context: str | None, namespace: str | None, **kwargs: Any) -> Any:
        return command(target=Target(kubeconfig, context, namespace), **kwargs)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    params = getattr(wrapped, "__click_params__", [])
    wrapped.__click_params__ = getattr(command, "__click_params__", []) + params  # type: ignore[attr-defined]
    return wrapped


@asynccontextmanager
async def connected(target: Target, calls: CallObserver | None = None) -> AsyncIterator[Any]:
    """The management cluster's client, closed at the end. `calls`: told of every call."""
    from continuo.kube.config import connect
    from continuo.kube.transport import Transports

    source = target.source()
    if source is not None and not source.exists():
        from continuo.cli.failures import BadInput

        raise BadInput(f"kubeconfig {source} does not exist")
    cluster = connect(source, context=target.context, name="management", transports=Transports(calls))
    try:
        yield cluster
    finally:
        await cluster.close()


def namespace_of(target: Target, cluster: Any) -> str:
    """The namespace to work in."""
    return target.namespace or getattr(cluster, "namespace", None) or "default"
