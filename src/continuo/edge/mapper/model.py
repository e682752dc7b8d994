"""The mapper's file: which devices it simulates, and how it publishes. And what follows from it, or from Device objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

from continuo.edge.discovery.boards import Board, board_of
from continuo.edge.discovery.devices import id_of
from continuo.edge.discovery.flavors import topic_of
from continuo.edge.mapper.profiles import PROFILES
from continuo.edge.mapper.waves import Wave
from continuo.edge.sensors.annotation import decode
from continuo.edge.sensors.model import Sensor
from continuo.resources.meta import Object
from continuo.trust.ids import SpiffeId, TrustDomain

Name = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
Mac = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$")]
FASTEST = 1000.0
"""Readings a second of one sensor."""


class BadMapper(ValueError):
    """A file that cannot be used; `str()` is one sentence."""


class Dropouts(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How often a device falls silent."""

    probability: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """That a silence begins, at each reading."""
    length: Annotated[float, Meta(ge=0)] = 5.0
    """Seconds of a silence."""


class Override(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is otherwise than the board has it, for one model of its sensors."""

    rate: Annotated[float, Meta(gt=0, le=FASTEST)] | None = None
    latency: Annotated[float, Meta(ge=0)] | None = None
    """Milliseconds, as it is described."""
    uid: str = ""
    waves: dict[str, Wave] = {}
    """By quantity."""


class Device(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A board."""

    name: Name
    board: str = "STWINKT1B"
    mac_address: Mac = ""
    node: Name | None = None
    dropouts: Dropouts = Dropouts()
    sensors: list[str] | None = None
    """Models; none: all that the board has."""
    overrides: dict[str, Override] = {}
    """By model."""
    device_key: str = ""
    """A file with the key (PEM) that stands for the board's own, relative to this one: level L1."""


class MapperFile(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """All of it."""

    namespace: Name = "default"
    node: Name = "edge"
    seed: int = 1
    format: Literal["json", "influx"] = "json"
    devices: Annotated[list[Device], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Source:
    """One sensor that is read and published."""

    device: str
    namespace: str
    topic: str
    """Without the namespace."""
    sensor: Sensor
    rate: float
    waves: dict[str, Wave]
    dropouts: Dropouts

    @property
    def channel(self) -> str:
        """The MQTT topic."""
        return f"{self.namespace}/{self.topic}"


def read(file: Path) -> tuple[MapperFile | None, list[Object]]:
    """A mapper's file, or else the Devices among the objects in it; BadMapper says what is wrong."""
    try:
        documents = [each for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each is not None]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise BadMapper(f"{file} cannot be read as YAML: {' '.join(str(error).split())[:200]}") from None
    if not documents or not all(isinstance(each, dict) for each in documents):
        raise BadMapper(f"{file} says nothing of devices: it holds a mapper's file, or objects of kind Device")
    if any("kind" in each for each in documents):
        devices = [
            each for each in documents if each.get("kind") == "Device" and isinstance(each.get("metadata"), dict)
        ]
        if not devices:
            raise BadMapper(f"{file} has objects, but none of kind Device")
        return None, devices
    if len(documents) > 1:
        raise BadMapper(f"{file} has {len(documents)} documents; a mapper's file is one")
    return parse(documents[0], str(file)), []


def parse(data: Any, where: str) -> MapperFile:
    """A mapper's file from plain data; BadMapper says what is wrong."""
    try:
        mapper = msgspec.convert(data, MapperFile)
    except msgspec.ValidationError as error:
        raise BadMapper(f"{where}: {error}") from None
    names = [device.name for device in mapper.devices]
    for device in mapper.devices:
        if names.count(device.name) > 1:
            raise BadMapper(f"{where}: two devices are called {device.name}")
        profile = PROFILES.get(device.board)
        if profile is None:
            raise BadMapper(
                f"{where}: {device.name}: board {device.board!r} is not known; there are {', '.join(PROFILES)}"
            )
        models = {part.model for part in profile.parts}
        for model in (*(device.sensors or ()), *device.overrides):
            if model not in models:
                raise BadMapper(
                    f"{where}: {device.name}: a {device.board} has no {model!r}; it has {', '.join(sorted(models))}"
                )
    return mapper


def device_ids(devices: list[Object], domain: TrustDomain) -> dict[str, SpiffeId | None]:
    """The SPIFFE IDs of Device objects by name, as the Edge Resource Manager computes them; None: it has none."""
    return {obj["metadata"]["name"]: id_of(_board(obj), domain) for obj in devices}


def _board(obj: Object) -> Board:
    namespace = obj["metadata"].get("namespace") or "default"
    return board_of({**obj, "metadata": {**obj["metadata"], "namespace": namespace}})


def sources(devices: list[Object], mapper: MapperFile | None = None) -> list[Source]:
    """The sensors of Device objects, with their topics as the Edge Resource Manager computes them."""
    own = {device.name: device for device in mapper.devices} if mapper is not None else {}
    found = []
    for obj in devices:
        name, namespace = obj["metadata"].get("name"), obj["metadata"].get("namespace") or "default"
        if not isinstance(name, str) or not isinstance(namespace, str):
            raise BadMapper("a Device has no name, or a namespace that is no text")
        board = _board(obj)
        if board.annotation is None:
            raise BadMapper(f"Device {name} has no annotation `sensors`, which says what it measures")
        decoded = decode(board.annotation, device=name)
        if decoded.problems:
            raise BadMapper(f"Device {name}: {decoded.problems[0]}")
        said = own.get(name)
        for sensor in decoded.sensors:
            override = said.overrides.get(sensor.model) if said is not None else None
            rate = min(FASTEST, float(sensor.sampling_rate or 1))
            found.append(
                Source(
                    name, namespace, topic_of(board, sensor), sensor, rate, dict(override.waves) if override else {},
                    said.dropouts if said is not None else Dropouts(),
                )
            )  # fmt: skip
    return found
