"""The whole of it: follows the Provider objects, places probes on their clusters, measures them, writes their status.

Derived from what is there, so it may be killed at any line. A provider that cannot be reached waits with a backoff of its
own; one whose Provider object goes loses its probe, as long as its cluster answers.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from continuo.broker.measurements.addresses import Addresses, BadAddress
from continuo.broker.measurements.placement import MANAGER, Placement, find_endpoint, is_running, place, remove
from continuo.broker.measurements.runner import Runner, Target
from continuo.broker.measurements.store import Measurements
from continuo.kube.port import Cluster
from continuo.probing.client import Endpoint
from continuo.resources import kinds
from continuo.resources.broker import PROVIDER, ProviderSpec, SecretRef, decode_spec
from continuo.resources.errors import ApiError, Invalid, NotFound
from continuo.resources.meta import Object, annotations_of, deleting
from continuo.runtime.clusterset import Connect
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.informer import Informer, Watch

log = logging.getLogger(__name__)

ENDPOINT = "continuo.dev/probe-endpoint"
"""Annotation of a Provider: where its probe listens, where the broker does not place one or cannot see it."""
AGAIN, SOON = 600.0, 5.0
"""Seconds after which a placed probe is looked at again, and one that has no address yet."""
_TOLD_EVERY = 60.0
_MOST = 64


class Measuring:
    """Measures every Provider of the broker's cluster."""

    def __init__(
        self,
        home: Cluster,
        connect: Connect,
        measurements: Measurements,
        runner: Callable[[Callable[[str], None]], Runner],
        placement: Placement | None,
        addresses: Addresses,
    ) -> None:
        self._home, self._connect, self._measurements = home, connect, measurements
        self._placement, self._addresses = placement, addresses
        self._informer = Informer(home, Watch(PROVIDER))
        self._places = Controller("probes", self._reconcile, workers=8)
        self._tells = Controller("measured", self._tell, workers=4)
        self._runner = runner(self._measured)
        self._clusters: dict[str, tuple[str, Cluster]] = {}
        self._told: dict[str, float] = {}

    async def run(self) -> None:
        """Measure until cancelled. Probes stay, so that the next start finds them."""
        self._informer.on_change(self._changed)
        self._measurements.on_rotate.append(self._rotated)
        self._informer.start()
        try:
            await asyncio.gather(self._places.run(), self._tells.run())
        finally:
            self._measurements.on_rotate.remove(self._rotated)
            await self._informer.stop()
            await self._runner.close()
            for _, cluster in self._clusters.values():
                await cluster.close()

    def _changed(self, old: Object | None, new: Object | None) -> None:
        """Only what is declared matters: the status is written by this process itself."""
        if old is not None and new is not None and not deleting(new):
            same = old["spec"] == new["spec"] and annotations_of(old).get(ENDPOINT) == annotations_of(new).get(ENDPOINT)
            if same:
                return
        obj = new or old
        assert obj is not None
        self._places.add(obj["metadata"]["name"])

    def _rotated(self) -> None:
        """The probes that are placed need the new key now, not when they are looked after next."""
        for provider in self._informer.cache:
            self._places.add(provider["metadata"]["name"])

    async def _reconcile(self, name: str) -> Result:
        provider = self._informer.cache.get(("", name))
        if provider is None or deleting(provider):
            await self._leave(name)
            return DONE
        spec = decode_spec(provider, ProviderSpec)
        cluster = None if spec.kubeconfig is None else await self._connected(name, spec.kubeconfig)
        url, wait = annotations_of(provider).get(ENDPOINT), AGAIN
        if url is None and cluster is not None and self._placement is not None:
            url = await self._placed(name, cluster, self._placement)
            wait = SOON if url is None else AGAIN
        try:
            endpoint = None if url is None else Endpoint(self._addresses.check_url(url), name)
        except BadAddress as error:
            log.warning("%s is not probed: %s", name, error)
            endpoint = None
        await self._runner.put(Target(name, endpoint, cluster))
        return Result(wait)

    async def _placed(self, name: str, cluster: Cluster, placement: Placement) -> str | None:
        """The address of the probe there. It is not asked before it ran for the first time; afterwards its absence counts."""
        public = self._measurements.private.public_key().public_bytes_raw()
        try:
            await place(cluster, placement, name, public)
            if not self._measurements.checks(name).any and not await is_running(cluster, placement):
                return None
            return await find_endpoint(cluster, placement)
        except ApiError as error:
            log.warning("no probe can be placed on %s: %s", name, error)
            known = self._runner.target(name)
            return None if known is None or known.endpoint is None else known.endpoint.url

    async def _connected(self, name: str, ref: SecretRef) -> Cluster:
        """A client, made anew when the kubeconfig is another."""
        secret = await self._home.get(kinds.SECRET, ref.name, ref.namespace)
        try:
            text = base64.b64decode(secret["data"][ref.key], validate=True).decode()
        except (KeyError, TypeError, binascii.Error, UnicodeDecodeError) as error:
            raise Invalid(
                f"Secret {ref.namespace}/{ref.name} must hold a kubeconfig under the key {ref.key}"
            ) from error
        known = self._clusters.get(name)
        if known is not None and known[0] == text:
            return known[1]
        cluster = self._connect(text, name=name)
        self._clusters[name] = (text, cluster)
        if known is not None:
            await self._runner.remove(name)
            await known[1].close()
        return cluster

    async def _leave(self, name: str) -> None:
        await self._runner.remove(name)
        known = self._clusters.get(name)
        if known is None:
            return
        if self._placement is not None:
            await remove(known[1], self._placement)
        del self._clusters[name]
        await known[1].close()

    def _measured(self, name: str) -> None:
        """Tell the object once a minute: its age is what policies look at."""
        now = self._measurements.clock()
        if now - self._told.get(name, 0.0) >= _TOLD_EVERY:
            self._told[name] = now
            self._tells.add(name)

    async def _tell(self, name: str) -> Result:
        status = {"measured": self.status(name)}
        try:
            await self._home.get(PROVIDER, name)  # applying a status must not make a Provider that is gone
            await self._home.apply(PROVIDER.new(name, status=status), manager=MANAGER, subresource="status")
        except NotFound:
            self._told.pop(name, None)
        return DONE

    def status(self, name: str) -> list[Object]:
        """The newest values that are fresh, as a Provider's status has them."""
        now, found = self._measurements.clock(), []
        for metric, one in sorted(self._measurements.newest(name).items()):
            record = one.record
            if record.fresh(now):
                at = datetime.fromtimestamp(record.at // 1000, UTC).isoformat().replace("+00:00", "Z")
                found.append({"name": metric, "value": record.value, "at": at, "by": record.by})
        return found[:_MOST]
