"""Several boards on one machine: each agent ends what an earlier one of its own folder left, and nobody else's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from continuo.iot.agent.confinement import Cell, Confinement
from continuo.iot.agent.confinement.cell import Run
from continuo.iot.agent.running import groups_of

pytestmark = pytest.mark.anyio


def _cell(home: Path) -> Cell:
    home.mkdir(exist_ok=True)
    return Cell(home, name=groups_of(home))


async def _sleeper(cell: Cell) -> Run:
    program = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]
    return await cell.start(program, Confinement(), required=())


async def test_an_agents_beginning_ends_what_its_own_folder_left_and_nothing_else(tmp_path: Path) -> None:
    one, other = _cell(tmp_path / "one"), _cell(tmp_path / "other")
    mine, theirs = await _sleeper(one), await _sleeper(other)
    try:
        if not mine.group.folders:
            pytest.skip("this machine lets nobody make control groups here")
        assert not set(mine.group.folders.values()) & set(theirs.group.folders.values())
        assert _cell(tmp_path / "fresh").sweep() == 0
        (tmp_path / "same").symlink_to(tmp_path / "one")
        assert Cell(tmp_path / "same", name=groups_of(tmp_path / "same")).sweep() > 0  # another way to say the folder
        assert (await mine.wait()).signal == 9
        assert theirs.alive
    finally:
        for run in (mine, theirs):
            run.kill()
            await run.wait()


async def test_a_cell_that_is_closed_leaves_neither_processes_nor_groups(tmp_path: Path) -> None:
    cell = _cell(tmp_path / "home")
    runs = [await _sleeper(cell) for _ in range(3)]
    folders = {folder for run in runs for folder in run.group.folders.values()}
    if not folders:
        pytest.skip("this machine lets nobody make control groups here")
    await cell.close()
    assert not any(run.alive for run in runs)
    assert not [folder for folder in folders if folder.exists()]
    if not cell._groups.unified:
        assert not [folder.parent for folder in folders if folder.parent.exists()]
