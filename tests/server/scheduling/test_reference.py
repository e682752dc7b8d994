"""The scheduler's reference page says what its routes say."""

from __future__ import annotations

from pathlib import Path

from continuo.placement.guards import Code
from continuo.server.scheduler import reference

FOLDER = Path(__file__).parents[3] / "docs" / "reference"


def test_the_page_is_not_stale() -> None:
    assert not reference.stale(FOLDER), "run python -m continuo.server.scheduler.reference"


def test_every_operation_and_code_is_on_it_and_a_stale_page_is_noticed(tmp_path: Path) -> None:
    api = reference.document()
    written = reference.page(api)
    operations = [(method, path) for path, each in api["paths"].items() for method in each]
    assert len(operations) == 5 and all(f"### `{method.upper()} {path}`" in written for method, path in operations)
    assert all(f"| `{code}` |" in written for code in Code)
    folder = ["--folder", str(tmp_path)]
    assert reference.main([*folder, "--check"]) == 1
    assert reference.main(folder) == 0 and reference.main([*folder, "--check"]) == 0
