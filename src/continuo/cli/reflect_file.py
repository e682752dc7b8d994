"""`continuo reflect --file`: many virtual nodes from one file, which is read again on SIGHUP."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

import yaml

from continuo.federation.reflection.declared import ClusterFile, Declared, read
from continuo.federation.reflection.fleet import Fleet
from continuo.kube.config import connect
from continuo.kube.port import Cluster
from continuo.kube.transport import Transports
from continuo.resources.errors import ApiError, BadRequest

log = logging.getLogger(__name__)


def load(path: Path) -> Declared:
    """What a file says; BadRequest with a sentence when it cannot be."""
    try:
        return read(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadRequest(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    except BadRequest as error:
        raise BadRequest(f"{path}: {error}") from error


async def serve(path: Path) -> None:
    """Reflect what the file says, until cancelled."""
    fleet = Fleet()
    served = _Served(fleet, path.parent)
    await served.follow(load(path))
    again = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, again.set)
    try:
        while True:
            await again.wait()
            again.clear()
            try:
                await served.follow(load(path))
                log.info("%s was read again", path)
            except ApiError as error:
                log.error("what was declared before stays: %s", error)
    finally:
        await fleet.close()
        await served.close()


class _Served:
    """The clusters of the file that was read last, with their clients."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self._fleet, self._folder = fleet, folder
        self._transports = Transports()
        self._clusters: dict[ClusterFile, Cluster] = {}

    async def follow(self, declared: Declared) -> None:
        """Go over to what a file says; what it says as before is not disturbed."""
        fresh = {given: self._connect(given) for given in declared.clusters if given not in self._clusters}
        for gone in [given for given in self._clusters if given not in declared.clusters]:
            await self._fleet.remove_cluster(gone.name)
            await self._clusters.pop(gone).close()
        for given, client in fresh.items():
            self._fleet.add_cluster(client)
            self._clusters[given] = client
        await self._fleet.declare(declared.peers)

    def _connect(self, given: ClusterFile) -> Cluster:
        file = self._folder / Path(given.kubeconfig).expanduser()
        return connect(file, context=given.context, name=given.name, transports=self._transports)

    async def close(self) -> None:
        """Close all clients."""
        await asyncio.gather(*(client.close() for client in self._clusters.values()))
