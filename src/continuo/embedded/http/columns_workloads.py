"""The printer columns of what runs: pods and the controllers that make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuo.embedded.http.ages import age, human_duration, parse_time
from continuo.embedded.http.columns import AGE, NAME, Column, at, text
from continuo.resources.meta import Object


def _containers(obj: Object) -> list[Object]:
    return at(obj, "spec", "template", "spec", "containers") or []


def selector_text(selector: Any) -> str:
    """A label selector as kubectl prints it."""
    if not selector:
        return "<none>"
    labels = selector.get("matchLabels", selector if "matchExpressions" not in selector else {}) or {}
    terms = [f"{key}={value}" for key, value in sorted(labels.items())]
    for term in selector.get("matchExpressions") or ():
        values = f" ({','.join(term.get('values') or ())})" if term.get("values") else ""
        terms.append(f"{term['key']} {term['operator'].lower()}{values}")
    return ",".join(terms) or "<none>"


_CONTAINERS = text("Containers", lambda o: ",".join(c.get("name", "") for c in _containers(o)), 1)
_IMAGES = text("Images", lambda o: ",".join(c.get("image", "") for c in _containers(o)), 1)
_SELECTOR = text("Selector", lambda o: selector_text(at(o, "spec", "selector")), 1)
_WIDE = (_CONTAINERS, _IMAGES, _SELECTOR)


def _count(name: str, *path: str) -> Column:
    return text(name, lambda obj: at(obj, *path) or 0, type="integer")


def _ready_of(obj: Object) -> str:
    wanted = at(obj, "spec", "replicas")
    return f"{at(obj, 'status', 'readyReplicas') or 0}/{1 if wanted is None else wanted}"


# --- pods -------------------------------------------------------------------------------------------------------------
def _statuses(pod: Object) -> list[Object]:
    return at(pod, "status", "containerStatuses") or []


def _pod_ready(pod: Object) -> str:
    ready = sum(1 for status in _statuses(pod) if status.get("ready"))
    return f"{ready}/{len(at(pod, 'spec', 'containers') or ())}"


def _container_reason(status: Object) -> str:
    waiting, terminated = at(status, "state", "waiting") or {}, at(status, "state", "terminated")
    if waiting.get("reason"):
        return str(waiting["reason"])
    if terminated is None:
        return ""
    if terminated.get("reason"):
        return str(terminated["reason"])
    signal = terminated.get("signal")
    return f"Signal:{signal}" if signal else f"ExitCode:{terminated.get('exitCode', 0)}"


def _init_reason(pod: Object) -> str:
    specs = at(pod, "spec", "initContainers") or []
    for done, status in enumerate(at(pod, "status", "initContainerStatuses") or []):
        if at(status, "state", "terminated", "exitCode") == 0 or status.get("started"):
            continue
        reason = _container_reason(status)
        return f"Init:{reason}" if reason not in ("", "PodInitializing") else f"Init:{done}/{len(specs)}"
    return ""


def pod_status(pod: Object) -> str:
    """The word under STATUS: the phase, or the most telling reason."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    shown = str(status.get("reason") or status.get("phase") or "Unknown")
    initial = _init_reason(pod)
    if initial:
        return initial
    reasons = [reason for entry in _statuses(pod) if (reason := _container_reason(entry))]
    if reasons:
        shown = reasons[0]
    if shown == "Completed" and any(at(entry, "state", "running") is not None for entry in _statuses(pod)):
        return "Running" if all(e.get("ready") for e in _statuses(pod) if at(e, "state", "running")) else "NotReady"
    return shown


def _restarts(pod: Object, now: float) -> str:
    statuses = _statuses(pod)
    count = sum(entry.get("restartCount") or 0 for entry in statuses)
    ended = [at(entry, "lastState", "terminated", "finishedAt") for entry in statuses]
    moments = [moment for value in ended if value and (moment := parse_time(value)) is not None]
    return f"{count} ({human_duration(now - max(moments))} ago)" if count and moments else str(count)


def _gates(pod: Object) -> str:
    gates = at(pod, "spec", "readinessGates") or []
    if not gates:
        return "<none>"
    conditions = {c.get("type"): c.get("status") for c in at(pod, "status", "conditions") or []}
    return f"{sum(1 for gate in gates if conditions.get(gate['conditionType']) == 'True')}/{len(gates)}"


_PODS = (
    NAME,
    text("Ready", _pod_ready),
    text("Status", pod_status),
    Column("Restarts", _restarts),
    AGE,
    text("IP", lambda o: at(o, "status", "podIP") or "<none>", 1),
    text("Node", lambda o: at(o, "spec", "nodeName") or "<none>", 1),
    text("Nominated Node", lambda o: at(o, "status", "nominatedNodeName") or "<none>", 1),
    text("Readiness Gates", _gates, 1),
)


# --- jobs -------------------------------------------------------------------------------------------------------------
def _job_status(job: Object) -> str:
    conditions = {c["type"]: c.get("status") for c in at(job, "status", "conditions") or []}
    for type_, shown in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended")):
        if conditions.get(type_) == "True":
            return shown
    return "Terminating" if job["metadata"].get("deletionTimestamp") else "Running"


def _job_completions(job: Object) -> str:
    wanted = at(job, "spec", "completions")
    done = at(job, "status", "succeeded") or 0
    if wanted is not None:
        return f"{done}/{wanted}"
    parallel = at(job, "spec", "parallelism") or 1
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _job_duration(job: Object, now: float) -> str:
    start, end = (parse_time(at(job, "status", key) or "") for key in ("startTime", "completionTime"))
    return "" if start is None else human_duration((now if end is None else end) - start)


def _template_containers(template: Object) -> list[Object]:
    return at(template, "template", "spec", "containers") or []


def _controller(obj: Object) -> str:
    owners = [owner for owner in obj["metadata"].get("ownerReferences") or () if owner.get("controller")]
    return f"{str(owners[0].get('kind', '')).lower()}/{owners[0].get('name', '')}" if owners else "<none>"


def _cron_containers(job: Object) -> list[Object]:
    return at(job, "spec", "jobTemplate", "spec", "template", "spec", "containers") or []


def _last_schedule(job: Object, now: float) -> str:
    last = at(job, "status", "lastScheduleTime")
    return age(last, now) if last else "<none>"


WORKLOADS: Mapping[tuple[str, str], tuple[Column, ...]] = {
    ("", "pods"): _PODS,
    ("apps", "deployments"): (
        NAME,
        text("Ready", _ready_of),
        text("Up-to-date", lambda o: at(o, "status", "updatedReplicas") or 0),
        text("Available", lambda o: at(o, "status", "availableReplicas") or 0),
        AGE,
        *_WIDE,
    ),
    ("apps", "replicasets"): (
        NAME,
        _count("Desired", "spec", "replicas"),
        _count("Current", "status", "replicas"),
        _count("Ready", "status", "readyReplicas"),
        AGE,
        *_WIDE,
    ),
    ("", "podtemplates"): (
        NAME,
        text("Containers", lambda o: ",".join(c.get("name", "") for c in _template_containers(o))),
        text("Images", lambda o: ",".join(c.get("image", "") for c in _template_containers(o))),
        text("Pod Labels", lambda o: selector_text(at(o, "template", "metadata", "labels"))),
    ),
    ("apps", "controllerrevisions"): (
        NAME,
        text("Controller", _controller),
        text("Revision", lambda o: str(o.get("revision", 0))),
        AGE,
    ),
    ("apps", "statefulsets"): (NAME, text("Ready", _ready_of), AGE, _CONTAINERS, _IMAGES),
    ("apps", "daemonsets"): (
        NAME,
        _count("Desired", "status", "desiredNumberScheduled"),
        _count("Current", "status", "currentNumberScheduled"),
        _count("Ready", "status", "numberReady"),
        _count("Up-to-date", "status", "updatedNumberScheduled"),
        _count("Available", "status", "numberAvailable"),
        text("Node Selector", lambda o: selector_text(at(o, "spec", "template", "spec", "nodeSelector"))),
        AGE,
        *_WIDE,
    ),
    ("batch", "jobs"): (
        NAME,
        text("Status", _job_status),
        text("Completions", _job_completions),
        Column("Duration", _job_duration),
        AGE,
        *_WIDE,
    ),
    ("batch", "cronjobs"): (
        NAME,
        text("Schedule", lambda o: at(o, "spec", "schedule")),
        text("Timezone", lambda o: at(o, "spec", "timeZone") or "<none>"),
        text("Suspend", lambda o: str(bool(at(o, "spec", "suspend"))), type="boolean"),
        text("Active", lambda o: len(at(o, "status", "active") or ()), type="integer"),
        Column("Last Schedule", _last_schedule),
        AGE,
        text("Containers", lambda o: ",".join(c.get("name", "") for c in _cron_containers(o)), 1),
        text("Images", lambda o: ",".join(c.get("image", "") for c in _cron_containers(o)), 1),
        text("Selector", lambda o: selector_text(at(o, "spec", "jobTemplate", "spec", "selector")), 1),
    ),
}
