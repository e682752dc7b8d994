"""What boards say about themselves is kept within bounds, whatever they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.iot.hub import reports
from iot.hub.bench import hub

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.fixed_dictionaries({}, optional={name: JSON for name in (*reports.SECTIONS, "health")}) | JSON)
def test_any_report_is_read_or_refused_in_a_sentence(said: Any) -> None:
    try:
        read = reports.checked(said, lambda _section, _key: True)
    except ValueError as error:
        assert "report" in str(error)
        return
    assert set(read) == {*reports.SECTIONS, "health"}
    again = reports.checked(read, lambda _section, _key: True)
    assert again == read and reports.changes(read, again) == []


@pytest.mark.anyio
async def test_a_board_that_says_too_much_fills_nothing(tmp_path: Path) -> None:
    async with hub(str(tmp_path / "h.sqlite")) as bench:
        lab = await bench.client()
        made, _ = await bench.online(lab, "one")
        board = made["uuid"]
        loud = {"name": "x" * 100_000, "more": {f"n{n}": "y" * 100_000 for n in range(100)}}
        await bench.core.presence.connected(board, 7, {"connectivity": loud, "capabilities": ["z" * 9000] * 900})
        assert (await lab.ask("PUT", "/v1/boards/one/plugins", {"plugin": (await lab.plugin())["uuid"]})).status == 200
        (plugin,) = bench.core.registry.desired(board)["plugins"]
        before = bench.core.feed.last
        entry = {"state": ["running"] * 9000, "message": "m" * 500_000, "hash": "h" * 500_000, "other": [loud]}
        foreign = {f"{n}": entry for n in range(2000)}
        await bench.core.presence.reported(
            board, {"plugins": {**foreign, plugin: entry}, "ports": foreign, "health": loud}
        )
        kept = bench.core.registry.report(board)
        assert set(kept["plugins"]) == {plugin} and kept["ports"] == {}
        assert len(msgspec.json.encode(kept)) < 100_000 and len(msgspec.json.encode(bench.record(board))) < 100_000
        (event,) = bench.core.feed.after(before, None)
        assert event.kind == "injection.changed" and len(event.data) < 1000
