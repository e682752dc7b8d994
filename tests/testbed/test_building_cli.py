from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import pytest
from click.testing import CliRunner, Result

from continuo.cli.testbed import testbed as commands
from continuo.testbed.parts import GoBuild, OnPath, Part

PARTS = (
    Part("needed", "", "every real cluster", ("here",), (OnPath(),), essential=True),
    Part("extra", "2", "tests", ("not-here",), (OnPath(), GoBuild("absent", {"not-here": "."}))),
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one program, and a testbed of two parts."""
    for module in ("continuo.testbed.table", "continuo.cli.testbed"):
        monkeypatch.setattr(f"{module}.PARTS", PARTS)
    monkeypatch.setattr("continuo.testbed.table.BY_NAME", MappingProxyType({part.name: part for part in PARTS}))
    monkeypatch.setenv("CONTINUO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    write(tmp_path / "here")
    return tmp_path


def write(program: Path) -> None:
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments)


def test_former_versions_are_removed_when_asked(path: Path) -> None:
    former = path / "cache" / "testbed" / "needed" / "1-abc"
    former.mkdir(parents=True)
    (former / "manifest.json").write_text("{}")
    assert run("prune").output == "removed needed 1-abc\n"
    assert not former.exists()
    assert "nothing to remove" in run("prune").output


def test_all_parts_missing_ones_by_name_and_no_failure_while_clusters_can_run(path: Path) -> None:
    result = run("build")
    assert result.exit_code == 0
    assert "needed           as installed, this machine" in result.output
    assert "extra is missing (needed for tests):" in result.output
    assert "Go build: the Go module testbed/absent is not here" in result.output
    assert "this machine: not-here is not on PATH" in result.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("needed",), 0),
        (("extra",), 1),
        (("--without", "extra"), 0),
        (("extra", "--without", "extra"), 0),
        (("nothing",), 2),
    ],
)
def test_it_fails_when_what_was_asked_for_is_missing(path: Path, arguments: tuple[str, ...], code: int) -> None:
    assert run("build", *arguments).exit_code == code


def test_it_fails_when_what_every_cluster_needs_is_missing(path: Path) -> None:
    (path / "here").unlink()
    assert run("build").exit_code == 1


def test_the_second_run_says_what_is_there(path: Path) -> None:
    run("build", "needed")
    assert run("build", "needed").output == "needed           as installed, this machine\n"


def test_verify_makes_damaged_parts_anew(path: Path) -> None:
    run("build", "needed")
    (manifest,) = (path / "cache" / "testbed" / "needed").glob("*/manifest.json")
    (manifest.parent / "bin" / "here").unlink()
    write(manifest.parent / "bin" / "here")
    data = json.loads(manifest.read_text())
    seen = (manifest.parent / "bin" / "here").stat()
    record = {"sha256": "0" * 64, "size": seen.st_size, "mtime_ns": seen.st_mtime_ns}
    manifest.write_text(json.dumps({**data, "files": {"bin/here": record}, "links": {}}))
    result = run("build", "--verify", "needed")
    assert "needed: bin/here changed since it was made; making it anew" in result.output
    assert (manifest.parent / "bin" / "here").is_symlink()


def test_list_shows_version_source_state_and_purpose(path: Path) -> None:
    run("build")
    table = [line.split("   ")[0] for line in run("list").output.splitlines()]
    assert table[0] == "PART"
    needed, extra = json.loads(run("list", "-o", "json").output)
    assert (needed["state"], needed["source"], needed["version"]) == ("ready", "this machine", "as installed")
    assert Path(needed["programs"]).is_dir()
    assert (extra["state"], extra["neededFor"], extra["programs"]) == ("missing", "tests", "")
