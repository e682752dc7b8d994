"""The Dockerfile, read: there is no Docker where the tests run, so what can be said without it is said here."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, as (word, rest)."""
    found: list[list[tuple[str, str]]] = []
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        assert word in {"FROM", "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER", "ENTRYPOINT", "CMD"}, line
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


def one(stage: list[tuple[str, str]], word: str) -> str:
    (rest,) = [rest for name, rest in stage if name == word]
    return rest


def test_two_stages_with_one_pinned_base() -> None:
    bases = [one(stage, "FROM").split()[0] for stage in stages()]
    assert len(bases) == 2 and len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", bases[0]), "a full version, never `latest`"


def test_the_image_runs_one_program_as_nobody_in_particular() -> None:
    final = stages()[-1]
    assert int(one(final, "USER").partition(":")[0]) >= 10000
    assert json.loads(one(final, "ENTRYPOINT")) == ["continuo"]
    assert json.loads(one(final, "CMD")) == ["operator", "--leader-election"]
    assert not [rest for word, rest in final if word == "RUN"], "nothing is built where it runs"


def test_no_shell_runs_and_what_is_installed_is_pinned() -> None:
    runs = [json.loads(rest) for stage in stages() for word, rest in stage if word == "RUN"]
    assert all(isinstance(run, list) and not {"sh", "bash", "/bin/sh"} & set(run) for run in runs)
    (install,) = [run for run in runs if "install" in run]
    assert install[install.index("--constraint") + 1] == "constraints.txt"
    wheel = f"/wheels/continuo-{version('continuo')}-py3-none-any.whl[server,broker,edge,hub,placement,kafka,tracing]"
    assert install[-1] == wheel, "the wheel itself: a name could be answered by anybody's package"


def test_only_what_is_needed_goes_in() -> None:
    copied = [rest.split()[:-1] for word, rest in stages()[0] if word == "COPY"]
    sources = {source for sources in copied for source in sources}
    assert sources == {"pyproject.toml", "README.md", "constraints.txt", "src", "testbed"}
    assert all((ROOT / source).exists() for source in sources)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored[0] == "*" and {entry[1:] for entry in ignored if entry.startswith("!")} == sources
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").lower()
    assert not re.search(r"passw|token|secret|api_?key", text)
