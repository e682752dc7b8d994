"""The Devices and DeviceModels of a mapper's file, as KubeEdge wants them, with their sensors in the annotation. Pure."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode

from continuo.edge.mapper.model import Device, MapperFile, Override
from continuo.edge.mapper.profiles import CHARACTERISTICS, PROFILES, Part
from continuo.edge.sensors.annotation import KEY
from continuo.resources import kinds
from continuo.resources.meta import Object

PROTOCOL = "bluetooth"
_UIDS = uuid.UUID("5a3d5c0e-7d9b-4f0c-9a53-0b7f5b1b6f11")


def device_of(device: Device, mapper: MapperFile) -> Object:
    """One Device; the same file makes the same one each time."""
    parts = _parts(device)
    properties = [
        {
            "name": category.lower(), "reportToCloud": False,
            "visitors": {"protocolName": PROTOCOL, "configData": {"characteristicUUID": CHARACTERISTICS[category]}},
        }
        for category in dict.fromkeys(part.category for part in parts)
    ]  # fmt: skip
    config = {"macAddress": device.mac_address} if device.mac_address else {}
    said = json.dumps([_described(device, mapper, part) for part in parts], ensure_ascii=False, separators=(",", ":"))
    return kinds.DEVICE.new(
        device.name, mapper.namespace,
        metadata={
            "labels": {"model": device.board, "manufacturer": PROFILES[device.board].manufacturer},
            "annotations": {KEY: b64encode(said.encode()).decode()},
        },
        spec={
            "deviceModelRef": {"name": model_name(device.board)}, "nodeName": device.node or mapper.node,
            "protocol": {"protocolName": PROTOCOL, "configData": config}, "properties": properties,
        },
    )  # fmt: skip


def models_of(mapper: MapperFile) -> list[Object]:
    """A DeviceModel for each board that is there."""
    found = []
    for board in dict.fromkeys(device.board for device in mapper.devices):
        categories = dict.fromkeys(part.category for part in PROFILES[board].parts)
        found.append(
            kinds.DEVICE_MODEL.new(
                model_name(board), mapper.namespace,
                spec={
                    "protocol": PROTOCOL,
                    "properties": [
                        {
                            "name": category.lower(), "type": "STRING", "accessMode": "ReadOnly",
                            "description": f"{category} sensors of a {board}",
                        }
                        for category in categories
                    ],
                },
            )
        )  # fmt: skip
    return found


def devices_of(mapper: MapperFile) -> list[Object]:
    """All Devices of a file."""
    return [device_of(device, mapper) for device in mapper.devices]


def model_name(board: str) -> str:
    """The DeviceModel of a board."""
    return board.lower()


def _parts(device: Device) -> list[Part]:
    parts = PROFILES[device.board].parts
    return [part for part in parts if device.sensors is None or part.model in device.sensors]


def _described(device: Device, mapper: MapperFile, part: Part) -> Object:
    own = device.overrides.get(part.model, Override())
    uid = own.uid or str(uuid.uuid5(_UIDS, f"{mapper.namespace}/{device.name}/{device.mac_address}/{part.model}"))
    latency = part.latency if own.latency is None else f"{own.latency:g}"
    return {
        "uid": uid, "node": "", "name": f"{device.name}-{part.model}", "model": part.model,
        "manufacturer": PROFILES[device.board].manufacturer, "market": "Industrial",
        "type": {"sensorCategory": part.category, "sensorType": list(part.types)},
        "samplingRate": f"{own.rate or part.rate:g}", "accuracy": list(part.accuracy),
        "consumption": part.consumption, "latency": latency,
        "properties": {"unit": {
            "measurement": list(part.units), "consumption": "mW", "samplingRate": "Hz", "latency": "ms",
        }},
        "access": {"type": "MQTT", "source": "eventbus-fluidos", "resource": {
            "topic": f"sensor/{device.name}/{part.model}", "node": "",
        }},
    }  # fmt: skip
