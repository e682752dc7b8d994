"""The reference pages are what the models say."""

from __future__ import annotations

from pathlib import Path

from continuo.resources import docs

ROOT = Path(__file__).parents[2]


def test_the_pages_are_up_to_date() -> None:
    assert docs.stale(ROOT / "docs" / "reference") == []


def test_a_stale_page_is_found_and_repaired(tmp_path: Path) -> None:
    folder = ["--folder", str(tmp_path)]
    assert docs.main([*folder, "--check"]) == 1
    assert docs.main(folder) == 0
    assert docs.main([*folder, "--check"]) == 0
    page = tmp_path / "lowlevelorchestration.md"
    page.write_text(page.read_text().replace("odd", "even"))
    assert docs.stale(tmp_path) == ["lowlevelorchestration.md"]


def test_the_page_has_every_section_and_the_rules() -> None:
    page = docs.orchestration_page()
    for heading in ("spec.clusters[]", "spec.apps[].components[].expose[]", "status.apps[].components[].urls[]"):
        assert f"## `{heading}`" in page
    assert "`control-plane-count` must be odd" in page
    assert "1.5 MiB" in page
