"""The options of real clusters: what goes together, and what is chosen where nothing was said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from continuo.cli import real
from continuo.cli.beds import EMBEDDED, KUBERNETES, Beds
from continuo.cli.failures import BadInput, Failed
from continuo.testbed import capi_choice
from continuo.testbed.errors import TestbedError


@pytest.mark.parametrize(
    ("beds", "engine", "message"),
    [
        (Beds(), "docker", "engine 'docker' is not known; there are `embedded` and `kubernetes`"),
        (Beds(clusters=3), EMBEDDED, "--clusters needs --engine kubernetes"),
        (Beds(containers=False), EMBEDDED, "--no-containers needs --engine kubernetes"),
        (Beds(nodes=2, containers=True), KUBERNETES, "leave one of them out"),
        (Beds(nodes=2, liqo=True), KUBERNETES, "--liqo needs real containers"),
        (Beds(cluster_api=True), EMBEDDED, "--cluster-api needs --engine kubernetes"),
        (Beds(kubernetes="1.35"), EMBEDDED, "--kubernetes needs --engine kubernetes"),
        (Beds(edge=1), EMBEDDED, "--edge needs --engine kubernetes"),
        (Beds(edge=1, nodes=2), KUBERNETES, "--edge needs real containers"),
        (Beds(edge=1, containers=False), KUBERNETES, "--edge needs real containers"),
        (Beds(edge=1, clusters=0), KUBERNETES, "ask for one by --clusters 1"),
        (Beds(clusters=27), KUBERNETES, "--clusters 27 is too many for one machine: at most 26"),
    ],
)
def test_what_does_not_go_together(beds: Beds, engine: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        beds.check(engine)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("said", "containers", "liqo", "chosen", "heard"),
    [
        (Beds(), None, None, Beds(2, None, True, True, True), []),
        (Beds(3), "they need root", None, Beds(3, 1, False, False, True), ["they need root"]),
        (Beds(), None, "webhook missing", Beds(2, None, True, False, True), ["Liqo is not installed: webhook missing"]),
        (Beds(liqo=True), "they need root", None, Beds(2, None, True, True, True), []),
        (Beds(nodes=5), None, None, Beds(2, 5, False, False, True), []),
        (Beds(0, containers=False), None, None, Beds(0, 1, False, False, True), []),
        (Beds(edge=2), None, None, Beds(2, None, True, True, True, 2), []),
    ],
)
def test_what_is_chosen(
    said: Beds,
    containers: str | None,
    liqo: str | None,
    chosen: Beds,
    heard: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(real, "no_containers_here", lambda: containers)
    monkeypatch.setattr(real, "no_liqo_here", lambda: liqo)
    monkeypatch.setattr(real, "no_edge_here", lambda: None)
    monkeypatch.setattr(real, "no_cluster_api_here", lambda: None)
    lines: list[str] = []
    assert said.chosen(tmp_path, lines.append) == chosen
    assert len(lines) == len(heard)
    assert all(part in line for part, line in zip(heard, lines, strict=True))


NOT_BUILT = "capi-core is missing; get them with: continuo testbed build cluster-api"
QUIET = Beds(1, 1)


def _hears(said: Beds, data: Path, reason: str | None, monkeypatch: pytest.MonkeyPatch) -> tuple[bool | None, str]:
    monkeypatch.setattr(real, "no_cluster_api_here", lambda: reason)
    lines: list[str] = []
    return said.chosen(data, lines.append).cluster_api, " ".join(lines)


def test_cluster_api_is_there_where_it_can_be_and_told_where_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _hears(QUIET, tmp_path, None, monkeypatch) == (True, "")
    assert _hears(QUIET, tmp_path, NOT_BUILT, monkeypatch) == (False, f"Cluster API is left out: {NOT_BUILT}")
    assert _hears(replace(QUIET, cluster_api=False), tmp_path, NOT_BUILT, monkeypatch) == (False, "")
    with pytest.raises(Failed, match="Cluster API cannot run here: capi-core is missing"):
        _hears(replace(QUIET, cluster_api=True), tmp_path, NOT_BUILT, monkeypatch)


def test_a_folder_stays_with_cluster_api_once_it_had_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    capi_choice.keep(tmp_path, True)
    assert _hears(QUIET, tmp_path, None, monkeypatch) == (True, "")
    with pytest.raises(BadInput, match=r"was made with Cluster API.*start it with --cluster-api, or name another"):
        _hears(replace(QUIET, cluster_api=False), tmp_path, None, monkeypatch)
    with pytest.raises(Failed, match=r"the state in .* was made with it: capi-core is missing"):
        _hears(QUIET, tmp_path, NOT_BUILT, monkeypatch)
    with pytest.raises(TestbedError, match="refuses writes without it"):
        capi_choice.keep(tmp_path, False)


def test_a_folder_stays_without_cluster_api_once_it_had_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubernetes" / "management").mkdir(parents=True)  # of a version that did not write down which
    wanted, said = _hears(QUIET, tmp_path, None, monkeypatch)
    assert not wanted
    assert "was made without Cluster API, which cannot be added to it" in said
    with pytest.raises(BadInput, match="name another folder by --data"):
        _hears(replace(QUIET, cluster_api=True), tmp_path, None, monkeypatch)


def test_who_asks_for_edge_nodes_hears_why_there_can_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "no_cluster_api_here", lambda: None)
    monkeypatch.setattr(real, "no_edge_here", lambda: "they need containers, and they need root")
    with pytest.raises(Failed, match="edge nodes cannot run here: they need containers, and they need root"):
        Beds(edge=1).chosen(tmp_path, lambda _: None)
    monkeypatch.setattr(real, "no_containers_here", lambda: "they need root")
    assert Beds(edge=0, liqo=False).chosen(tmp_path, lambda _: None).containers is False


def test_the_speed_of_simulated_machines_is_not_for_real_clusters() -> None:
    with pytest.raises(BadInput, match="--speed needs --engine embedded"):
        Beds().check(KUBERNETES, speed=10.0)
    Beds().check(EMBEDDED, speed=10.0)


def test_a_background_process_hears_the_same() -> None:
    beds = Beds(2, None, True, False, True)
    assert beds.arguments() == ["--clusters", "2", "--containers", "--no-liqo", "--cluster-api"]
    assert Beds(edge=2).arguments() == ["--edge", "2"]
    assert Beds(1, 1, False, False).arguments() == ["--clusters", "1", "--nodes", "1", "--no-containers", "--no-liqo"]
