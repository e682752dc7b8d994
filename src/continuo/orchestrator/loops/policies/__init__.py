"""The four kinds of closed loops. Pure: what is seen and remembered in, what is decided out.

`look` is all that a frame calls. None of them acts on what it does not know: a missing figure never makes anything
smaller, a cluster that was only just heard of is neither failed nor well, and a lost memory makes everything later.
"""

from __future__ import annotations

from continuo.orchestrator.loops.model import LoopInput, LoopOutput
from continuo.orchestrator.loops.policies.failover import fail_over
from continuo.orchestrator.loops.policies.provision import provision
from continuo.orchestrator.loops.policies.scale_cluster import scale_cluster
from continuo.orchestrator.loops.policies.scale_component import scale_component
from continuo.resources.orchestration import LoopStage


def look(given: LoopInput) -> LoopOutput:
    """What the policy sees, and what it would do."""
    policy = given.policy
    if policy.scale_component is not None:
        return scale_component(given, policy.scale_component)
    if policy.scale_cluster is not None:
        return scale_cluster(given, policy.scale_cluster)
    if policy.provision_cluster is not None:
        return provision(given, policy.provision_cluster)
    if policy.failover is not None:
        return fail_over(given, policy.failover)
    return LoopOutput(LoopStage.STALLED, "", message=f"policy {policy.name} says nothing of what it is to do")


__all__ = ["look"]
