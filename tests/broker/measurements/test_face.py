"""What others see: offers ranked by what is true, measurements beside claims, records that anybody can check."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from broker.catalog.bench import Bench, Clock, catalog, cheap_hashes, offer
from continuo.broker.measurements.records import keys_of, verify
from continuo.broker.measurements.store import Value
from continuo.cli.catalog_measured import verify as verify_command

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap_hashes(monkeypatch)


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    async with catalog(str(tmp_path / "c.sqlite")) as made:
        yield made


def measured(clock: Clock, provider: str, latency: float, age: float = 0.0) -> Value:
    return Value(provider, "latency", latency, "ms", clock.now - age, 120)


async def three(bench: Bench) -> None:
    """One that keeps its word, one that boasts, one that was never measured."""
    for name, claim in (("honest", 20), ("boaster", 1), ("unknown", 5)):
        provider = await bench.provider(name)
        assert (await provider.publish(f"of-{name}", offer(claims={"latency": claim, "uptime": 0.99}))).status == 201
    await bench.parts.measured.add([measured(bench.clock, "honest", 18.0), measured(bench.clock, "boaster", 90.0)])


async def ids(bench: Bench, **query: str) -> list[str]:
    answer = await bench.anybody.get("/api/v1/offers", **query)
    assert answer.status == 200, answer.body
    return [item["id"] for item in answer.json["items"]]


async def test_what_is_measured_ranks_above_every_claim(bench: Bench) -> None:
    await three(bench)
    assert await ids(bench, order="claimed.latency") == ["of-boaster", "of-unknown", "of-honest"]
    assert await ids(bench, order="effective.latency") == ["of-honest", "of-boaster", "of-unknown"]
    assert await ids(bench, order="-effective.latency") == ["of-boaster", "of-honest", "of-unknown"]
    assert await ids(bench, where="effective.latency < 25.0") == ["of-honest", "of-unknown"]
    assert await ids(bench, where="measured.latency < 25.0") == ["of-honest"]
    assert await ids(bench, where="claimed.latency < measured.latency") == ["of-boaster"]


async def test_a_stale_measurement_counts_no_more(bench: Bench) -> None:
    await three(bench)
    bench.clock.now += 121
    await bench.parts.measured.refresh()
    assert await ids(bench, where="has(measured.latency)") == []
    assert await ids(bench, order="effective.latency") == ["of-boaster", "of-unknown", "of-honest"]
    (item, *_) = (await bench.anybody.get("/api/v1/providers/boaster/measurements")).json["items"][1:2]
    assert item["metric"] == "latency" and not item["fresh"] and item["age"] == 121
    assert item["effective"] == {"value": 1.0, "source": "claimed"} and item["gap"]["holds"] is False


async def test_the_gap_shows_and_a_third_party_can_check_it(bench: Bench) -> None:
    await three(bench)
    told = (await bench.anybody.get("/api/v1/providers/boaster/measurements")).json
    items = {item["metric"]: item for item in told["items"]}
    assert items["latency"]["gap"] == {"absolute": -89.0, "relative": -89.0, "holds": False}
    assert items["latency"]["claim"] == {"value": 1.0, "offer": "of-boaster"}
    assert items["uptime"] == {
        "metric": "uptime", "claim": {"value": 0.99, "offer": "of-boaster"},
        "effective": {"value": 0.99, "source": "claimed"},
    }  # fmt: skip
    keys = keys_of((await bench.anybody.get("/.well-known/continuo-measurement-keys.json")).json)
    record = verify(items["latency"]["signed"], keys)
    assert (record.provider, record.value, record.by) == ("boaster", 90.0, "catalog")


async def test_history_and_what_there_is_not(bench: Bench) -> None:
    await three(bench)
    await bench.parts.measured.add([measured(bench.clock, "honest", 30.0)])
    path = "/api/v1/providers/honest/measurements/latency"
    assert [item["value"] for item in (await bench.anybody.get(path)).json["items"]] == [30.0, 18.0]
    assert len((await bench.anybody.get(path, limit="1")).json["items"]) == 1
    for limit in ("0", "x", "-1", "99999"):
        assert (await bench.anybody.get(path, limit=limit)).status == 400
    for missing in ("/api/v1/providers/nobody/measurements", "/api/v1/providers/honest/measurements/jitter"):
        answer = await bench.anybody.get(missing)
        assert answer.status == 404 and answer.json["code"] == "provider-unknown"


async def test_who_may_not_read_offers_reads_no_measurements(tmp_path: Path) -> None:
    async with catalog(str(tmp_path / "closed.sqlite"), anonymous=False) as bench:
        await three(bench)
        path = "/api/v1/providers/{}/measurements"
        assert (await bench.anybody.get(path.format("honest"))).status == 401
        honest = await bench.login("honest")
        assert (await honest.get(path.format("honest"))).status == 200
        assert (await honest.get(path.format("boaster"))).status == 404
        assert (await (await bench.consumer()).get(path.format("boaster"))).status == 200
        assert (await bench.anybody.get("/.well-known/continuo-measurement-keys.json")).status == 200


async def test_measurements_survive_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    async with catalog(str(tmp_path / "c.sqlite"), clock=clock) as bench:
        await three(bench)
    clock.now += 60
    async with catalog(str(tmp_path / "c.sqlite"), clock=clock) as bench:
        assert await ids(bench, where="has(measured.latency)") == ["of-boaster", "of-honest"]
    clock.now += 61
    async with catalog(str(tmp_path / "c.sqlite"), clock=clock) as bench:
        assert await ids(bench, where="has(measured.latency)") == [], "it went stale while nobody looked"


async def test_the_command_checks_records(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await three(bench)
    told = await bench.anybody.get("/api/v1/providers/honest/measurements")
    keys, records = tmp_path / "keys.json", tmp_path / "records.json"
    keys.write_bytes((await bench.anybody.get("/.well-known/continuo-measurement-keys.json")).body)
    records.write_bytes(told.body)
    text = next(item["signed"] for item in told.json["items"] if "signed" in item)
    sequence = next(item["sequence"] for item in told.json["items"] if "signed" in item)
    monkeypatch.setattr("time.time", bench.clock)

    def checked(file: str, *more: str, given: str | None = None) -> tuple[int, str]:
        import threading

        found: list[Any] = []  # the command runs a loop of its own
        arguments = [file, "--keys", str(keys), "--url", bench.url, *more]
        thread = threading.Thread(
            target=lambda: found.append(CliRunner().invoke(verify_command, arguments, input=given))
        )
        thread.start()
        thread.join()
        return found[0].exit_code, found[0].output

    assert checked(str(records)) == (
        0,
        f"good   latency of honest was 18 ms, measured by catalog 0s ago, #{sequence}\n",
    )
    assert checked("-", given=text)[0] == 0
    assert checked("-", "--after", str(sequence), given=text)[0] == 1
    assert checked("-", given=text[:-1] + ("A" if text[-1] != "A" else "g"))[0] == 1
    assert checked("-", given="{}")[0] == 2
    assert checked("-", given="")[0] == 2
    assert checked(str(tmp_path / "none"))[0] == 2
    bench.clock.now += 200
    code, said = checked("-", given=text)
    assert code == 1 and said.startswith("stale ")
    assert checked("-", "--allow-stale", given=text)[0] == 0
    keys.write_text(json.dumps({"keys": []}))
    assert "no key" in checked("-", given=text)[1]
