"""`make test-real`: the suites that this machine can run against real engines, and plainly what it cannot run, and why.

The API servers' part runs everywhere; Cluster API's where its programs are; containers and Liqo where this is root as well.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from continuo.testbed import capi, crossplane, kubeedge, liqo, minors
from continuo.testbed.bed import no_containers
from continuo.testbed.tools import CONTROL_PLANE, Tools, find_tools
from real import iotronic_bed, lightning_rod

ROOT = Path(__file__).parents[2]
PATIENCE = "600"
OLDER = minors.MINORS[-1]
KAFKA = ("java", "kafka-server", "kafka-storage")
SPIRE = ("spire-server", "spire-agent")


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests, and the bed of real clusters that they get."""

    name: str
    title: str
    tests: tuple[str, ...]
    """Arguments of pytest."""
    lacking: str | Callable[[], str | None] | None
    """Why this machine cannot run it; asked only where it is wanted, if that has to be tried."""
    bed: tuple[str, ...] | None = None
    """Options of `continuo up --engine kubernetes`; None when the tests start what they need."""


def suites(tools: Tools) -> list[Suite]:
    """All of them, with what hinders each."""
    servers = _missing(tools, (*CONTROL_PLANE, "kwok"))
    on_adopted = ("tests/scenarios", "-m", "not links and not creates")
    three = ("--clusters", "3", "--nodes", "2", "--no-containers", "--no-liqo", "--no-cluster-api")
    no_cluster_api = servers or _missing(tools, capi.PROGRAMS)
    no_liqo = servers or no_containers(tools) or _missing(tools, liqo.PROGRAMS)
    return [
        Suite(
            "servers",
            "API servers: the contract, the table of wrong input, the scenarios on adopted clusters",
            ("tests/contract", "tests/resources/test_real_server.py", *on_adopted),
            servers,
            three,
        ),
        Suite(
            "beds",
            "Beds: started, used, killed, started again, gone without a trace; with containers where they can run",
            ("tests/testbed/test_real_clusters.py",),
            servers,
        ),
        Suite(
            "skew",
            f"Version skew: the operator against Kubernetes {OLDER}",
            on_adopted,
            servers or minors.lacking(OLDER),
            (*three, "--kubernetes", OLDER),
        ),
        Suite(
            "cluster-api",
            "Cluster API: clusters created, scaled, upgraded, deleted",
            ("tests/real/test_cluster_lifecycle.py",),
            no_cluster_api,
        ),
        Suite(
            "cluster-api",
            "Cluster API: the scenarios that create clusters",
            ("tests/scenarios", "-m", "creates"),
            no_cluster_api,
            ("--clusters", "0", "--no-containers", "--cluster-api"),
        ),
        Suite(
            "liqo",
            "containers and Liqo: links, offloading, what links carry, a video stream",
            ("tests/real/test_liqo.py", "tests/real/test_link_bandwidth.py", "tests/real/test_stream.py"),
            no_liqo,
        ),
        Suite(
            "liqo",
            "containers and Liqo: the scenarios that link clusters",
            ("tests/scenarios", "-m", "links"),
            no_liqo,
            ("--clusters", "2", "--containers", "--liqo", "--no-cluster-api"),
        ),
        Suite(
            "broker",
            "a real Liqo consumer, a broker, a real provider",
            ("tests/real/test_broker.py",),
            no_liqo,
        ),
        Suite(
            "edge",
            "KubeEdge: edge nodes, what runs there, devices",
            ("tests/real/test_edge.py",),
            servers or no_containers(tools) or kubeedge.impossible(tools),
        ),
        Suite(
            "sensors",
            "KubeEdge: sold readings, from MQTT at the edge to the buyers' servers",
            ("tests/real/test_sensors.py",),
            servers or no_containers(tools) or kubeedge.impossible(tools),
        ),
        Suite(
            "boards",
            "Boards: Lightning-rod 0.5.0 at the hub, a service through a tunnel, killed on either side; jobs as containers",
            ("tests/real/test_boards.py", "tests/real/test_board_containers.py", "tests/real/test_wstun.py"),
            lightning_rod.impossible,
        ),
        Suite(
            "iotronic",
            "OpenStack's own IoTronic 0.4.17: boards, fleets, plugins and services through the provider; what it lacks, said",
            ("tests/real/test_iotronic.py",),
            iotronic_bed.impossible,
        ),
        Suite(
            "identity",
            "SPIRE: two federated trust domains, let in, refused, forged, rotated, ended",
            ("tests/real/test_identity.py",),
            _missing(tools, SPIRE),
        ),
        Suite(
            "kafka",
            "Kafka: events in order, lost by nobody; logins; operator and backends as processes, killed at random",
            ("tests/messaging",),
            _missing(tools, KAFKA),
        ),
        Suite(
            "crossplane",
            "Crossplane: slices composed, repaired, deleted; rights by a label; others' compositions of our kinds",
            ("tests/real/test_crossplane.py",),
            servers or _missing(tools, (crossplane.PROGRAM,)) or crossplane.port_taken(),
        ),
    ]


def _missing(tools: Tools, programs: Sequence[str]) -> str | None:
    lacking = tools.missing(programs)
    return f"{', '.join(lacking)} missing (get them with: make testbed)" if lacking else None


@contextmanager
def _running(options: tuple[str, ...] | None) -> Iterator[dict[str, str]]:
    """The environment of the tests; with a bed, its kubeconfig."""
    environment = {**os.environ, "CONTINUO_TEST_REAL": "1", "CONTINUO_PATIENCE": PATIENCE}
    if options is None:
        yield environment
        return
    continuo = [sys.executable, "-m", "continuo.cli.main"]
    with tempfile.TemporaryDirectory(prefix="continuo-real-") as data:
        at = ["--data", data]
        try:
            up = ["up", "--engine", "kubernetes", "--detach", "--no-operator", *options, *at]
            subprocess.run([*continuo, *up], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
            yield {**environment, "CONTINUO_TEST_KUBECONFIG": f"{data}/kubeconfig"}
        finally:
            subprocess.run([*continuo, "down", *at], check=False, cwd=ROOT, stdout=subprocess.DEVNULL)


def _run(suite: Suite) -> str:
    """Run one; its verdict in words."""
    lacking = suite.lacking() if callable(suite.lacking) else suite.lacking
    if lacking:
        return f"did not run: {lacking}"
    print(f"\n== {suite.title}", flush=True)
    started = time.monotonic()
    try:
        with _running(suite.bed) as environment:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-rs", *suite.tests], cwd=ROOT, env=environment, check=False
            )
    except subprocess.CalledProcessError as error:
        return f"FAILED: its clusters did not start (exit code {error.returncode})"
    return f"{'passed' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s"


def main(names: Sequence[str]) -> int:
    """Run those named, or all, as far as they can run; 1 when something failed, 2 when a name is wrong."""
    known = suites(find_tools())
    if unknown := set(names) - {suite.name for suite in known}:
        there = dict.fromkeys(suite.name for suite in known)
        print(f"no such suite: {', '.join(sorted(unknown))}; there are {', '.join(there)}")
        return 2
    left = "left out, because only some suites were asked for"
    verdicts = [(suite.title, _run(suite) if not names or suite.name in names else left) for suite in known]
    print("\nreal engines on this machine:")
    for title, verdict in verdicts:
        print(f"  {title}: {verdict}")
    return int(any(verdict.startswith("FAILED") for _, verdict in verdicts))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
