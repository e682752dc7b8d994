"""The kubelets of all simulated nodes of a cluster: they start, hold up and stop pods.

Pods that are bound within the same moment share one timer. Nodes of others (labelled `liqo.io/type=virtual-node`) are
left alone. A pod that cannot start waits for what it misses (a Secret, a ConfigMap, an image) and starts when that
appears; the image rule is in `Settings.unpullable` and the fault `image-pull`.
"""

from __future__ import annotations

from functools import partial

from continuo.embedded.port import Api, Engine, StoredChange
from continuo.embedded.standins.base import Work
from continuo.embedded.standins.faults import IMAGE_PULL, NOT_READY, fault
from continuo.embedded.standins.objects import controller_of, timestamp
from continuo.embedded.standins.settings import Settings
from continuo.embedded.standins.workload import podstatus
from continuo.embedded.standins.workload.addresses import Addresses
from continuo.embedded.standins.workload.events import EventSink
from continuo.embedded.standins.workload.owned import pod_ready
from continuo.embedded.standins.workload.references import Reference, of_container, of_volumes
from continuo.resources.errors import NotFound
from continuo.resources.kinds import CONFIG_MAP, NAMESPACE, POD, SECRET
from continuo.resources.meta import Key, Kind, Object, key_of, labels_of

NAME = "kubelet"
BATCH = 256
_WORDS: dict[Kind, str] = {SECRET: "secret", CONFIG_MAP: "configmap"}


class Machine:
    """What the kubelets know of one node."""

    __slots__ = ("addresses", "ip", "pods", "silent")

    def __init__(self, node: Object) -> None:
        self.pods: set[Key] = set()
        network = (node.get("spec") or {}).get("podCIDR")
        self.addresses = Addresses(network) if network else None
        self.ip = ""
        self.silent = False
        self.observe(node)

    def observe(self, node: Object) -> None:
        """Take the node's newest state."""
        self.silent = fault(node, NOT_READY) is not None
        for entry in (node.get("status") or {}).get("addresses") or ():
            if entry["type"] == "InternalIP":
                self.ip = entry["address"]
        network = (node.get("spec") or {}).get("podCIDR")
        if self.addresses is None and network:
            self.addresses = Addresses(network)


def virtual(node: Object) -> bool:
    """Whether the node is run by somebody else (Liqo's virtual kubelet, or a reflection)."""
    return labels_of(node).get("liqo.io/type") == "virtual-node" or reflected(node)


def reflected(node: Object) -> bool:
    """Whether the node stands for another cluster by `continuo reflect`, which leaves taints and evictions to us."""
    return "continuo.dev/virtual-node" in labels_of(node)


class Kubelets:
    """All simulated kubelets of one cluster."""

    def __init__(self, engine: Engine, api: Api, settings: Settings, events: EventSink) -> None:
        self._engine, self._api, self._settings, self._events = engine, api, settings, events
        self._machines: dict[str, Machine] = {}
        self._foreign: set[str] = set()
        self._homeless: dict[str, set[Key]] = {}
        self._ips: dict[Key, tuple[str, str]] = {}
        self._starting: set[Key] = set()
        self._stopping: set[Key] = set()
        self._batches: dict[str, list[Key]] = {}
        self._held_up: set[Key] = set()
        self._needs: dict[tuple[str, str, str], set[Key]] = {}
        self._work: Work[tuple[str, Key]] = Work(engine, self._handle, name="kubelet", batch=BATCH)
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        self._work.stop()

    def pods_on(self, node: str) -> set[Key]:
        """The keys of the pods on that node."""
        machine = self._machines.get(node)
        return machine.pods if machine is not None else set()

    # --- events ---------------------------------------------------------------------------------------------------

    def on_node(self, change: StoredChange) -> None:
        """A node came, changed or went."""
        node, name = change.object, change.object["metadata"]["name"]
        if virtual(node):
            self._foreign.add(name)
            self._homeless.pop(name, None)
            return
        machine = self._machines.get(name)
        if change.type == "DELETED":
            self._foreign.discard(name)
            if machine is not None:
                self._machines.pop(name)
                for key in machine.pods:
                    self._work.add(("orphan", key))
            return
        if machine is None:
            machine = self._machines[name] = Machine(node)
            machine.pods = self._homeless.pop(name, set())
        else:
            was_silent = machine.silent
            machine.observe(node)
            if was_silent == machine.silent:
                return
        for key in machine.pods:
            self._work.add(("look", key))

    def on_pod(self, change: StoredChange) -> None:
        """A pod came, changed or went."""
        pod = change.object
        name = pod["spec"].get("nodeName")
        if not name or name in self._foreign:
            return
        key = key_of(pod)
        if change.type == "DELETED":
            self._gone(key, name)
            return
        machine = self._machines.get(name)
        if machine is None:
            self._homeless.setdefault(name, set()).add(key)
            return
        machine.pods.add(key)
        status = pod.get("status") or {}
        if "deletionTimestamp" in pod["metadata"]:
            self._batch("stop", key, self._stopping, self._settings.pod_stop)
        elif status.get("phase") == "Running":
            if key not in self._ips:
                self._remember_ip(key, name, status)
            elif change.previous is not None and change.previous["metadata"].get("generation") != pod["metadata"].get(
                "generation"
            ):
                self._work.add(("look", key))
        elif status.get("phase") not in ("Succeeded", "Failed") and key not in self._held_up:
            self._batch("start", key, self._starting, self._settings.image_pull)

    def on_config(self, change: StoredChange) -> None:
        """A Secret or ConfigMap appeared or changed: what waits for it may start."""
        if self._needs and change.type != "DELETED":
            namespace, name = key_of(change.object)
            for key in self._needs.pop((change.kind.kind, namespace, name), ()):
                self._work.add(("look", key))

    def on_namespace(self, change: StoredChange) -> None:
        """The fault `image-pull` of a namespace came or went."""
        if change.previous is not None and fault(change.previous, IMAGE_PULL) != fault(change.object, IMAGE_PULL):
            name = change.object["metadata"]["name"]
            for key in [entry for entry in self._held_up if entry[0] == name]:
                self._work.add(("look", key))

    # --- batches --------------------------------------------------------------------------------------------------

    def _batch(self, what: str, key: Key, pending: set[Key], delay: float) -> None:
        if key in pending:
            return
        pending.add(key)
        batch = self._batches.get(what)
        if batch is None or len(batch) >= BATCH:
            batch = self._batches[what] = []
            self._engine.call_later(self._settings.scaled(delay), partial(self._flush, what, batch))
        batch.append(key)

    def _flush(self, what: str, batch: list[Key]) -> None:
        if self._batches.get(what) is batch:
            del self._batches[what]
        for key in batch:
            self._work.add((what, key))

    def _handle(self, job: tuple[str, Key]) -> None:
        what, key = job
        pod = self._api.find(POD, key[1], key[0])
        if what == "stop":
            self._stopping.discard(key)
        else:
            self._starting.discard(key)
        if pod is None:
            return
        machine = self._machines.get(pod["spec"].get("nodeName") or "")
        if what == "orphan" and machine is None:
            self._api.delete(POD, key[1], key[0], grace_seconds=0)
        elif machine is None or machine.silent:
            return  # nobody there to act; a node event brings the pod back
        elif "deletionTimestamp" in pod["metadata"]:
            self._api.delete(POD, key[1], key[0], uid=pod["metadata"]["uid"], grace_seconds=0)
        elif what == "finish":
            self._api.set_status(pod, podstatus.finished(pod, timestamp(self._engine.now())), NAME)
        else:
            self._start(key, pod, machine)

    # --- one pod --------------------------------------------------------------------------------------------------

    def _start(self, key: Key, pod: Object, machine: Machine) -> None:
        status = pod.get("status") or {}
        if status.get("phase") in ("Succeeded", "Failed"):
            return
        if status.get("phase") == "Running" and pod_ready(pod) and not self._other_image(pod, status):
            if key not in self._ips:
                self._remember_ip(key, pod["spec"]["nodeName"], status)
            return
        now = timestamp(self._engine.now())
        missing = self._missing_volume(key, pod)
        reasons = {} if missing else self._waiting_reasons(key, pod)
        if missing or reasons:
            self._hold_up(key, pod, machine, now, missing, reasons)
            return
        self._held_up.discard(key)
        ip = self._ip_for(key, pod, machine)
        self._api.set_status(pod, podstatus.running(pod, machine.ip, ip, now), NAME)
        image = pod["spec"]["containers"][0].get("image", "")
        self._events.pod(pod, "Normal", "Pulled", f'Successfully pulled image "{image}"', NAME)
        self._events.pod(pod, "Normal", "Started", f"Started container {pod['spec']['containers'][0]['name']}", NAME)
        if pod["spec"].get("restartPolicy", "Always") != "Always":
            owner = controller_of(pod)
            if owner is not None and owner["kind"] == "Job":
                self._work.add_after(("finish", key), self._settings.scaled(self._settings.job_run))

    def _other_image(self, pod: Object, status: Object) -> bool:
        """Whether the pod was given another image in place."""
        images = {entry["name"]: entry["image"] for entry in status.get("containerStatuses") or ()}
        return any(images.get(entry["name"]) != entry.get("image", "") for entry in pod["spec"]["containers"])

    def _hold_up(
        self,
        key: Key,
        pod: Object,
        machine: Machine,
        now: str,
        missing: str,
        reasons: dict[str, podstatus.Waiting],
    ) -> None:
        self._held_up.add(key)
        if missing:
            self._events.pod(pod, "Warning", "FailedMount", f"MountVolume.SetUp failed: {missing}", NAME)
            status = podstatus.held_up(pod, machine.ip, now, lambda _: ("ContainerCreating", ""))
        else:
            status = podstatus.held_up(pod, machine.ip, now, lambda entry: reasons.get(entry["name"]))
            for reason, message in reasons.values():
                self._events.pod(pod, "Warning", "Failed", f"Error: {reason}: {message}", NAME)
                if reason == "ErrImagePull":
                    self._work.add_after(("look", key), self._settings.scaled(self._settings.crash_backoff))
        self._api.set_status(pod, status, NAME)

    def _waiting_reasons(self, key: Key, pod: Object) -> dict[str, podstatus.Waiting]:
        reasons: dict[str, podstatus.Waiting] = {}
        broken = self._broken_images(key, pod)
        tried = {
            entry["name"]: (entry.get("state") or {}).get("waiting", {}).get("reason", "")
            for entry in (pod.get("status") or {}).get("containerStatuses") or ()
        }
        for container in pod["spec"]["containers"]:
            image, name = container.get("image", ""), container["name"]
            if broken and any(part in image for part in broken):
                again = tried.get(name, "") in ("ErrImagePull", "ImagePullBackOff")
                reasons[name] = (
                    ("ImagePullBackOff", f'Back-off pulling image "{image}"')
                    if again
                    else ("ErrImagePull", f'failed to pull and unpack image "{image}": not found')
                )
                continue
            for reference in of_container(container):
                problem = self._problem(key, reference)
                if problem:
                    reasons[name] = ("CreateContainerConfigError", problem)
                    break
        return reasons

    def _broken_images(self, key: Key, pod: Object) -> tuple[str, ...]:
        broken = self._settings.unpullable
        for place in (pod, self._api.find(NAMESPACE, key[0])):
            argument = fault(place, IMAGE_PULL)
            if argument is not None:
                broken = (*broken, argument)
        return broken

    def _missing_volume(self, key: Key, pod: Object) -> str:
        for reference in of_volumes(pod["spec"]):
            problem = self._problem(key, reference)
            if problem:
                return problem
        return ""

    def _problem(self, key: Key, reference: Reference) -> str:
        kind, name, entry = reference
        found = self._api.find(kind, name, key[0])
        if found is not None and (
            not entry or entry in (found.get("data") or {}) or entry in (found.get("binaryData") or {})
        ):
            return ""
        self._needs.setdefault((kind.kind, key[0], name), set()).add(key)
        word = _WORDS[kind]
        if found is None:
            return f'{word} "{name}" not found'
        return f"couldn't find key {entry} in {kind.kind} {key[0]}/{name}"

    # --- addresses ------------------------------------------------------------------------------------------------

    def _ip_for(self, key: Key, pod: Object, machine: Machine) -> str:
        if pod["spec"].get("hostNetwork"):
            self._ips[key] = (pod["spec"]["nodeName"], "")
            return machine.ip
        have = self._ips.get(key)
        if have is not None:
            return have[1]
        if machine.addresses is None:
            raise NotFound(
                f"Node {pod['spec']['nodeName']} has no pod network, so pod {key[0]}/{key[1]} gets no address."
            )
        address = machine.addresses.take()
        if not address:
            raise NotFound(f"The pod network of node {pod['spec']['nodeName']} is full; give it fewer pods.")
        self._ips[key] = (pod["spec"]["nodeName"], address)
        return address

    def _remember_ip(self, key: Key, node: str, status: Object) -> None:
        address = status.get("podIP", "")
        machine = self._machines[node]
        own = address if address != machine.ip else ""
        self._ips[key] = (node, own)
        if own and machine.addresses is not None:
            machine.addresses.reserve(own)

    def _gone(self, key: Key, node: str) -> None:
        self._held_up.discard(key)
        self._starting.discard(key)
        self._stopping.discard(key)
        held = self._ips.pop(key, None)
        machine = self._machines.get(node)
        if machine is not None:
            machine.pods.discard(key)
            if held is not None and held[1] and machine.addresses is not None:
                machine.addresses.give_back(held[1])
