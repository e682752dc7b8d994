"""Where the testbed's programs are kept: one folder per part, version and way of making it, whole or not there.

A folder is made under a temporary name and renamed when it is complete, so a run that is killed leaves nothing that
looks finished. One run at a time makes a part; others wait for its lock, which the system frees when its holder dies.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import platform
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from continuo.testbed.parts import GoBuild, Maven, Part

MANIFEST = "manifest.json"
_UNFINISHED = ".unfinished-"
_SOURCES = (".go", ".mod", ".sum", ".xml", ".sha256")
_LOCK_SECONDS = 0.2


def cache_root() -> Path:
    """`CONTINUO_CACHE`, or `~/.cache/continuo`."""
    if named := os.environ.get("CONTINUO_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "continuo"


def modules_root() -> Path:
    """The folder of our own Go modules: in the wheel, or in the checkout."""
    here = Path(__file__).resolve().parent
    packed = here / "modules"
    return packed if packed.is_dir() else here.parents[2] / "testbed"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a part. Size and time tell at once that it is the same; the checksum tells it for sure."""

    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished folder holds, and where it came from."""

    part: str
    version: str
    source: str
    seconds: float
    files: dict[str, FileRecord] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


class Cache:
    """The cache's folders, and their manifests."""

    def __init__(self, root: Path | None = None, modules: Path | None = None) -> None:
        self.root = (root or cache_root()) / "testbed"
        self.modules = modules or modules_root()

    def folder(self, part: Part) -> Path:
        """The folder of a part as it is defined now."""
        return self.root / part.name / f"{part.version or 'any'}-{self._digest(part)}"

    def _digest(self, part: Part) -> str:
        told = hashlib.sha256(repr((part.sources, part.programs, platform.machine())).encode())
        for source in part.sources:
            if isinstance(source, GoBuild | Maven):
                for path in sorted((self.modules / source.module).glob("*")):
                    if path.suffix in _SOURCES:
                        told.update(f"{path.name}\0".encode() + path.read_bytes())
        return told.hexdigest()[:12]

    def find(self, part: Part) -> Manifest | None:
        """The manifest of a part that is there and untouched; None when it must be made. Reads no program."""
        folder = self.folder(part)
        manifest = read_manifest(folder)
        if manifest is None:
            return None
        try:
            whole = all(_unchanged(folder / name, record) for name, record in manifest.files.items())
            whole = whole and all((folder / name).exists() for name in manifest.links)
        except OSError:
            return None
        return manifest if whole and all((folder / "bin" / name).exists() for name in part.programs) else None

    def bin(self, part: Part) -> Path:
        """The folder of a part's programs."""
        return self.folder(part) / "bin"

    @asynccontextmanager
    async def lock(self, part: Part, waits: Callable[[], None]) -> AsyncIterator[None]:
        """Hold a part alone; `waits` is called once when another run holds it."""
        path = self.root / f"{part.name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            told = False
            while not _try_lock(file.fileno()):
                if not told:
                    waits()
                    told = True
                await asyncio.sleep(_LOCK_SECONDS)
            yield

    @contextmanager
    def stage(self, part: Part) -> Iterator[Path]:
        """A folder to make a part in, gone afterwards unless `finish` kept it. Call it with the lock held."""
        home = self.folder(part).parent
        home.mkdir(parents=True, exist_ok=True)
        for left in home.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = home / f"{_UNFINISHED}{os.getpid()}"
        (folder / "bin").mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def finish(self, part: Part, stage: Path, *, version: str, source: str, seconds: float) -> Manifest:
        """Write the manifest and give the folder its name."""
        files, links = _describe(stage)
        manifest = Manifest(part.name, version, source, round(seconds, 1), files, links)
        (stage / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))
        target = self.folder(part)
        shutil.rmtree(target, ignore_errors=True)
        stage.rename(target)
        return manifest

    def drop(self, part: Part) -> None:
        """Forget a part as it is defined now."""
        shutil.rmtree(self.folder(part), ignore_errors=True)

    def outdated(self, parts: Iterable[Part]) -> list[Path]:
        """Folders with finished parts that are none of these as they are defined now."""
        current = {self.folder(part) for part in parts}
        return sorted(found.parent for found in self.root.glob(f"*/*/{MANIFEST}") if found.parent not in current)

    def damaged(self, part: Part) -> list[str]:
        """Files whose checksum is not the manifest's; reads all of them."""
        folder = self.folder(part)
        manifest = read_manifest(folder)
        files = manifest.files.items() if manifest else ()
        return [name for name, record in files if checksum(folder / name) != record.sha256]


def read_manifest(folder: Path) -> Manifest | None:
    """A folder's manifest; None when there is none that can be read."""
    try:
        data: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        files = {name: FileRecord(**record) for name, record in data.pop("files").items()}
        return Manifest(**data, files=files)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def checksum(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unchanged(path: Path, record: FileRecord) -> bool:
    seen = path.stat()
    return (seen.st_size, seen.st_mtime_ns) == (record.size, record.mtime_ns)


def _describe(folder: Path) -> tuple[dict[str, FileRecord], dict[str, str]]:
    """Records of the programs, and every link. Other files are many and are not programs: they get no record."""
    files: dict[str, FileRecord] = {}
    links: dict[str, str] = {}
    for path in sorted((folder / "bin").iterdir()):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            links[name] = str(path.readlink())
        else:
            seen = path.stat()
            files[name] = FileRecord(checksum(path), seen.st_size, seen.st_mtime_ns)
    return files, links
