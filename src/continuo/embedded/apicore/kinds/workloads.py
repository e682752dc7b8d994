"""Deployments, replica sets, stateful sets, daemon sets, jobs and cron jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from continuo.embedded.apicore.failures import invalid_value, required, unsupported
from continuo.embedded.apicore.kinds.pods import check_spec, template_defaulted
from continuo.embedded.apicore.strategies import Strategy
from continuo.embedded.machinery.fields import FieldError
from continuo.resources.meta import Object

if TYPE_CHECKING:
    from continuo.embedded.apicore.state import State

_ROLLING: Final = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
_DEPLOYMENT: Final[Mapping[str, Any]] = {
    "replicas": 1, "strategy": _ROLLING, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
}  # fmt: skip
_STATEFUL_SET: Final[Mapping[str, Any]] = {
    "replicas": 1, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10,
    "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
    "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
}  # fmt: skip
_DAEMON_SET: Final[Mapping[str, Any]] = {
    "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
    "revisionHistoryLimit": 10,
}
_JOB: Final[Mapping[str, Any]] = {
    "parallelism": 1, "completions": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False,
    "manualSelector": False, "podReplacementPolicy": "TerminatingOrFailed",
}  # fmt: skip
_CRON_JOB: Final[Mapping[str, Any]] = {
    "concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
}  # fmt: skip


def _filler(defaults: Mapping[str, Any]) -> Callable[[Object], Object]:
    """Defaults of `spec` plus those of its pod template."""

    def fill(obj: Object) -> Object:
        spec = obj.get("spec") or {}
        missing = {name: value for name, value in defaults.items() if spec.get(name) is None}
        template = spec.get("template")
        if isinstance(template, dict):
            filled = template_defaulted(template)
            if filled is not template:
                missing["template"] = filled
        return {**obj, "spec": {**spec, **missing}} if missing else obj

    return fill


def _deployment(obj: Object) -> Object:
    obj = _filler(_DEPLOYMENT)(obj)
    strategy = obj["spec"]["strategy"]
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return obj
    rolling = {**_ROLLING["rollingUpdate"], **(strategy.get("rollingUpdate") or {})}  # type: ignore[dict-item]
    full = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return obj if full == strategy else {**obj, "spec": {**obj["spec"], "strategy": full}}


def _prepare_job(_state: State, job: Object, old: Object | None) -> Object:
    """A job selects its pods by its own uid, unless told otherwise."""
    spec = job.get("spec") or {}
    if old is not None or spec.get("manualSelector") or spec.get("selector"):
        return job
    uid, template = job["metadata"]["uid"], spec.get("template") or {}
    labels = {
        **(template.get("metadata", {}).get("labels") or {}),
        "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": job["metadata"]["name"],
        "controller-uid": uid, "job-name": job["metadata"]["name"],
    }  # fmt: skip
    template = {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}}
    selector = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    return {**job, "spec": {**spec, "selector": selector, "template": template}}


# --- checks -----------------------------------------------------------------------------------------------------------
def _check_selecting(obj: Object, old: Object | None) -> Iterator[FieldError]:
    spec = obj.get("spec") or {}
    before = (old or {}).get("spec") or {}
    selector = spec.get("selector")
    if not selector:
        yield required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid_value("spec.selector", selector, "empty selector is invalid for deployment")
    if old is not None and selector != before.get("selector"):
        yield invalid_value("spec.selector", selector, "field is immutable")
    if isinstance(spec.get("replicas"), int) and spec["replicas"] < 0:
        yield invalid_value("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
    template = spec.get("template")
    if not template:
        yield required("spec.template")
    elif template is not before.get("template"):
        yield from _check_template(template, selector or {}, ("Always",))


def _check_template(template: Object, selector: Object, restarts: tuple[str, ...]) -> Iterator[FieldError]:
    labels = (template.get("metadata") or {}).get("labels") or {}
    wanted = selector.get("matchLabels") or {}
    if not wanted.items() <= labels.items():
        yield invalid_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    spec = template.get("spec") or {}
    policy = spec.get("restartPolicy")
    if policy == "Always" and policy not in restarts:
        valid = ", ".join(f'"{restart}"' for restart in restarts)
        yield required("spec.template.spec.restartPolicy", f"valid values: {valid}")
    elif policy not in restarts:
        yield unsupported("spec.template.spec.restartPolicy", policy, restarts)
    yield from check_spec(spec, "spec.template.spec")


def _check_job(job: Object, old: Object | None) -> Iterable[FieldError]:
    spec = job.get("spec") or {}
    if old is not None:
        before = old.get("spec") or {}
        for field in ("selector", "completionMode"):
            if spec.get(field) != before.get(field):
                yield invalid_value(f"spec.{field}", spec.get(field), "field is immutable")
        if spec.get("template") != before.get("template") and not before.get("suspend"):
            yield invalid_value("spec.template", spec.get("template"), "field is immutable")
    elif not spec.get("template"):
        yield required("spec.template")
    else:
        yield from _check_template(spec["template"], spec.get("selector") or {}, ("OnFailure", "Never"))


def _check_cron_job(cron: Object, _old: Object | None) -> Iterable[FieldError]:
    spec = cron.get("spec") or {}
    if not spec.get("schedule"):
        yield required("spec.schedule")
    elif len(spec["schedule"].split()) != 5 and not spec["schedule"].startswith("@"):
        yield invalid_value(
            "spec.schedule", spec["schedule"],
            f"expected exactly 5 fields, found {len(spec['schedule'].split())}: {spec['schedule']}",
        )  # fmt: skip


def _replicas_status(_obj: Object) -> Object:
    return {"replicas": 0}


DEPLOYMENT: Final = Strategy(defaults=_deployment, status=lambda _: {}, check=_check_selecting, generation=True)
REPLICA_SET: Final = Strategy(
    defaults=_filler({"replicas": 1}), status=_replicas_status, check=_check_selecting, generation=True
)
STATEFUL_SET: Final = Strategy(
    defaults=_filler(_STATEFUL_SET), status=_replicas_status, check=_check_selecting, generation=True
)
DAEMON_SET: Final = Strategy(
    defaults=_filler(_DAEMON_SET),
    status=lambda _: {
        "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
    },
    check=_check_selecting, generation=True,
)  # fmt: skip
JOB: Final = Strategy(
    defaults=_filler(_JOB), status=lambda _: {}, prepare=_prepare_job, check=_check_job, generation=True
)
CRON_JOB: Final = Strategy(defaults=_filler(_CRON_JOB), status=lambda _: {}, check=_check_cron_job, generation=True)
