"""Storage as kind and K3s bring it: a default StorageClass, a provisioner of local volumes, and what binds claims.

A volume is made where the first pod that uses its claim is scheduled, stays on that node, and goes with its claim. It
holds no data: pods run nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Work, stored
from continuo.embedded.standins.kinds import PERSISTENT_VOLUME, STORAGE_CLASS
from continuo.embedded.standins.objects import with_meta
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload.claims import SELECTED_NODE, Demands, bound, demands
from continuo.embedded.standins.workload.events import EventSink
from continuo.embedded.standins.workload.quantities import amount
from continuo.resources.errors import AlreadyExists
from continuo.resources.kinds import NODE, PERSISTENT_VOLUME_CLAIM
from continuo.resources.meta import Key, Object, annotations_of, key_of, labels_of

PROVISIONER = "rancher.io/local-path"
DEFAULT_CLASS = "standard"
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_CONTROLLER = "persistentvolume-controller"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_WRITE = Write(manager="kube-controller-manager", trusted=True)


class Volumes:
    """All claims and volumes of one cluster."""

    def __init__(self, engine: Engine, api: Api, settings: Settings, events: EventSink) -> None:
        self._engine, self._api, self._settings, self._events = engine, api, settings, events
        self._claims: Work[Key] = Work(engine, self._settle_claim, name=_CONTROLLER)
        self._volumes: Work[str] = Work(engine, self._settle_volume, name=_CONTROLLER)
        self.on_claim_changed: Callable[[Key], None] = lambda _: None
        """Told when a claim came, was bound, or went: pods may wait for it."""

    def start(self) -> None:
        """A cluster without any StorageClass gets the default one."""
        if not stored(self._api, STORAGE_CLASS):
            self._api.create(_default_class(), Write(manager="local-path-provisioner"))

    def stop(self) -> None:
        self._claims.stop()
        self._volumes.stop()

    def demands(self, keys: list[Key]) -> Demands:
        """What these claims ask of the scheduler."""
        return demands(keys, self._claim, self._volume, self._waits_for_consumer)

    def provision_on(self, node: str, claims: list[Object]) -> None:
        """The scheduler chose the node for a pod that uses these claims."""
        for claim in claims:
            if annotations_of(claim).get(SELECTED_NODE) != node:
                annotations = {**annotations_of(claim), SELECTED_NODE: node}
                self._api.update(
                    with_meta(claim, annotations=annotations), Write(manager="kube-scheduler", trusted=True)
                )

    # --- events ---------------------------------------------------------------------------------------------------

    def on_claim(self, change: StoredChange) -> None:
        """A claim came, changed or went."""
        key = key_of(change.object)
        if change.type == "DELETED":
            if name := change.object["spec"].get("volumeName"):
                self._volumes.add(name)
        elif not bound(change.object):
            self._claims.add(key)
        self.on_claim_changed(key)

    def on_volume(self, change: StoredChange) -> None:
        """A volume came, changed or went."""
        if change.type == "DELETED":
            reference = change.object["spec"].get("claimRef") or {}
            if reference.get("name"):
                self.on_claim_changed((reference.get("namespace", ""), reference["name"]))
            return
        self._volumes.add(change.object["metadata"]["name"])

    def on_class(self, change: StoredChange) -> None:
        """A StorageClass came: claims may wait for it."""
        if change.type == "ADDED":
            for claim in self._api.list(PERSISTENT_VOLUME_CLAIM):
                if not bound(claim):
                    self._claims.add(key_of(claim))

    # --- reading --------------------------------------------------------------------------------------------------

    def _claim(self, key: Key) -> Object | None:
        return self._api.find(PERSISTENT_VOLUME_CLAIM, key[1], key[0])

    def _volume(self, name: str) -> Object | None:
        return self._api.find(PERSISTENT_VOLUME, name)

    def _class_of(self, claim: Object) -> Object | None:
        name = claim["spec"].get("storageClassName")
        return self._api.find(STORAGE_CLASS, name) if name else None

    def _waits_for_consumer(self, claim: Object) -> bool:
        found = self._class_of(claim)
        return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"

    # --- claims ---------------------------------------------------------------------------------------------------

    def _settle_claim(self, key: Key) -> None:
        claim = self._claim(key)
        if claim is None or bound(claim) or "deletionTimestamp" in claim["metadata"]:
            return
        volume = self._matching(claim)
        if volume is not None:
            self._bind(claim, volume)
            return
        found = self._class_of(claim)
        node = annotations_of(claim).get(SELECTED_NODE, "")
        if found is None:
            reason, message = (
                "FailedBinding",
                "no persistent volumes available for this claim and no storage class is set",
            )
            if name := claim["spec"].get("storageClassName"):
                reason, message = "ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found'
            kind = "Warning" if reason == "ProvisioningFailed" else "Normal"
            self._events.emit(claim, kind, reason, message, _CONTROLLER)
        elif found.get("volumeBindingMode") == "WaitForFirstConsumer" and not node:
            message = "waiting for first consumer to be created before binding"
            self._events.emit(claim, "Normal", "WaitForFirstConsumer", message, _CONTROLLER)
        elif found.get("provisioner") != PROVISIONER:
            message = (
                f"Waiting for a volume to be created either by the external provisioner '{found.get('provisioner')}' or "
                "manually by the system administrator."
            )
            self._events.emit(claim, "Normal", "ExternalProvisioning", message, _CONTROLLER)
        elif self._claims.waited(key, claim["metadata"]["uid"], self._settings.scaled(self._settings.volume_create)):
            self._claims.forget(key, claim["metadata"]["uid"])
            self._provision(claim, found, node)

    def _matching(self, claim: Object) -> Object | None:
        """The smallest free volume that fits, unless the claim's volume is made on demand."""
        spec = claim["spec"]
        if name := spec.get("volumeName"):
            named = self._volume(name)
            return named if named is not None and _may_hold(named, claim) else None
        if self._waits_for_consumer(claim):
            return self._volume(_name_of(claim))
        fitting = [entry for entry in self._api.list(PERSISTENT_VOLUME) if _fits(entry, claim)]
        return min(fitting, key=lambda entry: (_size(entry), entry["metadata"]["name"]), default=None)

    def _provision(self, claim: Object, found: Object, node: str) -> None:
        at = self._api.find(NODE, node) if node else None
        volume = _local_volume(claim, found, labels_of(at).get("kubernetes.io/hostname", node) if at else node)
        try:
            volume = self._api.create(volume, Write(manager="local-path-provisioner"))
        except AlreadyExists:
            volume = self._api.get(PERSISTENT_VOLUME, volume["metadata"]["name"])
        message = f"Successfully provisioned volume {volume['metadata']['name']}"
        self._events.emit(claim, "Normal", "ProvisioningSucceeded", message, PROVISIONER)
        self._bind(claim, volume)

    def _bind(self, claim: Object, volume: Object) -> None:
        name = volume["metadata"]["name"]
        reference = _reference(claim)
        if volume["spec"].get("claimRef") != reference:
            self._api.update({**volume, "spec": {**volume["spec"], "claimRef": reference}}, _WRITE)
        annotations = {**annotations_of(claim), "pv.kubernetes.io/bind-completed": "yes"}
        annotations |= {"pv.kubernetes.io/bound-by-controller": "yes"} if not claim["spec"].get("volumeName") else {}
        wanted = with_meta({**claim, "spec": {**claim["spec"], "volumeName": name}}, annotations=annotations)
        claim = self._api.update(wanted, _WRITE)
        spec = volume["spec"]
        status = {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": spec["capacity"]}
        self._api.set_status(claim, status, "kube-controller-manager")
        self._volumes.add(name)

    # --- volumes --------------------------------------------------------------------------------------------------

    def _settle_volume(self, name: str) -> None:
        volume = self._volume(name)
        if volume is None or "deletionTimestamp" in volume["metadata"]:
            return
        reference = volume["spec"].get("claimRef")
        if not reference or not reference.get("uid"):
            self._phase(volume, "Available")
            for claim in self._api.list(PERSISTENT_VOLUME_CLAIM):
                if not bound(claim):
                    self._claims.add(key_of(claim))
            return
        holder = self._claim((reference["namespace"], reference["name"]))
        if holder is not None and holder["metadata"]["uid"] == reference["uid"]:
            self._phase(volume, "Bound")
        elif volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            self._api.delete(PERSISTENT_VOLUME, name)
        else:
            self._phase(volume, "Released")

    def _phase(self, volume: Object, phase: str) -> None:
        if (volume.get("status") or {}).get("phase") != phase:
            self._api.set_status(volume, {"phase": phase}, "kube-controller-manager")


def _default_class() -> Object:
    return STORAGE_CLASS.new(
        DEFAULT_CLASS, metadata={"annotations": {IS_DEFAULT: "true"}},
        provisioner=PROVISIONER, reclaimPolicy="Delete", volumeBindingMode="WaitForFirstConsumer",
    )  # fmt: skip


def _name_of(claim: Object) -> str:
    return f"pvc-{claim['metadata']['uid']}"


def _reference(claim: Object) -> Object:
    metadata = claim["metadata"]
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": metadata["namespace"],
        "name": metadata["name"], "uid": metadata["uid"],
    }  # fmt: skip


def _local_volume(claim: Object, found: Object, host: str) -> Object:
    spec, metadata, name = claim["spec"], claim["metadata"], _name_of(claim)
    folder = f"/opt/local-path-provisioner/{name}_{metadata['namespace']}_{metadata['name']}"
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]}
    return PERSISTENT_VOLUME.new(
        name, metadata={"annotations": {_PROVISIONED_BY: PROVISIONER}},
        spec={
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"], "volumeMode": spec.get("volumeMode", "Filesystem"),
            "claimRef": _reference(claim), "storageClassName": found["metadata"]["name"],
            "persistentVolumeReclaimPolicy": found.get("reclaimPolicy", "Delete"),
            "hostPath": {"path": folder, "type": "DirectoryOrCreate"},
            **({"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}} if host else {}),
        },
    )  # fmt: skip


def _size(volume: Object) -> int:
    return amount("storage", (volume["spec"].get("capacity") or {}).get("storage", "0"))


def _may_hold(volume: Object, claim: Object) -> bool:
    """Whether nobody else has the volume."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return True
    metadata = claim["metadata"]
    same = (reference.get("namespace"), reference.get("name")) == (metadata["namespace"], metadata["name"])
    return same and reference.get("uid") in (None, "", metadata["uid"])


def _fits(volume: Object, claim: Object) -> bool:
    spec, wanted = volume["spec"], claim["spec"]
    return (
        "deletionTimestamp" not in volume["metadata"]
        and _may_hold(volume, claim)
        and (spec.get("storageClassName") or "") == (wanted.get("storageClassName") or "")
        and spec.get("volumeMode", "Filesystem") == wanted.get("volumeMode", "Filesystem")
        and set(wanted["accessModes"]) <= set(spec.get("accessModes") or ())
        and _size(volume) >= amount("storage", wanted["resources"]["requests"]["storage"])
    )
