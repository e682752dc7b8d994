"""What sites of the market and the provider of boards count from their caches."""

from __future__ import annotations

import pytest

from continuo.edge import telling as edge
from continuo.iot.provider import telling as boards
from continuo.resources.meta import Object
from continuo.telemetry.metrics import Metrics, Tally


def said(tally: Tally) -> dict[str, float]:
    metrics = Metrics()
    metrics.collect("test", tally.metrics)
    lines = [line for line in metrics.exposition()[0].decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def flavor(quantity: str, *, available: bool = True) -> Object:
    data = {"type": [quantity], "model": "hts221", "manufacturer": "ST"}
    return {
        "metadata": {"name": f"f-{quantity}"},
        "spec": {"flavorType": {"typeIdentifier": "Sensor", "typeData": {"characteristics": data}},
                 "availability": available},
    }  # fmt: skip


def board(status: str | None) -> Object:
    return {"metadata": {"name": "b"}, "status": {"atProvider": {"status": status}}}


def test_boards_by_status() -> None:
    told = said(boards.tally([board("online"), board("online"), board(None)], {"boards": 3}))
    assert told == {
        'continuo_boards{status="online"}': 2, 'continuo_boards{status="offline"}': 0,
        'continuo_boards{status="registered"}': 0, 'continuo_boards{status="unknown"}': 1,
        'continuo_workqueue_depth{controller="boards"}': 3,
    }  # fmt: skip


def test_slices_and_contracts() -> None:
    slice_ = {"metadata": {"name": "s"}, "spec": {"flavorType": {"typeIdentifier": "K8Slice"}}}
    signed, ended = {"metadata": {"name": "c"}}, {"metadata": {"name": "d"}, "status": {"phase": {"phase": "Expired"}}}
    told = said(edge.tally([slice_], [signed, ended]))
    assert told['continuo_flavors{type="K8Slice"}'] == 1
    assert told['continuo_contracts{market="fluidos",state="Active"}'] == 1
    assert told['continuo_contracts{market="fluidos",state="Expired"}'] == 1


def test_what_boards_say_they_measure_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sensor:
        def __init__(self, *types: str) -> None:
            self.types = types

    monkeypatch.setattr(edge, "sensor_of_flavor", lambda flavor: Sensor(flavor["metadata"]["name"]))
    many = [
        flavor("Humidity"),
        flavor("Humidity", available=False),
        *(flavor(f"q{n}") for n in range(edge.MOST_TYPES * 2)),
    ]
    told = said(edge.tally(many, []))
    assert told['continuo_sensors{available="yes",type="f-Humidity"}'] == 1
    assert told['continuo_sensors{available="no",type="f-Humidity"}'] == 1
    assert len({name for name in told if name.startswith("continuo_sensors")}) <= edge.MOST_TYPES + 3
    assert sum(value for name, value in told.items() if name.startswith("continuo_sensors")) == len(many)
