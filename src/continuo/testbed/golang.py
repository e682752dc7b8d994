"""Building programs from our own Go modules, which pin upstream modules by checksums."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from continuo.testbed.commands import run
from continuo.testbed.errors import TestbedError
from continuo.testbed.parts import Copy, GoBuild
from continuo.testbed.running import follow

_BUILD_SECONDS = 5400.0
_LIST_SECONDS = 900.0
_GO_VERSION = re.compile(r"go(\d+)\.(\d+)")
_PACKAGE = re.compile(r"^[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~-]+)*$")
"""What `go build -v` prints for each package that it compiles."""


async def go_version(go: Path) -> tuple[int, int] | None:
    """The version of a Go; None when it does not say."""
    try:
        said = await run(str(go), "env", "GOVERSION", timeout=30)
    except TestbedError:
        return None
    match = _GO_VERSION.search(said)
    return (int(match[1]), int(match[2])) if match else None


async def build_programs(
    source: GoBuild, module: Path, stage: Path, go: Path, say: Callable[[str, int, int], None]
) -> None:
    """Build all programs of a module into `bin/`, with their links, and copy upstream files into `share/`."""
    environment = {"CGO_ENABLED": "1" if source.cgo else "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly"}
    say("fetching modules", 0, 0)
    total = await _count_packages(source, module, go, environment)
    compiled: set[str] = set()

    def on_line(line: str) -> None:
        if line.startswith("go: downloading "):
            say(f"fetching {line.split()[2]}", len(compiled), total)
        elif _PACKAGE.match(line):
            compiled.add(line)
            say("compiling", len(compiled), total)

    stamps = " ".join(("-s", "-w", *(f"-X {name}={value}" for name, value in source.stamps.items())))
    flags = ("-v", "-trimpath", "-buildvcs=false", "-ldflags", stamps)
    for program, package in source.targets.items():
        target = str(stage / "bin" / program)
        command = (*_gently(), str(go), "build", *flags, "-o", target, package)
        await follow(command, timeout=_BUILD_SECONDS, on_line=on_line, folder=module, environment=environment)
    for name, program in source.links.items():
        (stage / "bin" / name).symlink_to(program)
    for copy in source.copies:
        await _copy_files(copy, module, stage / "share", go, environment)


def _gently() -> tuple[str, ...]:
    """Leave the machine usable while it compiles for minutes, and stop compiling when even a SIGKILL ends this run."""
    ends = ("setpriv", "--pdeathsig", "TERM") if shutil.which("setpriv") else ()
    return (*ends, "nice") if shutil.which("nice") else ends


async def _count_packages(source: GoBuild, module: Path, go: Path, environment: dict[str, str]) -> int:
    """How many packages the programs consist of; this also fetches the modules."""
    packages: set[str] = set()
    command = (str(go), "list", "-deps", *source.targets.values())
    await follow(command, timeout=_LIST_SECONDS, on_line=packages.add, folder=module, environment=environment)
    return len(packages)


async def _copy_files(copy: Copy, module: Path, share: Path, go: Path, environment: dict[str, str]) -> None:
    """Copy files out of an upstream module, which Go keeps unpacked and read-only."""
    said: list[str] = []
    command = (str(go), "list", "-m", "-f", "{{.Dir}}", copy.module)
    await follow(command, timeout=_LIST_SECONDS, on_line=said.append, folder=module, environment=environment)
    unpacked = Path(said[-1])
    files = [path for path in sorted((unpacked / copy.folder).rglob(copy.pattern)) if path.is_file()]
    if not files:
        raise TestbedError(f"{copy.module} has no {copy.folder}/{copy.pattern}")
    for path in files:
        target = share / copy.into / path.relative_to(unpacked / copy.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
