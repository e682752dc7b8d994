"""The options that only real clusters have: how many, with which nodes, and with what on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from continuo.cli.failures import BadInput, Failed

EMBEDDED, KUBERNETES = "embedded", "kubernetes"
CLUSTERS = 2
MOST_CLUSTERS = 26
"""They are named by letters."""
MOST_EDGE = 40


@dataclass(frozen=True, slots=True)
class Beds:
    """What was said; None where it was not."""

    clusters: int | None = None
    nodes: int | None = None
    containers: bool | None = None
    liqo: bool | None = None
    cluster_api: bool | None = None
    edge: int | None = None
    kubernetes: str | None = None

    def arguments(self) -> list[str]:
        """The same as a command line."""
        said = [] if self.clusters is None else ["--clusters", str(self.clusters)]
        said += [] if self.nodes is None else ["--nodes", str(self.nodes)]
        said += [] if self.containers is None else ["--containers" if self.containers else "--no-containers"]
        said += [] if self.liqo is None else ["--liqo" if self.liqo else "--no-liqo"]
        said += [] if self.edge is None else ["--edge", str(self.edge)]
        said += [] if self.kubernetes is None else ["--kubernetes", self.kubernetes]
        return said + (
            [] if self.cluster_api is None else ["--cluster-api" if self.cluster_api else "--no-cluster-api"]
        )

    def check(self, engine: str, speed: float | None = None) -> None:
        """Raises BadInput for what does not go together."""
        if engine not in (EMBEDDED, KUBERNETES):
            raise BadInput(f"engine {engine!r} is not known; there are `{EMBEDDED}` and `{KUBERNETES}`")
        if engine == EMBEDDED and (given := self.arguments()):
            raise BadInput(
                f"{given[0]} needs --engine kubernetes; the embedded engine makes clusters as they are declared"
            )
        if engine == KUBERNETES and speed is not None:
            raise BadInput(
                "--speed needs --engine embedded; how fast real Cluster API's simulated machines come up is each "
                "cluster's `machine-startup`"
            )
        if self.containers and self.nodes is not None:
            raise BadInput("--nodes are simulated ones, and --containers asks for real ones; leave one of them out")
        if self.liqo and (self.containers is False or self.nodes is not None):
            raise BadInput("--liqo needs real containers: its gateways and controllers run in pods")
        if self.edge and (self.containers is False or self.nodes is not None):
            raise BadInput(
                "--edge needs real containers: edge nodes run pods beside those of the cluster that they join"
            )
        if self.edge and self.clusters == 0:
            raise BadInput("--edge needs a workload cluster that edge nodes can join: ask for one by --clusters 1")
        if self.clusters is not None and self.clusters > MOST_CLUSTERS:
            raise BadInput(f"--clusters {self.clusters} is too many for one machine: at most {MOST_CLUSTERS}")

    def chosen(self, data: Path, say: Callable[[str], None]) -> Beds:
        """The same with everything said that was left open, as this machine and the state in `data` allow.

        `say` hears what they do not.
        """
        self._check_kubernetes()
        cluster_api = self._cluster_api(data, say)
        return replace(self._nodes_chosen(say), clusters=self._count(), cluster_api=cluster_api)

    def _check_kubernetes(self) -> None:
        from continuo.testbed import minors

        if self.kubernetes is not None and (reason := minors.lacking(self.kubernetes)):
            raise (Failed if self.kubernetes in minors.MINORS else BadInput)(reason)

    def _nodes_chosen(self, say: Callable[[str], None]) -> Beds:
        from continuo.cli.real import no_containers_here, no_edge_here, no_liqo_here

        if self.nodes is not None:
            return replace(self, containers=False, liqo=False)
        if self.edge and (reason := no_edge_here()):
            raise Failed(f"edge nodes cannot run here: {reason}")
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
        return replace(self, nodes=None if containers else 1, containers=containers, liqo=liqo)

    def _cluster_api(self, data: Path, say: Callable[[str], None]) -> bool:
        from continuo.cli.real import no_cluster_api_here
        from continuo.testbed import capi_choice

        kept = capi_choice.kept(data)
        wanted = bool(kept) if self.cluster_api is None else self.cluster_api
        if self.cluster_api is not None and (refusal := capi_choice.mixed(data, wanted)):
            raise BadInput(refusal)
        reason = no_cluster_api_here()
        if wanted and reason:
            whose = "" if self.cluster_api else f", and the state in {data} was made with it"
            raise Failed(f"Cluster API cannot run here{whose}: {reason}")
        if self.cluster_api is not None or kept:
            return wanted
        reason = reason or capi_choice.mixed(data, True)
        if reason:
            say(f"Cluster API is left out: {reason}")
        return reason is None

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
    @click.option(
        "--cluster-api/--no-cluster-api",
        default=None,
        help="Real: Cluster API with its development provider; the default where it is built.",
    )
    @click.option(
        "--edge",
        type=click.IntRange(0, MOST_EDGE),
        help="Real: KubeEdge nodes of the first workload cluster; none where absent.",
    )
    @click.option("--kubernetes", metavar="MINOR", help="Real: Kubernetes' minor version, such as 1.35.")
    def wrapped(
        clusters: int | None,
        nodes: int | None,
        containers: bool | None,
        liqo: bool | None,
        cluster_api: bool | None,
        edge: int | None,
        kubernetes: str | None,
        **kwargs: Any,
    ) -> Any:
        return command(beds=Beds(clusters, nodes, containers, liqo, cluster_api, edge, kubernetes), **kwargs)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    params = getattr(wrapped, "__click_params__", [])
    wrapped.__click_params__ = getattr(command, "__click_params__", []) + params  # type: ignore[attr-defined]
    return wrapped
