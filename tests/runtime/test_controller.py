from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest
from runtime_double import run

from continuo.resources.errors import Unreachable
from continuo.runtime.backoff import Backoff
from continuo.runtime.controller import DONE, Controller, Result


def test_a_result_may_ask_for_another_look() -> None:
    async def main() -> None:
        times: list[float] = []
        loop = asyncio.get_running_loop()

        async def reconcile(key: str) -> Result:
            times.append(loop.time())
            return Result(requeue_after=30) if len(times) < 3 else DONE

        controller = Controller("test", reconcile)
        controller.start()
        controller.add("a")
        await asyncio.sleep(300)
        assert [round(b - a) for a, b in pairwise(times)] == [30, 30]
        assert controller.stats.reconciles == 3
        await controller.stop()

    run(main())


def test_what_fails_is_tried_again_and_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        done: list[str] = []
        failures = {"bad": 3}

        async def reconcile(key: str) -> Result:
            if failures.get(key):
                failures[key] -= 1
                raise Unreachable("cluster green cannot be reached")
            done.append(key)
            return DONE

        controller = Controller("test", reconcile, workers=1, backoff=Backoff(1.0), rng=random.Random(1))
        controller.start()
        for key in ("bad", "good"):
            controller.add(key)
        await asyncio.sleep(0.5)
        assert done == ["good"]
        await asyncio.sleep(60)
        assert done == ["good", "bad"]
        assert (controller.stats.reconciles, controller.stats.errors) == (5, 3)
        assert controller.queue.idle
        await controller.stop()

    run(main())
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 3
    assert warnings[0].exc_info is None
    assert "cluster green cannot be reached" in warnings[0].getMessage()


def test_different_keys_run_side_by_side_up_to_the_number_of_workers() -> None:
    async def main() -> None:
        running, most = 0, 0

        async def reconcile(key: int) -> Result:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1
            return DONE

        controller = Controller("test", reconcile, workers=3)
        controller.start()
        for key in range(9):
            controller.add(key)
        start = asyncio.get_running_loop().time()
        while not controller.queue.idle:  # noqa: ASYNC110 - in virtual time
            await asyncio.sleep(0.5)
        assert most == 3
        assert asyncio.get_running_loop().time() - start == pytest.approx(3, abs=0.6)
        await controller.stop()

    run(main())


@pytest.mark.parametrize(
    ("needs", "finished"), [pytest.param(3, True, id="in-time"), pytest.param(60, False, id="late")]
)
def test_stopping_waits_for_what_runs_but_not_forever(needs: float, finished: bool) -> None:
    async def main() -> None:
        ended: list[str] = []

        async def reconcile(key: str) -> Result:
            await asyncio.sleep(needs)
            ended.append(key)
            return DONE

        controller = Controller("test", reconcile, workers=1)
        controller.start()
        controller.add("a")
        controller.add("never started")
        await asyncio.sleep(1)
        start = asyncio.get_running_loop().time()
        await controller.stop(grace=10)
        assert ended == (["a"] if finished else [])
        assert asyncio.get_running_loop().time() - start <= 10.1

    run(main())
