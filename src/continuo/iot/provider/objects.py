"""The cluster's managed resources, cached and indexed: who refers to whom, who uses what, who is what outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from continuo.iot.provider.connections import ConfigName, ObjectKey, config_name, object_key
from continuo.iot.provider.marks import FINALIZER, OURS
from continuo.iot.provider.references import ANY, external_name, sought, used
from continuo.iot.provider.world import Driver
from continuo.kube.port import Cluster
from continuo.resources.meta import Kind, Object, annotations_of, key_of, labels_of
from continuo.runtime.informer import Informer, Watch


class Objects:
    """Caches of all kinds that have a driver (`external.Neighbours`)."""

    def __init__(self, cluster: Cluster, drivers: Iterable[Driver[Any]]) -> None:
        self.drivers: Mapping[str, Driver[Any]] = {driver.kind.plural: driver for driver in drivers}
        self.informers = {plural: Informer(cluster, _watch(driver)) for plural, driver in self.drivers.items()}

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object."""
        informer = self.informers.get(kind.plural)
        return None if informer is None else informer.cache.get((namespace, name))

    def all(self, kind: Kind, namespace: str) -> Iterable[Object]:
        """All of a namespace, by name."""
        informer = self.informers.get(kind.plural)
        found = [] if informer is None else informer.cache.by_index("namespace", namespace)
        return sorted(found, key=key_of)

    def by_external_name(self, kind: Kind, external_name: str) -> Object | None:
        """The object of which that is the external name."""
        informer = self.informers.get(kind.plural)
        found = [] if informer is None else informer.cache.by_index("external", external_name)
        return found[0] if found else None

    def users(self, kind: Kind, name: str) -> list[str]:
        """Who depends on the external object of that name, in words for people."""
        return [
            f"{self.drivers[plural].kind.kind} {'/'.join(filter(None, key_of(obj)))}"
            for plural, informer in self.informers.items()
            for obj in informer.cache.by_index("used", (kind.plural, name))
            if FINALIZER in (obj["metadata"].get("finalizers") or ())
        ]

    def of_config(self, config: ConfigName) -> list[ObjectKey]:
        """The objects that use a configuration."""
        return [
            object_key(self.drivers[plural].kind, key_of(obj))
            for plural, informer in self.informers.items()
            for obj in informer.cache.by_index("config", config)
        ]

    def configs(self) -> set[ConfigName]:
        """The configurations that are named."""
        found: set[ConfigName] = set()
        for informer in self.informers.values():
            found.update(value for value in informer.cache.index_values("config") if isinstance(value, ConfigName))
        return found

    def seekers(self, kind: Kind, namespace: str, name: str) -> list[ObjectKey]:
        """The objects with references or selectors that an object of that name may fulfil."""
        return [
            object_key(self.drivers[plural].kind, key_of(obj))
            for plural, informer in self.informers.items()
            for wanted in (name, ANY)
            for obj in informer.cache.by_index("sought", (kind.plural, namespace, wanted))
        ]


def _watch(driver: Driver[Any]) -> Watch:
    references = driver.references

    def external(obj: Object) -> Iterable[str]:
        name = external_name(obj)
        return (name,) if name else ()

    return Watch(
        driver.kind,
        indexers={
            "external": external,
            "sought": lambda obj: sought(obj, references),
            "used": lambda obj: used(obj, references),
            "config": lambda obj: (config_of(obj),),
            "namespace": lambda obj: (obj["metadata"].get("namespace") or "",),
        },
    )


def config_of(obj: Object) -> ConfigName:
    """The configuration that an object names."""
    return config_name((obj.get("spec") or {}).get("providerConfigRef"), obj["metadata"].get("namespace") or "")


def matters(old: Object | None, new: Object | None) -> bool:
    """Whether a change of an object is a reason to look at it: all but its status, and what only we write."""
    if old is None or new is None:
        return True
    if old["metadata"].get("uid") != new["metadata"].get("uid"):
        return True
    return _shape(old) != _shape(new)


def _shape(obj: Object) -> tuple[Any, ...]:
    metadata = obj["metadata"]
    annotations = {key: value for key, value in annotations_of(obj).items() if key not in OURS}
    return (
        metadata.get("generation"), labels_of(obj), annotations, metadata.get("deletionTimestamp"),
        metadata.get("finalizers"),
    )  # fmt: skip


Woken = Callable[[ObjectKey], None]


def wake_related(objects: Objects, kind: Kind, old: Object | None, new: Object | None, wake: Woken) -> None:
    """Tell those whom a change of an object concerns: who refers to it, what it used, and whatever its kind names."""
    obj = new or old
    assert obj is not None
    before, after = (external_name(each) if each is not None else "" for each in (old, new))
    if before != after or old is None or labels_of(old) != labels_of(obj):
        for key in objects.seekers(kind, obj["metadata"].get("namespace") or "", obj["metadata"]["name"]):
            wake(key)
    if old is not None and (new is None or (_held(old) and not _held(new))):
        _wake_used(objects, old, kind, wake)
    for driver in objects.drivers.values():
        concerned = driver.wakes.get(kind)
        if concerned is not None:
            for found in concerned(kind, old, new, objects):
                wake(object_key(driver.kind, found))


def _held(obj: Object) -> bool:
    return FINALIZER in (obj["metadata"].get("finalizers") or ())


def _wake_used(objects: Objects, obj: Object, kind: Kind, wake: Woken) -> None:
    for plural, name in used(obj, objects.drivers[kind.plural].references):
        informer = objects.informers.get(plural)
        for target in [] if informer is None else informer.cache.by_index("external", name):
            if "deletionTimestamp" in target["metadata"]:
                wake(object_key(objects.drivers[plural].kind, key_of(target)))
