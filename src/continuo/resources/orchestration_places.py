"""Where things stand on Earth, and where the scheduler may put a component."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.orchestration_types import MAX_MEMBERS, AppName, ComponentRef, Degrees, Word, doc, many
from continuo.resources.selectors import LabelSelector

MAX_LOCATIONS = 16


class Geolocation(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Where on Earth a component should run."""

    exact: Annotated[bool | None, doc("Whether the place is meant exactly.")] = None
    latitude: Annotated[Degrees | None, doc("Degrees north.")] = None
    longitude: Annotated[Degrees | None, doc("Degrees east.")] = None
    city: Annotated[Word | None, doc("City.")] = None
    region: Annotated[Word | None, doc("Region.")] = None
    country: Annotated[Word | None, doc("Country.")] = None


class LocationTerm(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Where a cluster stands; all that is said here has to be so."""

    country: Annotated[Word | None, doc("Country.")] = None
    region: Annotated[Word | None, doc("Region.")] = None
    city: Annotated[Word | None, doc("City.")] = None
    datacenter: Annotated[Word | None, doc("Data centre.")] = None


class Domain(StrEnum):
    """What clusters have in common when something is spread."""

    CLUSTER = "cluster"
    DATACENTER = "datacenter"
    REGION = "region"
    COUNTRY = "country"
    PROVIDER = "provider"


class Spread(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Components of one group that are to be far from each other."""

    group: Annotated[AppName, doc("The group: components of the same application that name it.")]
    across: Annotated[Domain, doc("What the group is spread over.")] = Domain.CLUSTER
    max_skew: Annotated[
        int,
        Meta(ge=1, le=32),
        doc("How many more of the group one domain may have than another that could take them.", format="int32"),
    ] = 1


class ComponentPlacement(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Where the scheduler may put a component; without any field it may be anywhere that fits."""

    clusters: Annotated[LabelSelector, doc("Labels of clusters: compliance, hardware.")] = LabelSelector()
    locations: Annotated[
        tuple[LocationTerm, ...], many("Where the cluster has to stand; one of these is enough.", MAX_LOCATIONS)
    ] = ()
    beside: Annotated[
        tuple[ComponentRef, ...],
        many("Components of the application that it shares a cluster with.", MAX_MEMBERS, list_type="set"),
    ] = ()
    apart_from: Annotated[
        tuple[ComponentRef, ...],
        many("Components of the application that it never shares a cluster with.", MAX_MEMBERS, list_type="set"),
    ] = ()
    spread: Annotated[Spread | None, doc("The group that it is spread with.")] = None
