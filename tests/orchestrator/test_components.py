"""Why a component does not run, in words of its pods."""

from __future__ import annotations

import pytest

from continuo.orchestrator.states import component_state
from continuo.resources import kinds
from continuo.resources.orchestration import AppPhase


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"reason": "Unschedulable", "message": "0/2 nodes are available"}, "pod db-1: 0/2 nodes are available"),
        ({"reason": "OffloadingBackOff"}, "pod db-1: OffloadingBackOff"),  # a virtual kubelet gives no message
        ({}, "pod db-1: Unschedulable"),
    ],
)
def test_a_pod_that_has_no_node_says_why(given: dict, told: str) -> None:
    deployment = kinds.DEPLOYMENT.new("db", "shop", spec={"replicas": 1}, status={"replicas": 1})
    waiting = {"type": "PodScheduled", "status": "False", **given}
    pod = kinds.POD.new("db-1", "shop", status={"conditions": [waiting]})
    state = component_state(deployment, None, [pod], None)
    assert (state.phase, state.message) == (AppPhase.DEGRADED, told)


def test_what_cannot_move_yet_does_not_run_where_it_is_to_be() -> None:
    """Without a link nothing of it can be rendered: what is there is what was there before."""
    counts = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}
    deployment = kinds.DEPLOYMENT.new("db", "shop", spec={"replicas": 1}, status=counts)
    state = component_state(deployment, None, [], "green")
    assert (state.phase, state.ready, state.message) == (AppPhase.MOVING, 1, "it still runs on green")
    assert component_state(deployment, None, [], None).phase is AppPhase.RUNNING
