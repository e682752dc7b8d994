"""Control groups of a bed: one for each cluster, in which its kubelet makes those of its pods."""

from __future__ import annotations

from pathlib import Path

from continuo.testbed.errors import TestbedError

WEIGHT = 20
"""Of a cluster's pods on a busy machine, where a group counts as one process however many it has: Liqo alone is ten."""
_WANTED = ("cpu", "cpuset", "memory", "pids", "io", "hugetlb")


def make_cgroups(bed: str, cluster: str, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Make a cluster's control groups, and return their name as the kubelet wants it: from the root."""
    unified, others = _hierarchies(mounts)
    for point in others:
        (point / bed / cluster).mkdir(parents=True, exist_ok=True)
        _weigh(point, bed, cluster)
    if unified is not None and not others:
        (unified / bed / cluster).mkdir(parents=True, exist_ok=True)
        for group in (unified, unified / bed):
            _hand_down(group)
        _weigh(unified, bed, cluster)
    return f"/{bed}/{cluster}"


def _weigh(point: Path, bed: str, cluster: str) -> None:
    """Let the pods have their share of the processor, where this hierarchy shares it out."""
    for group in (point / bed, point / bed / cluster):
        for name, usual in (("cpu.shares", 1024), ("cpu.weight", 100)):
            if group.joinpath(name).exists():
                group.joinpath(name).write_text(str(WEIGHT * usual), encoding="ascii")


def _hierarchies(mounts: Path) -> tuple[Path | None, list[Path]]:
    """Where version 2 is mounted, and where those of version 1 are. One that has both uses version 1."""
    unified, others = None, []
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, point, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            unified = Path(point)
        elif kind == "cgroup":
            others.append(Path(point))
    if unified is None and not others:
        raise TestbedError("no control groups are mounted at /sys/fs/cgroup; containers need them")
    return unified, others


def _hand_down(group: Path) -> None:
    """Let a group's children be limited, too, in what this one may limit."""
    known = group.joinpath("cgroup.controllers").read_text(encoding="ascii").split()
    wanted = " ".join(f"+{controller}" for controller in _WANTED if controller in known)
    try:
        group.joinpath("cgroup.subtree_control").write_text(wanted, encoding="ascii")
    except OSError as error:
        raise TestbedError(f"cannot hand the controllers of {group} down to containers: {error.strerror}") from error
