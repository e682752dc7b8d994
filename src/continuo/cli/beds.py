"""The options that only real clusters have: how many, with which nodes, and with what on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import click

from continuo.cli.failures import BadInput

EMBEDDED, KUBERNETES = "embedded", "kubernetes"
CLUSTERS = 2
MOST_CLUSTERS = 26
"""They are named by letters."""


@dataclass(frozen=True, slots=True)
class Beds:
    """What was said; None where it was not."""

    clusters: int | None = None
    nodes: int | None = None
    containers: bool | None = None
    liqo: bool | None = None

    def arguments(self) -> list[str]:
        """The same as a command line."""
        said = [] if self.clusters is None else ["--clusters", str(self.clusters)]
        said += [] if self.nodes is None else ["--nodes", str(self.nodes)]
        said += [] if self.containers is None else ["--containers" if self.containers else "--no-containers"]
        return said + ([] if self.liqo is None else ["--liqo" if self.liqo else "--no-liqo"])

    def check(self, engine: str) -> None:
        """Raises BadInput for what does not go together."""
        if engine not in (EMBEDDED, KUBERNETES):
            raise BadInput(f"engine {engine!r} is not known; there are `{EMBEDDED}` and `{KUBERNETES}`")
        if engine == EMBEDDED and (given := self.arguments()):
            raise BadInput(
                f"{given[0]} needs --engine kubernetes; the embedded engine makes clusters as they are declared"
            )
        if self.containers and self.nodes is not None:
            raise BadInput("--nodes are simulated ones, and --containers asks for real ones; leave one of them out")
        if self.liqo and (self.containers is False or self.nodes is not None):
            raise BadInput("--liqo needs real containers: its gateways and controllers run in pods")
        if self.clusters is not None and self.clusters > MOST_CLUSTERS:
            raise BadInput(f"--clusters {self.clusters} is too many for one machine: at most {MOST_CLUSTERS}")

    def chosen(self, say: Callable[[str], None]) -> Beds:
        """The same with everything said that was left open, as this machine allows; `say` hears what it does not."""
        from continuo.cli.real import no_containers_here, no_liqo_here

        if self.nodes is not None:
            return replace(self, clusters=self._count(), containers=False, liqo=False)
        containers, liqo = self.containers, self.liqo
        if containers is None:
            reason = no_containers_here()
            containers = bool(liqo) or reason is None  # who asks for Liqo hears why it cannot be
            if not containers:
                say(f"nodes are simulated, because real containers cannot run here: {reason}")
        if liqo is None:
            reason = no_liqo_here() if containers else "it needs containers"
            liqo = reason is None
            if containers and reason:
                say(f"Liqo is not installed: {reason}")
        return Beds(self._count(), None if containers else 1, containers, liqo)

    def _count(self) -> int:
        return CLUSTERS if self.clusters is None else self.clusters


def bed_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Those options, handed over as `beds`."""

    @click.option("--clusters", type=click.IntRange(0), help=f"Real: workload clusters; {CLUSTERS} where absent.")
    @click.option("--nodes", type=click.IntRange(0, 1000), help="Real: simulated nodes of each cluster.")
    @click.option(
        "--containers/--no-containers",
        default=None,
        help="Real: nodes that run containers; the default where this machine can.",
    )
    @click.option("--liqo/--no-liqo", default=None, help="Real: Liqo in each cluster; the default where it is built.")
    def wrapped(
        clusters: int | None, nodes: int | None, containers: bool | None, liqo: bool | None, **kwargs: Any
    ) -> Any:
        return command(beds=Beds(clusters, nodes, containers, liqo), **kwargs)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    params = getattr(wrapped, "__click_params__", [])
    wrapped.__click_params__ = getattr(command, "__click_params__", []) + params  # type: ignore[attr-defined]
    return wrapped
