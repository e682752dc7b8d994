"""The whole way from two clusters to one, by the writes of `continuo.federation` alone."""

from __future__ import annotations

from typing import Any

from continuo.federation.model import LinkPhase
from continuo.resources import kinds
from continuo.resources.meta import condition, is_true


def test_link(bench: Any) -> None:
    rome, milan = bench.cluster("rome"), bench.cluster("milan")
    progress = bench.link("rome", "milan")
    assert progress.phase is LinkPhase.CONNECTED
    assert progress.writes == ()
    for api, peer in ((rome, "milan"), (milan, "rome")):
        node = api.get(kinds.NODE, peer)
        assert is_true(node, "Ready")
        assert node["status"]["capacity"] == {"cpu": "64", "memory": "64Gi", "pods": "500"}
