"""Queries to a real Prometheus: what it says is read, and what it refuses is told."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from continuo.orchestrator.loops.figures import Unanswered
from continuo.orchestrator.loops.figures_prometheus import Prometheus
from telemetry.prometheus import prometheus_folder, running

__all__ = ["prometheus_folder"]
pytestmark = pytest.mark.anyio
OLDEST = datetime.timedelta(seconds=60)


async def test_what_a_prometheus_answers(prometheus_folder: Path, tmp_path: Path) -> None:
    async with running(prometheus_folder, tmp_path / "prometheus", {"global": {}}) as real:
        queries = Prometheus(real.url)
        try:
            before = datetime.datetime.now(datetime.UTC)
            value, at = await queries.ask("vector(3) / 2", OLDEST)
            assert value == 1.5
            assert abs((at - before).total_seconds()) < 30
            assert (await queries.ask("scalar(vector(7))", OLDEST))[0] == 7
            for query, says in (
                ("sum(nothing)", "the query returned nothing"),
                ('label_replace(vector(1), "a", "b", "", "") or vector(2)', "returned 2 series"),
                ("vector(0) / 0", "returned NaN"),
                ("up[5m]", "returned a matrix, not one number"),
                ('"text"', "returned a string, not one number"),
                ("sum(", "Prometheus refused the query (400): invalid parameter"),
            ):
                with pytest.raises(Unanswered) as told:
                    await queries.ask(query, OLDEST)
                assert says in str(told.value)
        finally:
            await queries.close()
