"""What has to happen to links: federation says the next writes, this says when they may run."""

from __future__ import annotations

from continuo.federation.model import Apply, ClusterWrite, LinkPhase, LinkProgress
from continuo.orchestrator import naming
from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.decisions.clusters import package_id, step_id
from continuo.orchestrator.observe import Snapshot
from continuo.orchestrator.orient import Wanted
from continuo.orchestrator.plan import Action, Draft, Step, Target, Write
from continuo.resources import kinds
from continuo.resources.meta import Kind, Object, labels_of

_KINDS: dict[tuple[str, str], Kind] = {
    (kind.group, kind.kind): kind for kind in vars(kinds).values() if isinstance(kind, Kind)
}


def link_id(pair: tuple[str, str]) -> str:
    return f"link/{pair[0]}/{pair[1]}"


def decide_links(draft: Draft, snapshot: Snapshot, wanted: Wanted, assessment: Assessment) -> None:
    """Make and mend the wanted links. Removal waits for the applications: see `decisions.removal`."""
    for pair in wanted.links:
        progress = assessment.links.get(pair)
        if progress is None:
            continue
        writes = tuple(write_of(snapshot, write) for write in progress.writes)
        target = Target("link", f"{pair[0]}/{pair[1]}")
        if progress.phase is LinkPhase.CONNECTED and not writes:
            continue
        needs = tuple(need for name in pair for need in (step_id(name), package_id(name, "liqo")) if need in draft)
        if writes or progress.phase is LinkPhase.PENDING or needs:
            made = progress.phase in (LinkPhase.CONNECTED, LinkPhase.DEGRADED)
            action = Action.REPAIR if made else Action.LINK
            draft.add(Step(link_id(pair), action, target, writes, needs, _detail(progress), progress.message))
        else:
            draft.add(Step(link_id(pair), Action.WAIT, target, waits_for=progress.message))


def _detail(progress: LinkProgress) -> str:
    return f"{progress.steps_done} of {progress.steps_total} steps done"


def write_of(snapshot: Snapshot, write: ClusterWrite) -> Write:
    """Federation's write as a Write of the plan. Tenant namespaces get our labels: they are how links are found again."""
    if isinstance(write.op, Apply):
        obj: Object = write.op.object
        kind = _KINDS[(obj["apiVersion"].rpartition("/")[0], obj["kind"])]
        if kind is kinds.NAMESPACE:
            labels = {**labels_of(obj), **naming.owner_labels(*snapshot.key)}
            obj = {**obj, "metadata": {**obj["metadata"], "labels": labels}}
        return Write(write.cluster, "apply", kind, obj)
    doomed = write.op
    return Write(write.cluster, "delete", doomed.kind, doomed.kind.new(doomed.name, doomed.namespace or None))
