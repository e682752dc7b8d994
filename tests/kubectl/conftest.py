from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from continuo.cli.host import Host
from continuo.embedded.standins.settings import Flavor, Settings
from continuo.embedded.standins.workload import NewNode, register
from contract.local import Loop

from . import binary
from .client import Kubectl

FAST = Settings(speed=10.0, jitter=0.0)


class World:
    """An engine with stand-ins and two clusters: `management`, and `rose` with two nodes."""

    def __init__(self, home: Path) -> None:
        self.home = home

    async def start(self) -> None:
        self.host = Host(None, standins=FAST, seed=1)
        await self.host.start()
        rose = self.host.engine.create_cluster("rose")
        for number in (1, 2):
            node = NewNode(f"rose-{number}", "v1.34.0", f"10.6.0.{number}", Flavor(4, 8192), 110)
            node.labels["node.continuo.dev/network"] = "builtin"
            register(rose, node)
        config = self.host.kubeconfig().replace("current-context: management", "current-context: rose")
        (self.home / "config").write_text(config, encoding="utf-8")

    async def stop(self) -> None:
        await self.host.stop()


@pytest.fixture(scope="session")
def kubectl_binary() -> str:
    found = binary.find()
    if found is None:
        pytest.skip(
            "there is no kubectl on the PATH; install it, or set CONTINUO_BUILD_KUBECTL=1 to build it with Go into "
            f"{binary.CACHE.parent}"
        )
    return found


@pytest.fixture(scope="session")
def home(kubectl_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of the user, with a kubeconfig for a running engine."""
    home = tmp_path_factory.mktemp("home")
    loop, world = Loop(), World(home)
    try:
        loop.run(world.start())
        yield home
        loop.run(world.stop())
    finally:
        loop.stop()


@pytest.fixture(scope="module")
def kubectl(kubectl_binary: str, home: Path, request: pytest.FixtureRequest) -> Kubectl:
    """kubectl in a namespace of the module's own."""
    namespace = request.module.__name__.rpartition("_")[2]
    kubectl = Kubectl(kubectl_binary, home, namespace)
    kubectl("create", "namespace", namespace)
    return kubectl
