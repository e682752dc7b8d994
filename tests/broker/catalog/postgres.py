"""A real PostgreSQL for tests, from whatever server is installed; nothing of it is left."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def find_programs() -> Path | None:
    """The folder of `initdb` and `postgres`: of a Debian package, or on PATH."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def _account() -> pwd.struct_passwd | None:
    """PostgreSQL does not run as root: whose processes then."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


@contextmanager
def running(programs: Path) -> Iterator[str]:
    """A server on a socket in a folder of its own; its URL without a database."""
    folder = Path(tempfile.mkdtemp(prefix="cpg", dir="/tmp"))
    who = _account()
    as_user: dict[str, object] = {}
    if who is not None:
        os.chown(folder, who.pw_uid, who.pw_gid)
        as_user = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
    data = folder / "data"
    quiet: dict[str, object] = {"check": True, "capture_output": True, "cwd": folder, **as_user}
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-A", "trust", "-U", "catalog", "--no-sync", "-E", "UTF8", "--locale=C"],
            **quiet,  # type: ignore[call-overload]
        )
        options = f"-k {folder} -h '' -F -c fsync=off -c full_page_writes=off -c max_connections=40"
        control = [programs / "pg_ctl", "-D", data, "-w"]
        subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], **quiet)  # type: ignore[call-overload]
        try:
            yield f"postgresql://catalog@/%s?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
