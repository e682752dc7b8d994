"""The folder that a demo uses up: its own, or refused. What somebody else keeps in a folder is never deleted."""

from __future__ import annotations

import shutil
from pathlib import Path

from continuo.cli.failures import BadInput

_MARK = "demo"


def usable(data: Path, demo: str) -> Path:
    """The folder that is meant, there and that demo's to use up; raises BadInput where it is somebody else's.

    The mark in it has to be exactly ours, since what has it is deleted: many folders have something called `demo`.
    """
    data = data.resolve()
    mark, marked = data / _MARK, f"continuo demo {demo}\n"
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not any(data.iterdir()):
            mark.write_text(marked, encoding="utf-8")
        ours = mark.is_file() and mark.read_bytes() == marked.encode()
    except OSError as error:
        raise BadInput(
            f"the folder {data} cannot be used: {error.strerror or error}; name one with --data that you may write to"
        ) from error
    if not ours:
        raise BadInput(f"{data} is not of an earlier demo of {demo}: name an empty folder with --data")
    return data


def empty(data: Path) -> None:
    """Delete everything in a folder that `usable` let pass, but for the mark: who is killed here may go on later."""
    for path in data.iterdir():
        if path.name != _MARK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
