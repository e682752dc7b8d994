from __future__ import annotations

from pathlib import Path

import pytest

from continuo.testbed.errors import TestbedError
from continuo.testbed.limits import raise_limits


def limits(folder: Path, instances: int, watches: int) -> Path:
    (folder / "max_user_instances").write_text(f"{instances}\n")
    (folder / "max_user_watches").write_text(f"{watches}\n")
    return folder


def test_a_limit_that_is_too_low_is_raised_once(tmp_path: Path) -> None:
    folder = limits(tmp_path, 128, 1_000_000)
    assert raise_limits(folder) == ["fs.inotify.max_user_instances from 128 to 1024"]
    assert (folder / "max_user_watches").read_text() == "1000000\n"
    assert raise_limits(folder) == []


def test_a_limit_that_cannot_be_raised_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = limits(tmp_path, 128, 1)

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(TestbedError, match=r"fs.inotify.max_user_instances is 128 and cannot be raised"):
        raise_limits(folder)
