"""What a bed's folder remembers between starts: its identity, its network, and whether Cluster API is in it."""

from __future__ import annotations

import json
from pathlib import Path

from continuo.testbed.credentials import write_private

FILE = "bed.json"


def remembered(folder: Path, key: str) -> str | None:
    """One value; None when nothing is known of it."""
    value = _memory(folder).get(key)
    return value if isinstance(value, str) else None


def remember(folder: Path, **values: str) -> None:
    """Keep some more values."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(folder / FILE, json.dumps(_memory(folder) | values))


def _memory(folder: Path) -> dict[str, object]:
    try:
        said = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
