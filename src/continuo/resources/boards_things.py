"""Boards, and fleets of them."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.boards_types import (
    GROUP,
    MAX_EXTRA,
    VERSION,
    Coordinate,
    Count,
    Extra,
    Id,
    Name36,
    Name255,
    Ref,
    RefSelector,
    SecretKeyRef,
    Short,
    Text,
)
from continuo.resources.meta import Kind
from continuo.resources.orchestration_types import doc, many
from continuo.resources.selectors import MAX_LABELS, LabelSelector

BOARD = Kind(GROUP, VERSION, "Board", "boards")
FLEET = Kind(GROUP, VERSION, "Fleet", "fleets")


class Location(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a board is. Numbers are text, as in IoTronic."""

    longitude: Annotated[Coordinate, doc("Degrees east.")]
    latitude: Annotated[Coordinate, doc("Degrees north.")]
    altitude: Annotated[Coordinate, doc("Metres.")] = "0"


class BoardParameters(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A board as it is registered."""

    name: Annotated[Name255 | None, doc("Its name there; the object's name where absent.")] = None
    code_secret_ref: Annotated[
        SecretKeyRef | None,
        doc("Where its registration code is; where absent one is made and kept in the connection Secret."),
    ] = None
    type: Annotated[Short | None, doc("What it is, such as `gateway`.")] = None
    mobile: Annotated[bool | None, doc("Whether it moves.")] = None
    location: Annotated[Location | None, doc("Where it is at first; IoTronic does not change it later.")] = None
    fleet_id: Annotated[Id | None, doc("The fleet that it belongs to.")] = None
    fleet_ref: Annotated[Ref | None, doc("The Fleet whose id that is.")] = None
    fleet_selector: Annotated[RefSelector | None, doc("The Fleet whose id that is, by labels.")] = None
    extra: Annotated[Extra, many("Whatever else is to be kept with it.", MAX_EXTRA)] = {}
    recreate: Annotated[
        bool, doc("Register it anew where somebody removed it there; it needs a new registration code then.")
    ] = False


class BoardObservation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A board as the endpoint knows it."""

    uuid: Annotated[Short, Meta(description="Its id.")] = ""
    name: Annotated[Short, Meta(description="Its name.")] = ""
    status: Annotated[Short, Meta(description="`registered` (never seen), `offline` or `online`.")] = ""
    fleet: Annotated[Short, Meta(description="The fleet that it belongs to.")] = ""
    agent: Annotated[Short, Meta(description="The agent of the service that has its session.")] = ""
    wstun_ip: Annotated[Short, Meta(description="Where its tunnels end.")] = ""
    lr_version: Annotated[Short, Meta(description="The version of its software.")] = ""
    connectivity: Annotated[
        dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=255)]],
        Meta(max_length=MAX_LABELS, description="Its network interface as it said itself."),
    ] = {}


class FleetParameters(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Boards that are treated alike."""

    name: Annotated[Name36 | None, doc("Its name there; the object's name where absent.")] = None
    description: Annotated[Annotated[str, Meta(max_length=300)] | None, doc("What it is for.")] = None
    member_selector: Annotated[
        LabelSelector | None,
        doc(
            "The Boards of this namespace that belong to it, by labels; those that name a fleet themselves stay there."
        ),
    ] = None
    extra: Annotated[Extra, many("Whatever else is to be kept with it.", MAX_EXTRA)] = {}


class FleetObservation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A fleet as the endpoint knows it."""

    uuid: Annotated[Short, Meta(description="Its id.")] = ""
    members: Annotated[Count, Meta(description="How many boards belong to it.")] = 0
    online: Annotated[Count, Meta(description="How many of them are online.")] = 0
    message: Annotated[Text, Meta(description="Boards that are wanted by another fleet, too.")] = ""
