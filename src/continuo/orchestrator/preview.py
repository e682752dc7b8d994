"""The plan for an orchestration as it would be, without writing anything: what `continuo plan` prints.

The API server checks and defaults the object by a dry run; then one list of each watched kind stands in for the caches.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import datetime
from collections.abc import Iterable, Set

from continuo.federation import names
from continuo.federation.model import LinkSettings
from continuo.kube.config import connect
from continuo.kube.port import Cluster
from continuo.orchestrator import naming
from continuo.orchestrator.assess import assess
from continuo.orchestrator.caches import CachedCluster, entrance, list_once, management_watches, workload_watches
from continuo.orchestrator.capacity import tally
from continuo.orchestrator.decide import decide
from continuo.orchestrator.loops.enact import told
from continuo.orchestrator.loops.laying import Carried, lay
from continuo.orchestrator.observe import Caches, Reach, Snapshot, Workload, carried_out, observe
from continuo.orchestrator.orient import orient
from continuo.orchestrator.placing.asking import Placing
from continuo.orchestrator.placing.choose import places_anything
from continuo.orchestrator.plan import Plan
from continuo.orchestrator.settings import Settings
from continuo.orchestrator.world import Register, cluster_secrets, declare, followed, kubeconfig_text
from continuo.placement.pool import Pool
from continuo.resources import kinds
from continuo.resources.errors import ApiError, Invalid
from continuo.resources.loop import ADJUSTMENT, MAX_ACTIONS, MAX_ADJUSTED
from continuo.resources.meta import Key, Kind, Object, key_of, labels_of
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION, decode, encode

MOST_DECISIONS = MAX_ADJUSTED // MAX_ACTIONS
"""So many place everything that there may be."""


class ListedWorld:
    """The world as one look showed it."""

    def __init__(
        self, management: CachedCluster, workloads: dict[Key, Workload], register: Register | None = None
    ) -> None:
        self._management, self._workloads, self._register = management, workloads, register or Register()

    def management(self) -> Caches:
        return self._management

    def put(self, kind: Kind, obj: Object) -> None:
        """Have an object of the management cluster be there."""
        self._management.put(kind, obj)

    def workload(self, namespace: str, secret: str) -> Workload:
        return self._workloads.get((namespace, secret), Workload(Reach.NONE))

    def provisioning(self) -> frozenset[Key]:
        return frozenset(key_of(cluster) for cluster in self._management.provisioning())

    def missing(self) -> frozenset[str]:
        return self._management.missing

    def partners(self, secret: Key) -> Set[Key]:
        return self._register.partners(secret)

    def link_holders(self, a: Key, b: Key, besides: Key) -> tuple[Key, ...]:
        return self._register.holders(a, b, besides)

    def users(self, secret: Key, besides: Key) -> tuple[Key, ...]:
        return self._register.users(secret, besides)


async def preview(
    management: Cluster,
    obj: Object,
    secrets: Iterable[Object] = (),
    settings: Settings | None = None,
    *,
    manager: str = naming.CLI_MANAGER,
) -> Plan:
    """The change plan for applying `obj` (together with `secrets` of the same file).

    Raises:
        Invalid: the API server refuses the object; the message names each field.
    """
    accepted = await management.apply(obj, manager=manager, dry_run=True)
    world = await picture(management, accepted, secrets)
    settings = settings or Settings()
    async with Pool() as pool:
        now = datetime.datetime.now(datetime.UTC)
        snapshot = await placed(observe(accepted, world), world, settings, now, Placing(pool))
    desired = orient(snapshot, settings)
    return decide(snapshot, desired, assess(snapshot, desired, LinkSettings()), settings)


async def placed(
    snapshot: Snapshot, world: ListedWorld, settings: Settings, now: datetime.datetime, placing: Placing
) -> Snapshot:
    """The picture with every component where the scheduler would put it now; others may still come up."""
    if not places_anything(snapshot):
        return snapshot
    for _ in range(MOST_DECISIONS):
        before, snapshot = snapshot.adjustment, await _placed_once(snapshot, world, settings, now, placing)
        if snapshot.adjustment == before:
            break
    return snapshot


async def _placed_once(
    snapshot: Snapshot, world: ListedWorld, settings: Settings, now: datetime.datetime, placing: Placing
) -> Snapshot:
    assessment = assess(snapshot, orient(snapshot, settings), LinkSettings(), now.timestamp())
    impatient = dataclasses.replace(settings, placing_patience=0.0)
    choice = await placing.choose(snapshot, assessment, impatient, now, {}, lambda: (snapshot, assessment))
    if choice.decision is None:
        return dataclasses.replace(snapshot, waiting=choice.waiting)
    word = Carried(snapshot.declared, "plan", told(now), base=snapshot.base)
    laid = lay(snapshot.adjustment, choice.decision.actions, word)
    namespace, name = snapshot.key
    world.put(ADJUSTMENT, ADJUSTMENT.new(name, namespace, spec=encode(laid)))
    return dataclasses.replace(observe(snapshot.object, world), waiting=choice.waiting)


async def picture(management: Cluster, accepted: Object, secrets: Iterable[Object] = ()) -> ListedWorld:
    """The world of an orchestration as one look shows it, together with `secrets` that are not there yet."""
    namespace, _ = key_of(accepted)
    caches = await list_once(management, management_watches())
    for secret in secrets:
        caches.put(kinds.SECRET, _stored(secret, namespace))
    orchestration = carried_out(decode(accepted), caches)
    secrets_of = cluster_secrets(accepted, orchestration, caches)
    wanted = sorted(set(followed(secrets_of, orchestration, caches).values()))
    found = await asyncio.gather(*(_look(caches, namespace, secret) for secret in wanted))
    return ListedWorld(caches, dict(zip(((namespace, s) for s in wanted), found, strict=True)), _registered(caches))


def _registered(caches: CachedCluster) -> Register:
    """What all orchestrations declare; one that does not fit the model declares nothing."""
    register = Register()
    for obj in caches.list(LOW_LEVEL_ORCHESTRATION):
        with contextlib.suppress(Invalid):
            declare(register, obj, carried_out(decode(obj), caches), caches)
    return register


def _stored(secret: Object, namespace: str) -> Object:
    """A Secret of the file as the API server would keep it."""
    data = dict(secret.get("data") or {})
    for key, value in (secret.get("stringData") or {}).items():
        data[key] = base64.b64encode(str(value).encode()).decode()
    metadata = {"namespace": namespace, **secret["metadata"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": secret.get("type", "Opaque"),
        "data": data,
    }


async def _look(management: CachedCluster, namespace: str, secret: str) -> Workload:
    found = management.get(kinds.SECRET, secret, namespace)
    text = kubeconfig_text(found) if found is not None else None
    if text is None:
        return Workload(Reach.NONE)
    try:
        cluster = connect(text, name=secret, timeout=5.0)
    except ApiError as error:
        return Workload(Reach.LOST, str(error))
    try:
        caches = await list_once(cluster, workload_watches())
    except ApiError as error:
        return Workload(Reach.LOST, str(error))
    finally:
        await cluster.close()
    real = (node for node in caches.list(kinds.NODE) if labels_of(node).get(names.TYPE) != names.VIRTUAL_NODE_TYPE)
    sums = tally(real, caches.list(kinds.POD))
    return Workload(Reach.OK, "", caches, entrance(caches), sums.capacity(), sums.of)
