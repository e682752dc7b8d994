"""What every namespace has: the service account `default` and the cluster's certificate authority."""

from __future__ import annotations

from typing import Final

from continuo.embedded.api import ClusterApi
from continuo.embedded.lifecycle.worker import CallLater, Worker
from continuo.embedded.port import StoredChange, Write
from continuo.resources.kinds import CONFIG_MAP, NAMESPACE, SERVICE_ACCOUNT
from continuo.resources.meta import deleting

_WRITE: Final = Write(manager="kube-controller-manager", trusted=True)
ROOT_CA: Final = "kube-root-ca.crt"


class NamespaceBasics:
    """Creates them, and brings them back when someone deletes or changes them."""

    def __init__(self, api: ClusterApi, call_later: CallLater, ca: str) -> None:
        self._api = api
        self._ca = ca
        self._worker: Worker[str] = Worker(f"namespace basics in {api.name}", self._look, call_later)
        self._stops = [
            api.listen(NAMESPACE, self._namespace_changed),
            api.listen(SERVICE_ACCOUNT, self._basic_changed),
            api.listen(CONFIG_MAP, self._basic_changed),
        ]
        for namespace in api.list(NAMESPACE):
            self._look(namespace["metadata"]["name"])

    def stop(self) -> None:
        """End the care for this cluster."""
        for stop in self._stops:
            stop()
        self._worker.stop()

    def _namespace_changed(self, change: StoredChange) -> None:
        if change.type == "ADDED":
            self._worker.add(change.object["metadata"]["name"])

    def _basic_changed(self, change: StoredChange) -> None:
        metadata = change.object["metadata"]
        if metadata["name"] in ("default", ROOT_CA) and change.type != "ADDED":
            self._worker.add(metadata["namespace"])

    def _look(self, name: str) -> None:
        namespace = self._api.find(NAMESPACE, name)
        if namespace is None or deleting(namespace):
            return
        if self._api.find(SERVICE_ACCOUNT, "default", name) is None:
            self._api.create(SERVICE_ACCOUNT.new("default", name), _WRITE)
        data = {"ca.crt": self._ca}
        config = self._api.find(CONFIG_MAP, ROOT_CA, name)
        if config is None:
            about = {"annotations": {"kubernetes.io/description": (
                "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints."
            )}}  # fmt: skip
            self._api.create(CONFIG_MAP.new(ROOT_CA, name, data=data, metadata=about), _WRITE)
        elif config.get("data") != data:
            self._api.update({**config, "data": data}, _WRITE)
