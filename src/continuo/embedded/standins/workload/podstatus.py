"""The statuses a kubelet writes for a pod. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from continuo.embedded.standins.objects import cond, conditions
from continuo.resources.meta import Object

Waiting = tuple[str, str]
"""(reason, message) of a container that does not start."""


def quality_of_service(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort."""
    any_set, guaranteed = False, True
    for container in spec.get("containers") or ():
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        any_set = any_set or bool(requests or limits)
        if not all(limits.get(name) and requests.get(name, limits[name]) == limits[name] for name in ("cpu", "memory")):
            guaranteed = False
    return "BestEffort" if not any_set else "Guaranteed" if guaranteed else "Burstable"


def _container_id(uid: str, name: str, restarts: int) -> str:
    return f"containerd://{uid.replace('-', '')}{abs(hash_text(name)) + restarts:032x}"


def hash_text(text: str) -> int:
    """A small stable number for a name."""
    return int.from_bytes(text.encode()[-8:], "big")


def _container(entry: Object, uid: str, state: Object, *, ready: bool, started: bool) -> Object:
    image = entry.get("image", "")
    return {
        "name": entry["name"],
        "state": state,
        "lastState": {},
        "ready": ready,
        "restartCount": 0,
        "image": image,
        "imageID": image if started else "",
        "containerID": _container_id(uid, entry["name"], 0) if started else "",
        "started": started and ready,
    }


def _pod_conditions(now: str, *, ready: bool, reason: str = "", message: str = "") -> list[Object]:
    made: list[Object] = []
    flags = (
        ("PodReadyToStartContainers", True), ("Initialized", True), ("Ready", ready), ("ContainersReady", ready),
        ("PodScheduled", True),
    )  # fmt: skip
    for name, good in flags:
        entry: Object = {"type": name, "status": "True" if good else "False", "lastProbeTime": None}
        entry["lastTransitionTime"] = now
        if not good and reason:
            entry["reason"], entry["message"] = reason, message
        made.append(entry)
    return made


def _base(pod: Object, host_ip: str, ip: str, now: str) -> Object:
    old = pod.get("status") or {}
    status: Object = {
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": old.get("startTime") or now,
        "qosClass": old.get("qosClass") or quality_of_service(pod["spec"]),
    }
    if "observedGeneration" in old:
        status["observedGeneration"] = old["observedGeneration"]
    if ip:
        status["podIP"], status["podIPs"] = ip, [{"ip": ip}]
    return status


def running(pod: Object, host_ip: str, ip: str, now: str) -> Object:
    """Every container runs and is ready."""
    spec, uid = pod["spec"], pod["metadata"]["uid"]
    state = {"running": {"startedAt": now}}
    status = _base(pod, host_ip, ip, now)
    status["phase"] = "Running"
    status["conditions"] = _pod_conditions(now, ready=True)
    status["containerStatuses"] = [
        _container(entry, uid, state, ready=True, started=True) for entry in spec["containers"]
    ]
    if spec.get("initContainers"):
        status["initContainerStatuses"] = _initialised(spec, uid, now)
    return status


def _initialised(spec: Object, uid: str, now: str) -> list[Object]:
    done = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}}
    return [_container(entry, uid, done, ready=True, started=True) for entry in spec["initContainers"]]


def finished(pod: Object, now: str) -> Object:
    """Every container ended well."""
    status = dict(pod.get("status") or {})
    status["phase"] = "Succeeded"
    fresh = _pod_conditions(now, ready=False, reason="PodCompleted")
    status["conditions"] = conditions(status.get("conditions"), fresh, now)
    ended = {
        "terminated": {
            "exitCode": 0,
            "reason": "Completed",
            "startedAt": status.get("startTime", now),
            "finishedAt": now,
        }
    }
    status["containerStatuses"] = [
        {**entry, "state": ended, "ready": False, "started": False} for entry in status.get("containerStatuses") or ()
    ]
    return status


def held_up(pod: Object, host_ip: str, now: str, why: Callable[[Object], Waiting | None]) -> Object:
    """Some containers cannot start: `why` says for each container what holds it up."""
    spec, uid = pod["spec"], pod["metadata"]["uid"]
    entries, names = [], []
    for container in spec["containers"]:
        waiting = why(container)
        if waiting is None:
            entries.append(_container(container, uid, {"running": {"startedAt": now}}, ready=True, started=True))
            continue
        names.append(container["name"])
        state: dict[str, Any] = {"waiting": {"reason": waiting[0], **({"message": waiting[1]} if waiting[1] else {})}}
        entries.append(_container(container, uid, state, ready=False, started=False))
    status = _base(pod, host_ip, "", now)
    message = f"containers with unready status: [{' '.join(names)}]"
    fresh = _pod_conditions(now, ready=False, reason="ContainersNotReady", message=message)
    status.update(phase="Pending", containerStatuses=entries)
    status["conditions"] = conditions((pod.get("status") or {}).get("conditions"), fresh, now)
    return status


def unreachable(pod: Object, now: str) -> Object:
    """The node's kubelet is silent: the pod counts as not ready, nothing else is known."""
    status = dict(pod.get("status") or {})
    entries = []
    for entry in status.get("conditions") or ():
        if entry["type"] in ("Ready", "ContainersReady") and entry["status"] == "True":
            silent = cond(entry["type"], False, "NodeNotReady", "the node's kubelet does not post its status")
            entry = {**silent, "lastProbeTime": None, "lastTransitionTime": now}
        entries.append(entry)
    status["conditions"] = entries
    return status
