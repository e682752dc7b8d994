"""The catalog's reference page says what its routes say."""

from __future__ import annotations

from pathlib import Path

from continuo.server import catalog_docs

FOLDER = Path(__file__).parent.parent.parent / "docs" / "reference"


def test_the_page_is_not_stale() -> None:
    assert not catalog_docs.stale(FOLDER), "run python -m continuo.server.catalog_docs"


def test_every_operation_is_on_it_and_a_stale_page_is_noticed(tmp_path: Path) -> None:
    api = catalog_docs.document()
    written = catalog_docs.page(api)
    operations = [(method, path) for path, each in api["paths"].items() for method in each]
    assert len(operations) >= 30
    for method, path in operations:
        assert f"### `{method.upper()} {path}`" in written
    folder = ["--folder", str(tmp_path)]
    assert catalog_docs.main([*folder, "--check"]) == 1
    assert catalog_docs.main(folder) == 0 and catalog_docs.main([*folder, "--check"]) == 0
