"""Decide: from the picture and the desired state to the change plan. Pure: the same input gives the same plan."""

from __future__ import annotations

from continuo.orchestrator.assess import Assessment
from continuo.orchestrator.decisions.applications import decide_applications
from continuo.orchestrator.decisions.clusters import Compare, decide_clusters
from continuo.orchestrator.decisions.links import decide_links
from continuo.orchestrator.decisions.removal import decide_deleting, decide_undeploying, decide_unlinking
from continuo.orchestrator.drift import drift
from continuo.orchestrator.observe import Snapshot
from continuo.orchestrator.orient import Wanted
from continuo.orchestrator.plan import Draft, Plan
from continuo.orchestrator.settings import Settings


def decide(
    snapshot: Snapshot, wanted: Wanted, assessment: Assessment, settings: Settings, compare: Compare = drift
) -> Plan:
    """Everything that separates what is seen from what is wanted, as a graph of steps.

    `compare` says how a declared object differs from the live one; the running operator passes one that remembers.
    """
    draft = Draft()
    decide_clusters(draft, snapshot, wanted, assessment, settings, compare)
    decide_links(draft, snapshot, wanted, assessment)
    decide_undeploying(draft, snapshot, wanted, assessment)
    decide_applications(draft, wanted, assessment, compare, unseen=snapshot.unseen, waiting=snapshot.waiting)
    decide_unlinking(draft, snapshot, wanted, assessment)
    decide_deleting(draft, snapshot, wanted, assessment)
    return draft.done()
