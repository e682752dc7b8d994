"""The options of real clusters: what goes together, and what is chosen where nothing was said."""

from __future__ import annotations

import pytest

from continuo.cli import real
from continuo.cli.beds import EMBEDDED, KUBERNETES, Beds
from continuo.cli.failures import BadInput


@pytest.mark.parametrize(
    ("beds", "engine", "message"),
    [
        (Beds(), "docker", "engine 'docker' is not known; there are `embedded` and `kubernetes`"),
        (Beds(clusters=3), EMBEDDED, "--clusters needs --engine kubernetes"),
        (Beds(containers=False), EMBEDDED, "--no-containers needs --engine kubernetes"),
        (Beds(nodes=2, containers=True), KUBERNETES, "leave one of them out"),
        (Beds(nodes=2, liqo=True), KUBERNETES, "--liqo needs real containers"),
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
        (Beds(), None, None, Beds(2, None, True, True), []),
        (Beds(3), "they need root", None, Beds(3, 1, False, False), ["they need root"]),
        (Beds(), None, "webhook missing", Beds(2, None, True, False), ["Liqo is not installed: webhook missing"]),
        (Beds(liqo=True), "they need root", None, Beds(2, None, True, True), []),
        (Beds(nodes=5), None, None, Beds(2, 5, False, False), []),
        (Beds(0, containers=False), None, None, Beds(0, 1, False, False), []),
    ],
)
def test_what_is_chosen(
    said: Beds,
    containers: str | None,
    liqo: str | None,
    chosen: Beds,
    heard: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(real, "no_containers_here", lambda: containers)
    monkeypatch.setattr(real, "no_liqo_here", lambda: liqo)
    lines: list[str] = []
    assert said.chosen(lines.append) == chosen
    assert len(lines) == len(heard)
    assert all(part in line for part, line in zip(heard, lines, strict=True))


def test_a_background_process_hears_the_same() -> None:
    beds = Beds(2, None, True, False)
    assert beds.arguments() == ["--clusters", "2", "--containers", "--no-liqo"]
    assert Beds(1, 1, False, False).arguments() == ["--clusters", "1", "--nodes", "1", "--no-containers", "--no-liqo"]
