"""The controllers of DaemonSets, StatefulSets and Jobs: the parts of them that charts and applications rely on.

StatefulSets: ordered or parallel start, scale-down from the highest ordinal, replacement on a new template (from the
highest ordinal down), a claim per pod and template, which stays when the pod goes. Jobs: completions and parallelism;
pods end well after `Settings.job_run`.
"""

from __future__ import annotations

from random import Random

from continuo.embedded.port import Api, Engine, StoredChange, Write
from continuo.embedded.standins.base import Work
from continuo.embedded.standins.kinds import DAEMON_SET, JOB, STATEFUL_SET
from continuo.embedded.standins.objects import cond, conditions, short_hash, suffix, timestamp
from continuo.embedded.standins.workload.filters import refusal
from continuo.embedded.standins.workload.owned import Owned, OwnerIndex
from continuo.embedded.standins.workload.replicasets import new_pod
from continuo.resources.kinds import NODE, PERSISTENT_VOLUME_CLAIM, POD
from continuo.resources.meta import Key, Object, key_of, labels_of

_MANAGER = "kube-controller-manager"
_WRITE = Write(manager=_MANAGER, trusted=True)
REVISION_LABEL = "controller-revision-hash"
_DAEMON_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
    for key, effect in (
        ("not-ready", "NoExecute"), ("unreachable", "NoExecute"), ("not-ready", "NoSchedule"),
        ("unreachable", "NoSchedule"), ("unschedulable", "NoSchedule"), ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"), ("pid-pressure", "NoSchedule"),
    )
]  # fmt: skip


def _labelled(template: Object, more: dict[str, str]) -> Object:
    metadata = template.get("metadata") or {}
    return {**template, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **more}}}


class DaemonSets:
    """One pod per node that takes it."""

    def __init__(self, engine: Engine, api: Api, rng: Random, owners: OwnerIndex) -> None:
        self._api, self._rng, self._owners = api, rng, owners
        self._known: set[Key] = set()
        self._work: Work[Key] = Work(engine, self._handle, name="daemonset-controller")
        owners.on("DaemonSet", lambda key, _: self._work.add(key))

    def stop(self) -> None:
        self._work.stop()

    def on_daemon_set(self, change: StoredChange) -> None:
        """A DaemonSet came, changed or went."""
        key = key_of(change.object)
        if change.type == "DELETED":
            self._known.discard(key)
        else:
            self._known.add(key)
            self._work.add(key)

    def on_node(self, change: StoredChange) -> None:
        """A node came, went, or changed its labels or taints."""
        before = change.previous
        if before is not None and change.type != "DELETED":
            same_spec = before.get("spec") == change.object.get("spec")
            if same_spec and labels_of(before) == labels_of(change.object):
                return
        for key in self._known:
            self._work.add(key)

    def _handle(self, key: Key) -> None:
        found = self._api.find(DAEMON_SET, key[1], key[0])
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        spec = {**found["spec"]["template"]["spec"]}
        spec["tolerations"] = [*(spec.get("tolerations") or []), *_DAEMON_TOLERATIONS]
        nodes = {
            node["metadata"]["name"] for node in self._api.list(NODE)
            if refusal(spec, node["metadata"]["name"], labels_of(node), (node.get("spec") or {}).get("taints") or (),
                       False) is None
        }  # fmt: skip
        revision = short_hash(found["spec"]["template"])
        owned = self._owners.of(found["metadata"]["uid"])
        self._settle(found, spec, nodes, owned, revision)
        self._report(found, nodes, self._owners.of(found["metadata"]["uid"]), revision)

    def _settle(self, found: Object, spec: Object, nodes: set[str], owned: Owned, revision: str) -> None:
        served: set[str] = set()
        stale: list[Key] = []
        for key, pod in list(owned.active.items()):
            node = pod["spec"].get("nodeName", "")
            if node not in nodes or node in served:
                self._api.delete(POD, key[1], key[0])
                continue
            served.add(node)
            if labels_of(pod).get(REVISION_LABEL) != revision:
                stale.append(key)
        if stale and not nodes - served and (found["spec"].get("updateStrategy") or {}).get("type") != "OnDelete":
            self._api.delete(POD, stale[0][1], stale[0][0])
        template = _labelled({**found["spec"]["template"], "spec": spec}, {REVISION_LABEL: revision})
        for node in sorted(nodes - served):
            pod = new_pod(f"{found['metadata']['name']}-{suffix(self._rng)}", found, template)
            self._api.create({**pod, "spec": {**pod["spec"], "nodeName": node}}, _WRITE)

    def _report(self, found: Object, nodes: set[str], owned: Owned, revision: str) -> None:
        updated = sum(labels_of(pod).get(REVISION_LABEL) == revision for pod in owned.active.values())
        self._api.set_status(found, {
            "currentNumberScheduled": len(owned.active), "desiredNumberScheduled": len(nodes), "numberMisscheduled": 0,
            "numberReady": len(owned.ready), "numberAvailable": len(owned.ready), "updatedNumberScheduled": updated,
            "numberUnavailable": max(0, len(nodes) - len(owned.ready)),
            "observedGeneration": found["metadata"].get("generation", 1),
        }, _MANAGER)  # fmt: skip


class StatefulSets:
    """Pods with names and order."""

    def __init__(self, engine: Engine, api: Api, owners: OwnerIndex) -> None:
        self._api, self._owners = api, owners
        self._work: Work[Key] = Work(engine, self._handle, name="statefulset-controller")
        owners.on("StatefulSet", lambda key, _: self._work.add(key))

    def stop(self) -> None:
        self._work.stop()

    def on_stateful_set(self, change: StoredChange) -> None:
        """A StatefulSet came, changed or went."""
        if change.type != "DELETED":
            self._work.add(key_of(change.object))

    def _handle(self, key: Key) -> None:
        found = self._api.find(STATEFUL_SET, key[1], key[0])
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        revision = f"{key[1]}-{short_hash(found['spec']['template'])}"
        self._settle(found, revision)
        owned = self._owners.of(found["metadata"]["uid"])
        updated = sum(labels_of(pod).get(REVISION_LABEL) == revision for pod in owned.active.values())
        self._api.set_status(found, {
            "replicas": len(owned.active), "readyReplicas": len(owned.ready), "availableReplicas": len(owned.ready),
            "currentReplicas": updated, "updatedReplicas": updated, "currentRevision": revision,
            "updateRevision": revision, "collisionCount": 0,
            "observedGeneration": found["metadata"].get("generation", 1),
        }, _MANAGER)  # fmt: skip

    def _settle(self, found: Object, revision: str) -> None:
        owned = self._owners.of(found["metadata"]["uid"])
        namespace, name = found["metadata"]["namespace"], found["metadata"]["name"]
        want = found["spec"].get("replicas", 1)
        ordered = found["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
        busy = bool(owned.terminating) or len(owned.ready) < len(owned.active)
        for ordinal in range(want):
            key = (namespace, f"{name}-{ordinal}")
            if key in owned.active or key in owned.terminating:
                if ordered and key not in owned.ready:
                    return
                continue
            pod = self._pod(found, ordinal, revision)
            self._claim(found, pod)
            self._api.create(pod, _WRITE)
            if ordered:
                return
        extra = [key for key in owned.active if int(key[1].rsplit("-", 1)[1]) >= want]
        stale = [key for key, pod in owned.active.items() if labels_of(pod).get(REVISION_LABEL) != revision]
        last_first = sorted(extra or stale, key=lambda key: -int(key[1].rsplit("-", 1)[1]))
        if last_first and (extra or not busy):
            self._api.delete(POD, last_first[0][1], namespace)

    def _pod(self, found: Object, ordinal: int, revision: str) -> Object:
        name = f"{found['metadata']['name']}-{ordinal}"
        labels = {
            REVISION_LABEL: revision, "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(ordinal),
        }  # fmt: skip
        pod = new_pod(name, found, _labelled(found["spec"]["template"], labels))
        named = {"hostname": name, "subdomain": found["spec"].get("serviceName", "")}
        spec = {**pod["spec"], **{field: value for field, value in named.items() if value}}
        claims = [
            {"name": claim, "persistentVolumeClaim": {"claimName": f"{claim}-{name}"}} for claim in _claim_names(found)
        ]
        if claims:
            taken = {entry["name"] for entry in claims}
            spec["volumes"] = [*(v for v in spec.get("volumes") or () if v["name"] not in taken), *claims]
        return {**pod, "spec": spec}

    def _claim(self, found: Object, pod: Object) -> None:
        """The pod's claims, unless they are there from a former pod of that name."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        for template in found["spec"].get("volumeClaimTemplates") or ():
            claim = f"{template['metadata']['name']}-{name}"
            if self._api.find(PERSISTENT_VOLUME_CLAIM, claim, namespace) is None:
                labels = {
                    **(found["spec"]["selector"].get("matchLabels") or {}), **(template["metadata"].get("labels") or {}),
                }  # fmt: skip
                made = PERSISTENT_VOLUME_CLAIM.new(claim, namespace, metadata={"labels": labels}, spec=template["spec"])
                self._api.create(made, _WRITE)


def _claim_names(found: Object) -> list[str]:
    return [template["metadata"]["name"] for template in found["spec"].get("volumeClaimTemplates") or ()]


class Jobs:
    """Pods that end."""

    def __init__(self, engine: Engine, api: Api, rng: Random, owners: OwnerIndex) -> None:
        self._engine, self._api, self._rng, self._owners = engine, api, rng, owners
        self._work: Work[Key] = Work(engine, self._handle, name="job-controller")
        owners.on("Job", lambda key, _: self._work.add(key))

    def stop(self) -> None:
        self._work.stop()

    def on_job(self, change: StoredChange) -> None:
        """A Job came, changed or went."""
        if change.type != "DELETED":
            self._work.add(key_of(change.object))

    def _handle(self, key: Key) -> None:
        found = self._api.find(JOB, key[1], key[0])
        if found is None or "deletionTimestamp" in found["metadata"]:
            return
        spec, status = found["spec"], found.get("status") or {}
        if any(
            entry["type"] in ("Complete", "Failed") and entry["status"] == "True"
            for entry in status.get("conditions") or ()
        ):
            return
        owned = self._owners.of(found["metadata"]["uid"])
        done = sum(pod["status"]["phase"] == "Succeeded" for pod in owned.finished.values())
        parallel = spec.get("parallelism", 1)
        completions = spec.get("completions") or parallel
        for _ in range(min(parallel, completions - done) - len(owned.active)):
            self._api.create(new_pod(f"{key[1][:57]}-{suffix(self._rng)}", found, spec["template"]), _WRITE)
        self._report(found, done, completions)

    def _report(self, found: Object, done: int, completions: int) -> None:
        now, owned = timestamp(self._engine.now()), self._owners.of(found["metadata"]["uid"])
        before = found.get("status") or {}
        status: Object = {"startTime": before.get("startTime", now), "ready": len(owned.ready)}
        if owned.active:
            status["active"] = len(owned.active)
        if done:
            status["succeeded"] = done
        if done >= completions:
            status["completionTime"] = now
            message = "Reached expected number of succeeded pods"
            fresh = [cond(name, True, "CompletionsReached", message) for name in ("SuccessCriteriaMet", "Complete")]
            status["conditions"] = conditions(before.get("conditions"), fresh, now)
        self._api.set_status(found, status, _MANAGER)
