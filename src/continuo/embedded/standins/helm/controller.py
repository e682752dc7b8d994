"""HelmChartProxy and HelmReleaseProxy, following Clusters and what the releases run."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import yaml

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Listeners, PerCluster, Work
from continuo.embedded.standins.capi.clusters import control_plane_of, infrastructure_of
from continuo.embedded.standins.capi.world import World, initialization
from continuo.embedded.standins.faults import API_OUTAGE, fault
from continuo.embedded.standins.helm import releases
from continuo.embedded.standins.helm.charts import ChartError, Release, find
from continuo.embedded.standins.helm.templating import TemplateError, values_of
from continuo.embedded.standins.kinds import DAEMON_SET, STATEFUL_SET
from continuo.embedded.standins.objects import (
    cond,
    conditions,
    matches,
    owner_reference,
    timestamp,
    with_finalizer,
    without_finalizer,
)
from continuo.embedded.standins.settings import Settings
from continuo.resources.errors import Invalid, NotFound
from continuo.resources.kinds import CLUSTER, DEPLOYMENT, HELM_CHART_PROXY, HELM_RELEASE_PROXY
from continuo.resources.meta import Key, Object, annotations_of, deleting, is_true, key_of, labels_of

PROXY_LABEL = "helmreleaseproxy.addons.cluster.x-k8s.io/helmchartproxy-name"
CLUSTER_LABEL = "cluster.x-k8s.io/cluster-name"
CHART_FINALIZER = "helmchartproxy.addons.cluster.x-k8s.io"
RELEASE_FINALIZER = "helmreleaseproxy.addons.cluster.x-k8s.io"
_WRITE = Write(manager="caaph")
_COPIED = ("chartName", "repoURL", "version", "options", "credentials", "tlsConfig", "reconcileStrategy")


class ReleaseWatch:
    """Tells the add-on provider when something that a release runs becomes ready or fails."""

    def __init__(self, engine: Engine, api: Api, addons: HelmAddons) -> None:
        self._api, self._addons = api, addons
        self._listeners = Listeners(engine, api)

    def start(self) -> None:
        for kind in (DEPLOYMENT, DAEMON_SET, STATEFUL_SET):
            self._listeners.follow(kind, self._on_change)

    def stop(self) -> None:
        self._listeners.stop()

    def _on_change(self, change: StoredChange) -> None:
        release = annotations_of(change.object).get("meta.helm.sh/release-name")
        namespace = annotations_of(change.object).get(
            "meta.helm.sh/release-namespace", change.object["metadata"]["namespace"]
        )
        self._addons.changed(self._api.name, namespace, release or "")


class HelmAddons:
    """The Helm add-on provider of the management cluster."""

    def __init__(self, engine: Engine, world: World, *, rng: Random, settings: Settings) -> None:
        self._engine, self._api, self._world, self._rng, self._settings = (
            engine,
            engine.management,
            world,
            rng,
            settings,
        )
        self._listeners = Listeners(engine, self._api)
        self._by_chart: dict[Key, set[Key]] = {}
        self._by_cluster: dict[Key, set[Key]] = {}
        self._charts: dict[str, set[Key]] = {}
        self._work: Work[tuple[str, Key]] = Work(engine, self._handle, name="helm")
        self._watches = PerCluster(
            engine, lambda api: None if api is engine.management else ReleaseWatch(engine, api, self)
        )

    def start(self) -> None:
        """Take up the stored state and follow changes."""
        self._listeners.follow(HELM_RELEASE_PROXY, self._on_release)
        self._listeners.follow(HELM_CHART_PROXY, self._on_chart)
        self._listeners.follow(CLUSTER, self._on_cluster)
        self._watches.start()

    def stop(self) -> None:
        """Let go of every listener and timer."""
        self._listeners.stop()
        self._watches.stop()
        self._work.stop()

    # --- who looks when ---------------------------------------------------------------------------------------------

    def changed(self, engine_name: str, namespace: str, release: str) -> None:
        """Something in that namespace of a workload cluster changed; `release` may be unknown."""
        cluster = self._world.engine_names.get(engine_name)
        for key in self._by_cluster.get(cluster or ("", ""), ()):
            found = self._api.find(HELM_RELEASE_PROXY, key[1], key[0])
            if found is None or found["spec"].get("namespace") != namespace:
                continue
            if release in ("", found["spec"].get("releaseName")):
                self._work.add(("release", key))

    def _on_chart(self, change: StoredChange) -> None:
        key = key_of(change.object)
        if change.type == "DELETED":
            self._charts.get(key[0], set()).discard(key)
            return
        self._charts.setdefault(key[0], set()).add(key)
        self._work.add(("chart", key))

    def _on_release(self, change: StoredChange) -> None:
        release, key = change.object, key_of(change.object)
        chart = (key[0], labels_of(release).get(PROXY_LABEL, ""))
        cluster = (key[0], labels_of(release).get(CLUSTER_LABEL, ""))
        for index, name in ((self._by_chart, chart), (self._by_cluster, cluster)):
            if change.type == "DELETED":
                index.get(name, set()).discard(key)
            else:
                index.setdefault(name, set()).add(key)
        if change.type == "DELETED":
            self._work.forget(("release", key))
        elif (
            change.previous is None
            or change.previous["metadata"].get("generation") != release["metadata"].get("generation")
            or deleting(release)
        ):
            self._work.add(("release", key))
        self._work.add(("chart", chart))

    def _on_cluster(self, change: StoredChange) -> None:
        before, cluster, key = change.previous, change.object, key_of(change.object)
        if (
            before is None
            or change.type == "DELETED"
            or labels_of(before) != labels_of(cluster)
            or deleting(before) != deleting(cluster)
        ):
            for chart in self._charts.get(key[0], ()):
                self._work.add(("chart", chart))
        if (
            before is None
            or change.type == "DELETED"
            or _usable(before) != _usable(cluster)
            or before["spec"] != cluster["spec"]
        ):
            for release in self._by_cluster.get(key, ()):
                self._work.add(("release", release))

    def _handle(self, item: tuple[str, Key]) -> None:
        if item[0] == "chart":
            self._chart(item[1])
        else:
            self._release(item[1])

    # --- HelmChartProxy ---------------------------------------------------------------------------------------------

    def _chart(self, key: Key) -> None:
        proxy = self._api.find(HELM_CHART_PROXY, key[1], key[0])
        if proxy is None:
            return
        owned = {found["spec"]["clusterRef"]["name"]: found for found in self._releases_of(key)}
        if deleting(proxy):
            self._delete(owned.values())
            if not owned:
                self._api.update(without_finalizer(proxy, CHART_FINALIZER), _WRITE)
            return
        held = with_finalizer(proxy, CHART_FINALIZER)
        proxy = proxy if held is proxy else self._api.update(held, _WRITE)
        selector = proxy["spec"]["clusterSelector"]
        chosen = [entry for entry in self._api.list(CLUSTER, key[0]) if matches(selector, labels_of(entry))]
        names = {entry["metadata"]["name"] for entry in chosen}
        self._delete(found for name, found in owned.items() if name not in names)
        problem = ""
        for cluster in chosen:
            if not deleting(cluster):
                problem = self._put(proxy, cluster, owned.get(cluster["metadata"]["name"])) or problem
        self._report_chart(proxy, chosen, problem)

    def _releases_of(self, key: Key) -> list[Object]:
        found = (
            self._api.find(HELM_RELEASE_PROXY, name, namespace)
            for namespace, name in sorted(self._by_chart.get(key, ()))
        )
        return [entry for entry in found if entry is not None]

    def _delete(self, found: Iterable[Object]) -> None:
        for entry in list(found):
            if not deleting(entry):
                self._api.delete(HELM_RELEASE_PROXY, entry["metadata"]["name"], entry["metadata"]["namespace"])

    def _put(self, proxy: Object, cluster: Object, existing: Object | None) -> str:
        """Create or update the release of one cluster; returns the problem with its values."""
        spec, name = proxy["spec"], cluster["metadata"]["name"]
        data = {
            "Cluster": cluster, "ControlPlane": control_plane_of(self._world, cluster) or {},
            "InfraCluster": infrastructure_of(self._world, cluster) or {},
        }  # fmt: skip
        try:
            values = values_of(spec.get("valuesTemplate") or "", data)
        except TemplateError as error:
            return str(error)
        wanted: Object = {name: spec[name] for name in _COPIED if name in spec}
        wanted.update(
            clusterRef=_reference(cluster),
            releaseName=spec.get("releaseName") or f"{spec['chartName']}-{name}", namespace=spec.get("namespace", "default"),
        )  # fmt: skip
        if values:
            wanted["values"] = yaml.dump(values, Dumper=yaml.CSafeDumper, sort_keys=True)
        if existing is None:
            metadata = {
                "labels": {PROXY_LABEL: proxy["metadata"]["name"], CLUSTER_LABEL: name},
                "ownerReferences": [owner_reference(proxy)], "finalizers": [RELEASE_FINALIZER],
            }  # fmt: skip
            release = HELM_RELEASE_PROXY.new(
                f"{proxy['metadata']['name']}-{name}"[:253],
                cluster["metadata"]["namespace"],
                metadata=metadata,
                spec=wanted,
            )
            self._api.create(release, _WRITE)
        elif not deleting(existing) and spec.get("reconcileStrategy") != "InstallOnce":
            self._api.update({**existing, "spec": wanted}, _WRITE)
        return ""

    def _report_chart(self, proxy: Object, chosen: list[Object], problem: str) -> None:
        key = key_of(proxy)
        owned = self._releases_of(key)
        lagging = [entry["spec"]["clusterRef"]["name"] for entry in owned if not is_true(entry, "Ready")]
        specs = cond("HelmReleaseProxySpecsUpToDate", not problem, "" if not problem else "ValueParsingFailed", problem)
        done = not problem and not lagging and len(owned) == sum(not deleting(entry) for entry in chosen)
        note = problem or (f"not ready on {', '.join(sorted(lagging))}" if lagging else "")
        all_ready = cond("HelmReleaseProxiesReady", done, "" if done else "HelmReleaseProxiesNotReady", note)
        ready = cond("Ready", done, "" if done else all_ready["reason"], note)
        references = [
            _reference(entry) for entry in chosen
        ]  # fmt: skip
        self._report(proxy, {"matchingClusters": references}, [ready, specs, all_ready])

    def _report(self, obj: Object, status: Object, fresh: list[Object]) -> None:
        marked = [entry if entry["status"] == "True" else {**entry, "severity": "Info"} for entry in fresh]
        made = conditions((obj.get("status") or {}).get("conditions"), marked, timestamp(self._engine.now()))
        generation = obj["metadata"].get("generation", 1)
        self._api.set_status(obj, {**status, "observedGeneration": generation, "conditions": made}, "caaph")

    # --- HelmReleaseProxy -------------------------------------------------------------------------------------------

    def _release(self, key: Key) -> None:
        proxy = self._api.find(HELM_RELEASE_PROXY, key[1], key[0])
        if proxy is None:
            return
        cluster = self._api.find(CLUSTER, proxy["spec"]["clusterRef"]["name"], key[0])
        remote = self._world.remote(cluster)
        if deleting(proxy):
            self._uninstall(proxy, cluster, remote)
            return
        if remote is None or cluster is None or not _usable(cluster):
            self._waiting(proxy, cluster)
            return
        release = _release_of(proxy)
        revision, fingerprint = releases.installed(remote, release.name, release.namespace)
        try:
            find(release)
            if fingerprint != releases.fingerprint(release):
                if not self._work.waited(
                    ("release", key),
                    releases.fingerprint(release),
                    self._settings.scaled(self._settings.helm_install),
                ):
                    self._progress(
                        proxy,
                        "pending-upgrade" if revision else "pending-install",
                        revision,
                        "Helm release is being installed",
                    )
                    return
                revision = releases.install(remote, release, self._rng)
                self._work.forget(("release", key), releases.fingerprint(release))
            missing = releases.waiting_for(remote, release)
        except (ChartError, Invalid, NotFound) as error:
            self._failed(proxy, revision, str(error))
            return
        if missing:
            self._progress(proxy, "pending-install" if revision <= 1 else "pending-upgrade", revision, missing)
        else:
            ready = [cond(name, True) for name in ("Ready", "ClusterAvailable", "HelmReleaseReady")]
            self._report(proxy, {"status": "deployed", "revision": revision}, ready)

    def _waiting(self, proxy: Object, cluster: Object | None) -> None:
        note = "Cluster does not exist" if cluster is None else "Waiting for the control plane to be initialized"
        if cluster is not None and fault(cluster, API_OUTAGE) is not None:
            note = "The cluster's API does not answer"
        fresh = [
            cond("Ready", False, "ClusterAvailableFailed", note),
            cond("ClusterAvailable", False, "GetCredentialsFailed", note),
            cond("HelmReleaseReady", False, "PreparingToHelmInstall", note),
        ]  # fmt: skip
        self._report(
            proxy,
            {name: value for name, value in (proxy.get("status") or {}).items() if name in ("status", "revision")},
            fresh,
        )

    def _progress(self, proxy: Object, state: str, revision: int, note: str) -> None:
        fresh = [
            cond("Ready", False, "HelmReleasePending", note), cond("ClusterAvailable", True),
            cond("HelmReleaseReady", False, "HelmReleasePending", note),
        ]  # fmt: skip
        self._report(proxy, {"status": state, **({"revision": revision} if revision else {})}, fresh)

    def _failed(self, proxy: Object, revision: int, note: str) -> None:
        fresh = [
            cond("Ready", False, "HelmInstallOrUpgradeFailed", note), cond("ClusterAvailable", True),
            cond("HelmReleaseReady", False, "HelmInstallOrUpgradeFailed", note),
        ]  # fmt: skip
        self._report(proxy, {"status": "failed", **({"revision": revision} if revision else {})}, fresh)

    def _uninstall(self, proxy: Object, cluster: Object | None, remote: Api | None) -> None:
        if remote is not None and cluster is not None and not deleting(cluster):
            if fault(cluster, API_OUTAGE) is not None:
                return  # the API's return brings us back
            release = _release_of(proxy)
            releases.uninstall(remote, release.name, release.namespace)
        self._api.update(without_finalizer(proxy, RELEASE_FINALIZER), _WRITE)


def _reference(cluster: Object) -> Object:
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    return {"apiVersion": cluster["apiVersion"], "kind": "Cluster", "name": name, "namespace": namespace}


def _usable(cluster: Object) -> bool:
    return initialization(cluster, "controlPlaneInitialized") and fault(cluster, API_OUTAGE) is None


def _release_of(proxy: Object) -> Release:
    spec = proxy["spec"]
    values = yaml.load(spec.get("values") or "", yaml.CSafeLoader) or {}
    return Release(
        spec["chartName"], spec["repoURL"], spec.get("releaseName", ""), spec.get("namespace", "default"),
        spec.get("version", ""), values,
    )  # fmt: skip
