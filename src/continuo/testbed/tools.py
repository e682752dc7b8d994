"""Where the programs of a testbed are on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from continuo.testbed.cache import Cache
from continuo.testbed.errors import Missing
from continuo.testbed.table import PARTS

OWN = "CONTINUO_TESTBED_PATH"
"""Folders with programs of the user's own; they come before the cache."""
_SYSTEM = ("/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/lib/cni", "/opt/cni/bin")
"""Where root's programs and network plugins are, which is not on everybody's PATH."""

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
NODE = (
    "kubelet", "kube-proxy", "coredns", "containerd", "containerd-shim-runc-v2", "ctr", "runc", "ptp", "host-local",
    "loopback", "nft", "ip", "nsenter", "unshare", "continuo-images",
)  # fmt: skip
"""What nodes with real containers need besides."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Programs by name, looked up in folders, first match first."""

    folders: tuple[Path, ...]

    def find(self, program: str) -> Path | None:
        """A program's path, or None."""
        found = shutil.which(program, path=self.path)
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

    @property
    def path(self) -> str:
        """The same as a PATH, for programs that look for others."""
        return os.pathsep.join(dict.fromkeys(map(str, self.folders)))

    def check(self, programs: Iterable[str]) -> None:
        """Raise Missing when one of them is nowhere."""
        if lacking := self.missing(programs):
            verb = "is" if len(lacking) == 1 else "are"
            raise Missing(f"{', '.join(lacking)} {verb} missing on this machine; get them with: continuo testbed build")


def find_tools(
    kubernetes: str = "1.36", *, cache: Cache | None = None, environ: Mapping[str, str] = os.environ
) -> Tools:
    """The tools of this machine: the user's own, then the cache's, with Kubernetes of that minor version, then PATH."""
    own = [Path(part).expanduser() for part in environ.get(OWN, "").split(os.pathsep) if part]
    path = [Path(part) for part in environ.get("PATH", "").split(os.pathsep) if part]
    return Tools((*own, *_cached(cache or Cache(), kubernetes), *path, *map(Path, _SYSTEM)))


def _cached(cache: Cache, kubernetes: str) -> list[Path]:
    wanted = [
        part for part in PARTS if not part.name.startswith("kubernetes-") or part.name == f"kubernetes-{kubernetes}"
    ]
    return [cache.bin(part) for part in wanted if cache.find(part) is not None]
