"""A cluster's pods get their share of a busy machine, in either version of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from continuo.testbed.cgroups import WEIGHT, make_cgroups
from continuo.testbed.errors import TestbedError


@pytest.mark.parametrize(("kind", "file", "usual"), [("cgroup", "cpu.shares", 1024), ("cgroup2", "cpu.weight", 100)])
def test_pods_weigh_as_much_as_the_programs_beside_them(tmp_path: Path, kind: str, file: str, usual: int) -> None:
    for group in ("", "bed", "bed/a"):
        (tmp_path / "cpu" / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / "cpu" / group / file).write_text(str(usual))
        (tmp_path / "cpu" / group / "cgroup.controllers").write_text("cpu")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"none {tmp_path / 'cpu'} {kind} rw 0 0\n")
    assert make_cgroups("bed", "a", mounts) == "/bed/a"
    said = [(tmp_path / "cpu" / group / file).read_text() for group in ("", "bed", "bed/a")]
    assert said == [str(usual), str(WEIGHT * usual), str(WEIGHT * usual)]


def test_no_control_groups(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("none /proc proc rw 0 0\n")
    with pytest.raises(TestbedError, match="no control groups"):
        make_cgroups("bed", "a", mounts)
