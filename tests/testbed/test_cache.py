from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from continuo.testbed.cache import MANIFEST, Cache, Manifest, checksum, read_manifest
from continuo.testbed.parts import GoBuild, OnPath, Part

PART = Part("thing", "1.0", "tests", ("thing", "alias"), (OnPath(),))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    modules = tmp_path / "modules"
    (modules / "thing").mkdir(parents=True)
    (modules / "thing" / "go.mod").write_text("module thing\n")
    return Cache(tmp_path / "cache", modules)


def make(cache: Cache, part: Part = PART, text: str = "#!/bin/sh\n") -> Manifest:
    with cache.stage(part) as stage:
        (stage / "bin" / "thing").write_text(text)
        (stage / "bin" / "alias").symlink_to("thing")
        return cache.finish(part, stage, version="1.0", source="tests", seconds=1.23)


def program(cache: Cache) -> Path:
    return cache.bin(PART) / "thing"


def test_a_finished_part_is_found_again_with_what_its_manifest_says(cache: Cache) -> None:
    assert cache.find(PART) is None
    made = make(cache)
    assert cache.find(PART) == made
    assert made.files["bin/thing"].sha256 == checksum(program(cache))
    assert made.links == {"bin/alias": "thing"}
    assert (made.version, made.source, made.seconds) == ("1.0", "tests", 1.2)


def test_a_run_that_is_killed_leaves_nothing_that_looks_finished(cache: Cache) -> None:
    left = cache.folder(PART).parent / ".unfinished-1"
    (left / "bin").mkdir(parents=True)
    (left / "bin" / "thing").write_text("half")
    assert cache.find(PART) is None
    make(cache)
    assert [path.name for path in cache.folder(PART).parent.iterdir()] == [cache.folder(PART).name]


def test_former_versions_are_outdated_and_the_present_one_is_not(cache: Cache) -> None:
    make(cache)
    former = cache.folder(PART)
    newer = replace(PART, version="2.0")
    make(cache, newer)
    (former.parent / ".unfinished-1").mkdir()
    assert cache.outdated([newer]) == [former]
    assert cache.outdated([PART, newer]) == []


def test_what_fails_while_being_made_leaves_nothing(cache: Cache) -> None:
    with pytest.raises(RuntimeError), cache.stage(PART):
        raise RuntimeError
    assert list(cache.folder(PART).parent.iterdir()) == []


def _truncate(cache: Cache) -> None:
    program(cache).write_text("")


def _remove(cache: Cache) -> None:
    program(cache).unlink()


def _break_link(cache: Cache) -> None:
    alias = cache.bin(PART) / "alias"
    alias.unlink()
    alias.symlink_to("/nowhere/thing")


def _spoil_manifest(cache: Cache) -> None:
    (cache.folder(PART) / MANIFEST).write_text('{"part": "thing"')


def _older_manifest(cache: Cache) -> None:
    (cache.folder(PART) / MANIFEST).write_text('{"part": "thing", "files": {}, "colour": "blue"}')


@pytest.mark.parametrize("damage", [_truncate, _remove, _break_link, _spoil_manifest, _older_manifest])
def test_a_damaged_part_is_not_found_and_is_made_anew(cache: Cache, damage) -> None:  # type: ignore[no-untyped-def]
    make(cache)
    damage(cache)
    assert cache.find(PART) is None
    assert make(cache) == cache.find(PART)


def test_checksums_tell_a_change_that_keeps_size_and_time(cache: Cache) -> None:
    make(cache)
    seen = program(cache).stat()
    program(cache).write_text("#!/bin/zz\n")
    os.utime(program(cache), ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert cache.find(PART) is not None
    assert cache.damaged(PART) == ["bin/thing"]
    cache.drop(PART)
    assert cache.find(PART) is None and cache.damaged(PART) == []


def test_another_version_or_another_module_is_another_folder(cache: Cache) -> None:
    built = replace(PART, sources=(GoBuild("thing", {"thing": "."}),))
    folders = {cache.folder(PART), cache.folder(built), cache.folder(replace(built, version="1.1"))}
    (cache.modules / "thing" / "go.mod").write_text("module thing\n\ngo 1.25\n")
    folders.add(cache.folder(built))
    assert len(folders) == 4
    (cache.modules / "thing" / "README.md").write_text("no source")
    assert cache.folder(built) in folders


def test_the_manifest_is_plain_json(cache: Cache) -> None:
    make(cache)
    data = json.loads((cache.folder(PART) / MANIFEST).read_text())
    assert data["part"] == "thing" and list(data["files"]) == ["bin/thing"]
    assert read_manifest(cache.root) is None


async def two_runs(cache: Cache) -> list[str]:
    told: list[str] = []
    first_has_it, second_waits = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with cache.lock(PART, lambda: told.append("first waits")):
            first_has_it.set()
            await second_waits.wait()
            told.append("first ends")

    def waits() -> None:
        told.append("second waits")
        second_waits.set()

    async def second() -> None:
        await first_has_it.wait()
        async with cache.lock(PART, waits):
            told.append("second begins")

    await asyncio.wait_for(asyncio.gather(first(), second()), 20)
    return told


def test_two_runs_wait_for_one_another(cache: Cache) -> None:
    assert asyncio.run(two_runs(cache)) == ["second waits", "first ends", "second begins"]
