"""What a job leaves in `$RESULTS`: copied to where it stays when the run has ended, within bounds, following nothing."""

from __future__ import annotations

import base64
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

MOST = 1024 * 1024
"""Bytes in all results."""
FILES = 64


def collect(source: Path, target: Path) -> list[str]:
    """Copy plain files from where a program wrote; returns sentences on what was left out. Raises OSError.

    The program was a stranger's: links, devices and folders within folders beyond reason are passed by.
    """
    fresh = target.with_name(f"{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    left, files, omitted = MOST, 0, 0
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(folders)[:FILES]
        for name in sorted(names):
            path = Path(folder) / name
            data = _read(path, left) if files < FILES else None
            if data is None:
                omitted += 1
                continue
            left, files = left - len(data), files + 1
            copy = fresh / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data)
    shutil.rmtree(target, ignore_errors=True)
    fresh.replace(target)
    return [f"{omitted} results were left out: {FILES} plain files of {MOST} bytes in all are kept"] if omitted else []


def _read(path: Path, most: int) -> bytes | None:
    """A plain file's bytes, if they are no more than that."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                with os.fdopen(os.dup(descriptor), "rb") as file:
                    data = file.read(most + 1)
                return data if len(data) <= most else None
        finally:
            os.close(descriptor)
    return None


def read(folder: Path) -> dict[str, Any]:
    """Path -> text; what is no text is `{"base64": ...}`."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file():
            data = path.read_bytes()
            try:
                found[str(path.relative_to(folder))] = data.decode()
            except UnicodeDecodeError:
                found[str(path.relative_to(folder))] = {"base64": base64.b64encode(data).decode()}
    return found


def beginning(folder: Path, characters: int = 200) -> str:
    """The beginning of the first result, for a glance."""
    texts = (value for value in read(folder).values() if isinstance(value, str))
    return next(texts, "")[:characters]
