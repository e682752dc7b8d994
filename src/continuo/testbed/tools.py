"""Where the programs of a testbed are on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from continuo.testbed.errors import Missing

OWN = "CONTINUO_TESTBED_PATH"
"""Folders with programs of the user's own; they come before the cache."""
_SYSTEM = ("/usr/sbin", "/sbin", "/usr/local/sbin")
"""Where root's programs are, which is not on everybody's PATH."""

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True, slots=True)
class Tools:
    """Programs by name, looked up in folders, first match first."""

    folders: tuple[Path, ...]

    def find(self, program: str) -> Path | None:
        """A program's path, or None."""
        found = shutil.which(program, path=os.pathsep.join(map(str, self.folders)))
        return Path(found) if found else None

    def need(self, program: str) -> Path:
        """A program's path; raises Missing."""
        self.check((program,))
        found = self.find(program)
        assert found is not None
        return found

    def missing(self, programs: Iterable[str]) -> list[str]:
        """Those that are nowhere."""
        return [program for program in programs if self.find(program) is None]

    def check(self, programs: Iterable[str]) -> None:
        """Raise Missing when one of them is nowhere."""
        if lacking := self.missing(programs):
            verb = "is" if len(lacking) == 1 else "are"
            raise Missing(f"{', '.join(lacking)} {verb} missing on this machine; get them with: continuo testbed build")


def find_tools(cached: Iterable[Path] = (), environ: Mapping[str, str] = os.environ) -> Tools:
    """The tools of this machine: the user's own, then those in the cache's folders, then PATH."""
    own = [Path(part).expanduser() for part in environ.get(OWN, "").split(os.pathsep) if part]
    path = [Path(part) for part in environ.get("PATH", "").split(os.pathsep) if part]
    return Tools((*own, *cached, *path, *map(Path, _SYSTEM)))
