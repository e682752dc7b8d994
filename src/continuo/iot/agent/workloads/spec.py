"""A workload as the desired state says it, read strictly: what makes no sense is refused with a sentence, not half run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from continuo.iot.agent.confinement import quantity
from continuo.iot.signing import Signature, verify_workload

Json = Mapping[str, Any]

RUNTIMES = ("process", "container")
RESTARTS = ("Always", "OnFailure", "Never")
MOST_FILES = 4 * 1024 * 1024
"""Bytes in all files of one workload."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,500}")


class BadSpec(ValueError):
    """Why a workload cannot be run, in a sentence."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run."""

    name: str
    generation: int
    runtime: str
    command: tuple[str, ...]
    image: str
    env: Mapping[str, str]
    files: Mapping[str, str]
    cpu: float | None
    """Cores."""
    memory: int | None
    """Bytes."""
    restart: str
    job: bool
    retry: bool
    """Whether a job's run whose end nobody saw is repeated."""
    network: bool
    """Whether it has the board's network; `extra.grants.network`."""

    @property
    def once(self) -> bool:
        """A run whose end nobody saw must not be repeated."""
        return (self.job and not self.retry) or (not self.job and self.restart == "Never")


def read(said: Json) -> Spec:
    """Read a workload; raises BadSpec."""
    job = said.get("job") or False
    if not isinstance(job, bool | Mapping):
        raise BadSpec("job is neither true nor false, nor an object with retry")
    restart = said.get("restart") or ("OnFailure" if job is not False else "Always")
    runtime = said.get("runtime") or "process"
    _one_of("runtime", runtime, RUNTIMES)
    _one_of("restart", restart, RESTARTS)
    if job is not False and restart == "Always":
        raise BadSpec("restart is Always, but a job ends: it is OnFailure or Never")
    return Spec(
        name=str(said.get("name", "")),
        generation=_generation(said.get("generation")),
        runtime=runtime,
        command=_command(said.get("command") or (), runtime),
        image=_image(said.get("image") or "", runtime),
        env=_env(said.get("env") or {}),
        files=_files(said.get("files") or {}),
        cpu=_amount(said, "cpu"),
        memory=None if (memory := _amount(said, "memory")) is None else int(memory),
        restart=restart,
        job=job is not False,
        retry=(job if isinstance(job, Mapping) else said).get("retry") is True,
        network=_network(_extra(said)),
    )


def check_signature(said: Json, keys: Mapping[str, str], unsigned: bool) -> None:
    """Raise BadSignature unless one of these keys signed what runs; with `unsigned` it need not be signed at all."""
    signature = Signature.read(_extra(said).get("signature"))
    if signature is not None or not unsigned:
        verify_workload(keys, signature, said)


def _one_of(what: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadSpec(f"{what} is {value!r}; it is one of {', '.join(known)}")


def _generation(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise BadSpec(f"generation is {value!r}; it is a positive number")


def _command(value: object, runtime: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) and "\0" not in each for each in value):
        raise BadSpec("command is no list of texts")
    if runtime == "process" and not (value and value[0]):
        raise BadSpec("command is empty; a process needs a program")
    return tuple(value)


def _image(value: object, runtime: str) -> str:
    if runtime == "process":
        return ""
    if not isinstance(value, str) or not _IMAGE.fullmatch(value):
        raise BadSpec(f"image is {value!r}; a container needs the name of one, such as docker.io/library/busybox:1.37")
    return value


def _env(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise BadSpec("env is no object of names and texts")
    for name, text in value.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise BadSpec(f"env has {name!r}, which is no name of a variable")
        if not isinstance(text, str) or "\0" in text:
            raise BadSpec(f"env has {name}, whose value is no text")
    return dict(value)


def _files(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise BadSpec("files is no object of paths and texts")
    for path in value:
        parts = PurePosixPath(path).parts if isinstance(path, str) else ()
        if not parts or path.startswith("/") or ".." in parts or "\0" in path or len(path) > 253:
            raise BadSpec(f"files has {path!r}; paths lie within the working folder, such as etc/app.conf")
        if parts[0] in ("results", "tmp"):
            raise BadSpec(f"files has {path!r}; results and tmp in the working folder are the program's own")
    names = {PurePosixPath(path) for path in value}
    if len(names) < len(value) or any(parent in names for path in names for parent in path.parents):
        raise BadSpec("files has one path twice, or as a file and as a folder")
    if sum(len(text.encode(errors="surrogatepass")) for text in value.values()) > MOST_FILES:
        raise BadSpec(f"files takes more than {MOST_FILES} bytes")
    return dict(value)


def _amount(said: Json, what: str) -> float | None:
    resources = said.get("resources") or {}
    if not isinstance(resources, Mapping):
        raise BadSpec("resources is no object with cpu and memory")
    if (value := resources.get(what)) is None:
        return None
    try:
        return quantity(value, what)
    except ValueError as error:
        raise BadSpec(str(error)) from None


def _extra(said: Json) -> Json:
    extra = said.get("extra")
    return extra if isinstance(extra, Mapping) else {}


def _network(extra: Json) -> bool:
    grants = extra.get("grants")
    return isinstance(grants, Mapping) and grants.get("network") is True
