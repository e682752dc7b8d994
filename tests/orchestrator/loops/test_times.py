"""Times that cannot be, and decisions that cannot be read: written by hand, or by a clock that was wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from continuo.orchestrator.loops.enact import LONG_AGO, dated, made, moment
from continuo.orchestrator.loops.model import Memory, Want
from continuo.resources.errors import Invalid
from continuo.resources.loop import DECISION
from continuo.resources.meta import Object

from .given import NOON, at

ACTION = {"op": "scaleComponent", "component": "shop/web", "replicas": 2}


def decision(created: str = "2026-05-04T11:00:00Z", actions: Any = (ACTION,), **status: Any) -> Object:
    spec = {"orchestration": "o", "source": "policy/load", "reason": "r", "actions": list(actions)}
    obj = DECISION.new("d", "default", spec=spec, metadata={"creationTimestamp": created})
    return {**obj, "status": status}


def test_a_time_without_a_zone_is_utc() -> None:
    assert moment("2026-05-04T12:00:00") == NOON and moment("2026-05-04T12:00:00Z") == NOON and moment("noon") is None


@pytest.mark.parametrize(
    ("told", "created", "counts"),
    [
        ("2026-05-04T11:30:00Z", "2026-05-04T11:00:00Z", datetime(2026, 5, 4, 11, 30, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", "2026-05-04T11:00:00Z", datetime(2026, 5, 4, 11, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", LONG_AGO),
        ("never", "neither", LONG_AGO),
    ],
)
def test_a_decision_is_never_of_the_future(told: str, created: str, counts: datetime) -> None:
    assert dated([made(decision(created, decidedAt=told))], NOON)[0].at == counts


def test_what_is_no_stage_is_none_and_what_is_no_decision_is_said() -> None:
    assert made(decision(stage="Nonsense")).stage is None
    with pytest.raises(Invalid):
        made(decision(actions=[{"op": "dance"}]))


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    later = NOON + timedelta(days=1)
    memory = Memory(later, (Want(at(-5), 3), Want(later, 9)), {"well:rose": later, "ill:green": at(-60)})
    assert memory.until(NOON) == Memory(NOON, (Want(at(-5), 3),), {"well:rose": NOON, "ill:green": at(-60)})
    assert memory.until(later) is memory
