"""The bodies of the hub's routes."""

from __future__ import annotations

from typing import Any

from continuo.iot.hub.actions import DEVICE_ACTIONS, PLUGIN_ACTIONS
from continuo.iot.hub.exposing import SERVICE_ACTIONS
from continuo.iot.hub.placing import wrong
from continuo.server.hub.identity import ROLES
from continuo.server.hub.shapes import Field, Shape

_NAME = Field("name", "string", required=True, most=36, least=1)
_EXTRA = Field("extra", "object")
_FIXED = frozenset({"uuid", "created_at", "updated_at", "links", "owner", "project"})


def _places(value: list[Any]) -> str | None:
    """The first element is the board's place."""
    if not value or not isinstance(value[0], dict):
        return "must have a place as its first element: an object with longitude, latitude and altitude"
    for name in ("longitude", "latitude", "altitude"):
        part = value[0].get(name)
        if not isinstance(part, str) or len(part) > 18:
            return f"must have {name} as a text of at most 18 characters"
    return None


def _texts(value: list[Any]) -> str | None:
    return None if all(isinstance(each, str) and "\0" not in each for each in value) else "must be a list of texts"


def _objects(value: list[Any]) -> str | None:
    return None if all(isinstance(each, dict) for each in value) else "must be a list of objects"


def _text_values(value: dict[str, Any]) -> str | None:
    return None if all(isinstance(each, str) for each in value.values()) else "must have texts as its values"


BOARD = Shape((
    Field("name", "string", required=True, most=255, least=1),
    Field("code", "string", required=True, most=36, least=1),
    Field("location", "array", required=True, check=_places),
    Field("type", "string", most=255), Field("mobile", "boolean"), Field("fleet", "string", most=255), _EXTRA,
))  # fmt: skip
BOARD_PATCH = Shape(
    (
        Field("name", "string", required=True, most=255, least=1), Field("type", "string", most=255, free=True),
        Field("mobile", "boolean"), Field("fleet", "string", most=255, free=True), _EXTRA,
    ),
    _FIXED | {
        "code", "status", "location", "session", "agent", "wstun_ip", "lr_version", "connectivity", "config",
        "registration", "capabilities", "agent_version",
    },
)  # fmt: skip
PLUGIN = Shape((
    _NAME, Field("code", "string", required=True, most=2 << 20, least=1), Field("callable", "boolean"),
    Field("public", "boolean"), Field("parameters", "object"), _EXTRA,
), _FIXED)  # fmt: skip
SERVICE = Shape((
    _NAME, Field("port", "integer", required=True, least=1, most=65535),
    Field("protocol", "string", required=True, choices=("TCP", "UDP", "tcp", "udp")), _EXTRA,
), _FIXED)  # fmt: skip
FLEET = Shape((_NAME, Field("description", "string", most=300, free=True), _EXTRA), _FIXED)
NETWORK = Shape((
    _NAME, Field("cidr", "string", required=True, most=18), Field("gateway", "string", most=15, free=True),
    Field("mtu", "integer", least=576, most=9000), Field("encryption", "string", choices=("tls", "wireguard")),
    Field("security_groups", "array", check=_objects), _EXTRA,
), _FIXED)  # fmt: skip
PORT = Shape((
    Field("network", "string", required=True, most=36, least=1), Field("subnet", "string", most=36, free=True),
    Field("name", "string", most=64, least=1), Field("mac", "string", most=17), Field("ip", "string", most=15),
    Field("security_groups", "array", check=_texts), Field("allowed_addresses", "array", check=_texts), _EXTRA,
))  # fmt: skip
PORT_PATCH = Shape(
    (
        Field("name", "string", most=64, least=1), Field("security_groups", "array", check=_texts),
        Field("allowed_addresses", "array", check=_texts), _EXTRA,
    ),
    _FIXED | {"network", "subnet", "mac", "ip", "VIF_name", "MAC_add", "board_uuid", "up", "connected", "message"},
)  # fmt: skip
WORKLOAD = Shape((
    Field("name", "string", required=True, most=63, least=1),
    Field("runtime", "string", choices=("process", "container")), Field("command", "array", check=_texts),
    Field("image", "string", most=255, free=True), Field("env", "object", check=_text_values),
    Field("secret_env", "object", check=_text_values), Field("files", "object", check=_text_values),
    Field("resources", "object"), Field("replicas", "integer", least=0, most=100_000),
    Field("restart", "string", choices=("Always", "OnFailure", "Never")), Field("job", "boolean"),
    Field("retry", "boolean"), Field("placement", "object", check=wrong), _EXTRA,
), _FIXED | {"status", "board", "fleet", "generation"})  # fmt: skip
INJECT = Shape((Field("plugin", "string", required=True, most=255, least=1), Field("onboot", "boolean")))
ONBOOT = Shape((Field("onboot", "boolean"),))


def _action(choices: tuple[str, ...]) -> Shape:
    return Shape((Field("action", "string", required=True, choices=choices), Field("parameters", "object")))


DEVICE_ACTION, PLUGIN_ACTION, SERVICE_ACTION = (
    _action(choices) for choices in (DEVICE_ACTIONS, PLUGIN_ACTIONS, SERVICE_ACTIONS)
)
CODE = Shape((Field("code", "string", most=36, least=1),))
TOKEN = Shape((
    Field("project", "string", required=True, most=64, least=1), Field("role", "string", required=True, choices=ROLES),
    Field("user", "string", most=64, least=1),
))  # fmt: skip
KEY = Shape((Field("public", "string", required=True, least=64, most=64),))
ENABLE = Shape(tuple(Field(name, "string", required=True, most=100, least=1) for name in ("dns", "zone", "email")))
WEBSERVICE = Shape((
    Field("name", "string", required=True, most=45, least=1),
    Field("port", "integer", required=True, least=1, most=65535), Field("secure", "boolean"),
))  # fmt: skip
