"""The Edge Resource Manager: follows Nodes, Devices and Flavors, and keeps one Flavor for each sensor that can be sold.

One key of one queue for each Device. Everything is derived from what the cluster says, so the process may be killed at any
line; every write names the version that was read, so nothing of what the market writes meanwhile is lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from continuo.edge.discovery.boards import Board, is_away, is_cut_off
from continuo.edge.discovery.flavors import Change, Site, change_for, desired, withdrawal
from continuo.edge.discovery.followed import Followed
from continuo.edge.discovery.reports import (
    Report,
    annotations_patch,
    budget_report,
    conditions_patch,
    decoded_report,
    news,
    took,
)
from continuo.edge.discovery.settings import Settings
from continuo.edge.node import NAMESPACE
from continuo.edge.sensors.model import Problem
from continuo.kube.port import Cluster
from continuo.resources.errors import AlreadyExists, Conflict, NotFound
from continuo.resources.kinds import FLAVOR
from continuo.resources.meta import Key, Object, annotations_of, key_of
from continuo.runtime.controller import DONE, Controller, Result
from continuo.runtime.events import EventRecorder

log = logging.getLogger(__name__)

MANAGER = "continuo-edge-resource-manager"
SOON = 0.2
"""Seconds until a write that somebody else overtook is tried again, if the watch has not told before."""


class EdgeResourceManager:
    """Of one cluster. `namespace` is that of the node's identity; Devices are followed in all namespaces, or in one."""

    def __init__(
        self, cluster: Cluster, *, settings: Settings | None = None, namespace: str = NAMESPACE,
        devices: str | None = None, instance: str = MANAGER, workers: int = 8, rng: random.Random | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._cluster, self._settings, self._now = cluster, settings or Settings(), now
        self.controller: Controller[Key] = Controller("edge resources", self.reconcile, workers=workers, rng=rng)
        self.followed = Followed(cluster, self._settings, namespace, devices, self.controller.add)
        self._events = EventRecorder(cluster, MANAGER, instance, rng=rng, now=now)
        self._prunes = False
        """The API server keeps no conditions of Devices."""
        self.ready = asyncio.Event()
        """Set when everything that is there is known."""

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            self._events.start()
            await self.followed.start()
            self.controller.start()
            self.ready.set()
            await asyncio.Event().wait()
        finally:
            await self.controller.stop()
            await asyncio.gather(self.followed.close(), self._events.stop())

    async def reconcile(self, key: Key) -> Result:
        """Bring the Flavors of a Device to where they should be, and tell it what is wrong."""
        followed = self.followed
        if followed.identity is None:
            return DONE  # the ConfigMap's arrival brings every Device back
        wanted, problems, why = self._wanted(key)
        actual = {flavor["metadata"]["name"]: flavor for flavor in followed.flavors_of(key)}
        settled = True
        for name, flavor in wanted.items():
            settled &= await self._write(change_for(flavor, actual.pop(name, None) or followed.flavor(key[0], name)))
        for flavor in actual.values():
            settled &= await self._write(withdrawal(flavor, why))
        settled &= await self._report(key, problems, len(wanted))
        return DONE if settled else Result(SOON)

    # --- what should be -----------------------------------------------------------------------------------------------
    def _wanted(self, key: Key) -> tuple[dict[str, Object], list[Problem], str]:
        """The Flavors by name, what is wrong, and why there is none for what is there beyond."""
        followed, claim = self.followed, self.followed.claims.get(key)
        if claim is None:
            return {}, [], f"Device {key[0]}/{key[1]} is gone"
        board = claim.board
        if board.annotation is None:
            return {}, [], f"Device {key[0]}/{key[1]} describes no sensors any more"
        if not board.node:
            missing = Problem("spec.nodeName", "is missing, so nobody knows which edge node has the sensors")
            return {}, [missing], missing.sentence
        if not followed.sells(board):
            return {}, [], f"node {board.node} has no label {self._settings.node_label}=true"
        sensors, problems = followed.claims.granted(key, followed.sells)
        site = self._site(board)
        flavors = (desired(site, sensor) for sensor in sensors)
        return {flavor["metadata"]["name"]: flavor for flavor in flavors}, problems, "it is described no more"

    def _site(self, board: Board) -> Site:
        followed = self.followed
        assert followed.identity is not None
        node = followed.node(board.node)
        notes = annotations_of(node) if node is not None else {}
        away = is_away(followed.state(board.key)) or is_cut_off(node)
        return Site(board, followed.identity, self._settings, notes, away)

    # --- what is written ----------------------------------------------------------------------------------------------
    async def _write(self, change: Change | None) -> bool:
        """Whether it is as it should be now; what somebody else wrote meanwhile is looked at first."""
        if change is None:
            return True
        namespace, name = key_of(change.flavor)
        try:
            if change.verb == "create":
                self.followed.learn(await self._cluster.create(change.flavor, manager=MANAGER))
            elif change.verb == "replace":
                self.followed.learn(await self._cluster.replace(change.flavor, manager=MANAGER))
            else:
                await self._cluster.delete(FLAVOR, name, namespace, uid=change.flavor["metadata"]["uid"])
        except (Conflict, AlreadyExists) as error:
            log.debug("flavor %s/%s: %s", namespace, name, error)
            return False
        except NotFound:
            return change.verb == "delete"
        return True

    async def _report(self, key: Key, problems: list[Problem], sensors: int) -> bool:
        device = self.followed.device(key)
        if device is None:
            return True
        claim = self.followed.claims.get(key)
        node = claim.board.node if claim is not None else ""
        sold = self.followed.sold_behind(key, node)
        reports = [decoded_report(problems, sensors), budget_report(node, sold, self._settings.budget)]
        untold = news(device, reports)
        if not untold:
            return True
        try:
            await self._tell(key, device, untold)
        except (Conflict, NotFound) as error:
            log.debug("device %s/%s: %s", *key, error)
            return False
        for report in untold:
            self._events.record(device, "Normal" if report.good else "Warning", report.reason, report.message)
        return True

    async def _tell(self, key: Key, device: Object, reports: list[Report]) -> None:
        kind, (namespace, name) = self.followed.device_kind, key
        version = {"resourceVersion": device["metadata"]["resourceVersion"]}
        if not self._prunes:
            stamp = datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            patch = {"metadata": version, **conditions_patch(device, reports, stamp)}
            device = await self._cluster.patch(kind, name, patch, namespace, manager=MANAGER)
            self.followed.learn_device(device)
            self._prunes = not took(device, reports)
        if self._prunes:
            self.followed.learn_device(
                await self._cluster.patch(kind, name, annotations_patch(reports), namespace, manager=MANAGER)
            )
