"""What boards compute: processes and containers, jobs and services, on a board or spread over a fleet."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.boards_types import (
    GROUP,
    MAX_EXTRA,
    MAX_LISTED,
    VERSION,
    Count,
    Extra,
    Id,
    Name36,
    Ref,
    RefSelector,
    SecretKeyRef,
    Short,
    Text,
)
from continuo.resources.meta import Kind
from continuo.resources.orchestration_types import Argument, EnvName, EnvValue, Image, Quantity, doc, many
from continuo.resources.selectors import MAX_LABELS, LabelKey, LabelValue

WORKLOAD = Kind(GROUP, VERSION, "Workload", "workloads", short_names=("bwl",))


class Runtime(StrEnum):
    """How it is run."""

    PROCESS = "process"
    CONTAINER = "container"


class Restart(StrEnum):
    """When it is started again."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class Resources(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What it gets: requests for the placement and limits on the board alike."""

    cpu: Annotated[Quantity | None, doc("Processors, such as `500m`.")] = None
    memory: Annotated[Quantity | None, doc("Memory, such as `64Mi`.")] = None


Degree = Annotated[float, Meta(ge=-180.0, le=180.0)]


class Point(Struct, frozen=True, kw_only=True, rename="camel"):
    """A place on the map."""

    longitude: Annotated[Degree, doc("Degrees east.")]
    latitude: Annotated[Annotated[float, Meta(ge=-90.0, le=90.0)], doc("Degrees north.")]


class Box(Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of the map."""

    west: Annotated[Degree, doc("Its western edge, in degrees east.")]
    south: Annotated[Annotated[float, Meta(ge=-90.0, le=90.0)], doc("Its southern edge, in degrees north.")]
    east: Annotated[Degree, doc("Its eastern edge.")]
    north: Annotated[Annotated[float, Meta(ge=-90.0, le=90.0)], doc("Its northern edge.")]


class Placement(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which boards of the fleet may have it, and which are preferred."""

    match_labels: Annotated[
        dict[LabelKey, LabelValue], many("Labels of boards (`extra.labels` there) that may have it.", MAX_LABELS)
    ] = {}
    near: Annotated[Point | None, doc("Boards near to it are preferred.")] = None
    within: Annotated[Box | None, doc("Only boards in it.")] = None
    spread_by: Annotated[LabelKey | None, doc("Replicas are spread over the values of this label.")] = None
    grace: Annotated[
        Annotated[int, Meta(ge=0, le=86_400, extra={"format": "int32"})],
        doc("Seconds after which replicas of an offline board move to another."),
    ] = 300


class JobSpec(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is run to its end, once for each generation."""

    retry: Annotated[
        bool,
        doc(
            "Whether a run whose end nobody saw, because the board lost power, is repeated: at least once, not at most."
        ),
    ] = False


class WorkloadSignature(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """By whom what runs was signed: what `continuo boards sign` adds. Runtime, command, image, env and files are signed."""

    key: Annotated[Annotated[str, Meta(min_length=1, max_length=128)], doc("The key's id in the service's policy.")]
    value: Annotated[
        Annotated[str, Meta(min_length=128, max_length=128)], doc("The Ed25519 signature, in hexadecimal digits.")
    ]
    open_env: Annotated[
        tuple[EnvName, ...],
        many("Variables whose values are not signed, such as those of `secretEnv`; their names are.", 160),
    ] = ()


class WorkloadParameters(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A process or a container on a board, or on boards of a fleet."""

    name: Annotated[Name36 | None, doc("Its name there; the object's name where absent.")] = None
    board_id: Annotated[Id | None, doc("The board.")] = None
    board_ref: Annotated[Ref | None, doc("The Board whose id that is.")] = None
    board_selector: Annotated[RefSelector | None, doc("The Board whose id that is, by labels.")] = None
    fleet_id: Annotated[Id | None, doc("The fleet, instead of a board.")] = None
    fleet_ref: Annotated[Ref | None, doc("The Fleet whose id that is.")] = None
    fleet_selector: Annotated[RefSelector | None, doc("The Fleet whose id that is, by labels.")] = None
    runtime: Annotated[Runtime, doc("How it is run.")] = Runtime.PROCESS
    image: Annotated[Image | None, doc("The container's image.")] = None
    command: Annotated[tuple[Argument, ...], many("The program and its arguments.", 64)] = ()
    env: Annotated[dict[EnvName, EnvValue], many("Its environment.", 128)] = {}
    secret_env: Annotated[
        dict[EnvName, SecretKeyRef], many("Variables whose values are in Secrets of this namespace.", 32)
    ] = {}
    files: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=253)], Annotated[str, Meta(max_length=262_144)]],
        many("Files in its working folder: path and text.", 32),
    ] = {}
    resources: Annotated[Resources | None, doc("What it gets.")] = None
    replicas: Annotated[
        Annotated[int, Meta(ge=0, le=10_000, extra={"format": "int32"})] | None,
        doc("On how many boards of the fleet; on all of them where absent."),
    ] = None
    restart: Annotated[
        Restart | None, doc("When it is started again: `Always` where absent, and `OnFailure` for a job.")
    ] = None
    job: Annotated[JobSpec | None, doc("It ends, and is run once for each generation.")] = None
    placement: Annotated[Placement | None, doc("On which boards of the fleet.")] = None
    signature: Annotated[
        WorkloadSignature | None, doc("By whom it was signed; boards refuse what their policy does not name.")
    ] = None
    extra: Annotated[Extra, many("Whatever else is to be kept with it.", MAX_EXTRA)] = {}


class RunOnBoard(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How it is doing on one board."""

    board: Annotated[Short, Meta(description="The board's id.")]
    name: Annotated[Short, Meta(description="Its name.")] = ""
    phase: Annotated[Short, Meta(description="`Pending`, `Running`, `Succeeded`, `Failed`, `Refused` or `Offline`.")]
    exit_code: Annotated[Annotated[int, Meta(extra={"format": "int32"})] | None, Meta(description="How it ended.")] = (
        None
    )
    restarts: Annotated[Count, Meta(description="How often it was started again.")] = 0
    message: Annotated[Text, Meta(description="What is wrong.")] = ""
    result: Annotated[Text, Meta(description="The beginning of what a job left as its result.")] = ""


class WorkloadObservation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a workload is doing."""

    uuid: Annotated[Short, Meta(description="Its id.")] = ""
    generation: Annotated[Count, Meta(description="The object's generation whose run this is.")] = 0
    desired: Annotated[Count, Meta(description="On how many boards it should be.")] = 0
    running: Annotated[Count, Meta(description="On how many it runs.")] = 0
    succeeded: Annotated[Count, Meta(description="On how many it ended well.")] = 0
    failed: Annotated[Count, Meta(description="On how many it failed.")] = 0
    offline: Annotated[Count, Meta(description="How many of those boards are offline.")] = 0
    boards: Annotated[
        tuple[RunOnBoard, ...],
        Meta(max_length=MAX_LISTED, description="The first 200 boards, those with trouble before the others.",
             extra={"list_type": "map", "keys": ["board"]}),
    ] = ()  # fmt: skip
