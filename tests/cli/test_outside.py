"""`continuo up --kafka --prometheus`: what cannot be is said at once, and a detached engine is told the same."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from continuo.cli.host import Host
from continuo.cli.outside import Outside
from continuo.cli.up import up


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--kafka", "kafka"), "'kafka' is no address of a Kafka broker"),
        (("--prometheus", "ftp://p"), "'ftp://p' is no address of a Prometheus"),
        (("--kafka", "kafka:9092", "--no-operator"), "for the embedded engine with its controllers"),
        (("--prometheus", "http://p", "--engine", "kubernetes"), "for the embedded engine with its controllers"),
    ],
)
def test_what_cannot_be_is_said_at_once(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(up, ["--data", str(tmp_path / "data"), *arguments])
    assert isinstance(result.exception, click.ClickException | SystemExit) and result.exit_code
    said = result.output + (result.exception.message if isinstance(result.exception, click.ClickException) else "")
    assert says in said and not (tmp_path / "data").exists()


def test_a_detached_engine_is_told_the_same() -> None:
    outside = Outside("a:1,b:2", "http://p")
    with up.make_context("up", outside.arguments()) as context:
        assert (context.params["kafka"], context.params["prometheus"]) == ("a:1,b:2", "http://p")
    assert Outside().arguments() == []


@pytest.mark.anyio
async def test_events_have_a_way_out_only_where_there_is_one(tmp_path: Path) -> None:
    host = Host(tmp_path / "data", port=0)
    await host.start()
    try:
        for outside, beside in ((Outside(), 0), (Outside("127.0.0.1:9", "http://127.0.0.1:9"), 1)):
            async with AsyncExitStack() as stack:
                operator, found = host.worker(None, outside, stack)
                assert len(found) == beside, "commands of others come in"
                await operator.management.close()
    finally:
        await host.stop()
