"""Debian packages without installing them: fetched by apt, which checks their signatures, and unpacked into the cache.

Nothing of the system is changed: no service starts, no configuration runs. An ordinary user may do it too, since apt
gets lists of its own when the system has none.
"""

from __future__ import annotations

import platform
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from continuo.testbed.commands import run
from continuo.testbed.errors import TestbedError
from continuo.testbed.parts import Debian
from continuo.testbed.running import follow

_FETCH_SECONDS = 600.0
_SECONDS = 120.0


async def unpack_package(source: Debian, stage: Path, home: Path, say: Callable[[str, int, int], None]) -> str:
    """Fetch and unpack a package into `root/`, with its programs in `bin/`; returns its version."""
    folder, root = stage / "packages", stage / "root"
    folder.mkdir()
    say(f"downloading {source.package}", 0, 0)
    options = await _fetch(source.package, folder)
    archive = _archives(folder)[0]
    version = await run("dpkg-deb", "--field", str(archive), "Version")
    await run("dpkg-deb", "--extract", str(archive), str(root), timeout=_SECONDS)
    programs = {name: _find(root, path, source.package) for name, path in source.programs.items()}
    if any([await _lacking(path, ()) for path in programs.values()]):
        say(f"downloading libraries of {source.package}", 0, 0)
        await _add_libraries(source.libraries, folder, root, options)
    for name, path in programs.items():
        await _offer(name, path, source, stage, home)
    shutil.rmtree(folder)
    return version


async def _fetch(package: str, folder: Path) -> tuple[str, ...]:
    """By the system's own lists of packages, else by fresh lists; returns the options that make apt use those."""
    try:
        await follow(("apt-get", "-q", "download", package), timeout=_FETCH_SECONDS, folder=folder)
    except TestbedError:
        own = folder / "apt"
        (own / "lists" / "partial").mkdir(parents=True)
        options = ("-o", f"Dir::State::lists={own / 'lists'}", "-o", f"Dir::Cache={own}")
        await follow(("apt-get", "-q", *options, "update"), timeout=_FETCH_SECONDS, folder=folder)
        await follow(("apt-get", "-q", *options, "download", package), timeout=_FETCH_SECONDS, folder=folder)
        return options
    return ()


async def _add_libraries(names: Sequence[str], folder: Path, root: Path, options: Sequence[str]) -> None:
    """Fetch and unpack those libraries that the distribution has; which of them were needed shows afterwards."""
    shown = await run("apt-cache", *options, "show", *names, check=False, timeout=_SECONDS)
    known = sorted({line.split()[1] for line in shown.splitlines() if line.startswith("Package: ")})
    if known:
        await follow(("apt-get", "-q", *options, "download", *known), timeout=_FETCH_SECONDS, folder=folder)
    for archive in _archives(folder):
        await run("dpkg-deb", "--extract", str(archive), str(root), timeout=_SECONDS)


def _archives(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.deb"))


def _find(root: Path, path: str, package: str) -> Path:
    """A program in an unpacked package, also where another release of the distribution has it in another folder."""
    if (root / path).exists():
        return root / path
    for found in sorted(root.rglob(Path(path).name)):
        if found.is_file() and found.parent.name in ("bin", "sbin"):
            return found
    raise TestbedError(f"the package {package} has no {path}")


async def _lacking(program: Path, folders: Sequence[Path]) -> list[str]:
    """Libraries that a program does not find, on the system or in folders."""
    setting = f"LD_LIBRARY_PATH={':'.join(map(str, folders))}"
    said = await run("env", setting, "ldd", str(program), check=False, timeout=_SECONDS)
    return [line.split()[0] for line in said.splitlines() if line.endswith("not found")]


async def _offer(name: str, program: Path, source: Debian, stage: Path, home: Path) -> None:
    """Put a program into `bin/`: a link when it runs as it is, else a script that says where its libraries are."""
    root, target = stage / "root", stage / "bin" / name
    folders = sorted({path.parent for path in root.rglob("lib*.so.*")})
    if lacking := await _lacking(program, folders):
        raise TestbedError(f"{name} needs {', '.join(lacking)}, which no package of this distribution brought")
    lean = not await _lacking(program, ())
    if lean and not source.environment:
        target.symlink_to(Path("..") / program.relative_to(stage))
        return
    final = home / "root"
    settings = {key: value.format(root=final, machine=platform.machine()) for key, value in source.environment.items()}
    if not lean:
        settings["LD_LIBRARY_PATH"] = ":".join(str(final / path.relative_to(root)) for path in folders)
    exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in settings.items())
    target.write_text(f'#!/bin/sh\n{exports}exec {shlex.quote(str(final / program.relative_to(root)))} "$@"\n')
    target.chmod(0o755)
