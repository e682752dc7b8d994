"""Java programs out of jars that one of our own Maven projects pins, each checked against its checksum beside it."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
from collections.abc import Callable
from pathlib import Path

from continuo.testbed.errors import TestbedError
from continuo.testbed.parts import Maven
from continuo.testbed.running import follow

SUMS = "jars.sha256"
_SECONDS = 900.0


async def gather_jars(
    source: Maven, module: Path, stage: Path, home: Path, say: Callable[[str, int, int], None]
) -> None:
    """Fetch all jars into `share/jars`, with a script for each program in `bin/`; raises TestbedError."""
    wanted = _read_sums(module / SUMS)
    jars = stage / "share" / "jars"
    say("fetching jars", 0, len(wanted))
    command = ("mvn", "-B", "-ntp", "-f", str(module / "pom.xml"), "dependency:copy-dependencies")
    options = ("-DincludeScope=runtime", f"-DoutputDirectory={jars}")

    def on_line(line: str) -> None:
        if line.startswith("[INFO] Copying "):
            say(line.split()[2], len(list(jars.glob("*.jar"))), len(wanted))

    await follow((*command, *options), timeout=_SECONDS, on_line=on_line)
    await asyncio.to_thread(_check, jars, wanted)
    for program, main in source.programs.items():
        _write_script(stage / "bin" / program, home / "share" / "jars", main, source.options)


def _read_sums(path: Path) -> dict[str, str]:
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {name: checksum for checksum, name in lines}


def _check(jars: Path, wanted: dict[str, str]) -> None:
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in jars.glob("*.jar")}
    if found != wanted:
        wrong = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        raise TestbedError(f"these jars are not those that are pinned: {', '.join(wrong)}")


def _write_script(target: Path, jars: Path, main: str, options: str) -> None:
    """`JAVA_OPTIONS` replaces the options that are set here."""
    classpath = shlex.quote(f"{jars}/*")
    target.write_text(f'#!/bin/sh\nexec java ${{JAVA_OPTIONS:-{options}}} -cp {classpath} {main} "$@"\n', "utf-8")
    target.chmod(0o755)
