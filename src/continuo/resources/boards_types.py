"""The words that the kinds of boards share: references, selectors, what every managed resource says besides its own."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from continuo.resources.orchestration_status import Condition
from continuo.resources.orchestration_types import ObjectName, doc, many
from continuo.resources.selectors import MAX_LABELS, LabelKey, LabelValue

GROUP, VERSION = "iot.continuo.dev", "v1alpha1"
CATEGORIES = ("crossplane", "managed", "iot")
MAX_EXTRA, MAX_LISTED = 64, 200

Id = Annotated[str, Meta(min_length=1, max_length=73)]
Name36 = Annotated[str, Meta(min_length=1, max_length=36)]
Name255 = Annotated[str, Meta(min_length=1, max_length=255)]
Text = Annotated[str, Meta(max_length=1024)]
Short = Annotated[str, Meta(max_length=255)]
Count = Annotated[int, Meta(ge=0, extra={"format": "int64"})]
SecretKey = Annotated[str, Meta(min_length=1, max_length=253)]
Sha256 = Annotated[
    str,
    Meta(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$", extra={"says": "must be 64 hexadecimal digits"}),
]
Coordinate = Annotated[
    str,
    Meta(
        min_length=1, max_length=18, pattern=r"^-?[0-9]{1,6}(\.[0-9]+)?$",
        extra={"says": "must be a decimal number as text, such as '15.5556'"},
    ),
]  # fmt: skip
Extra: TypeAlias = dict[Annotated[str, Meta(min_length=1, max_length=253)], Any]
Conditions = Annotated[
    tuple[Condition, ...],
    Meta(max_length=16, description="`Ready` and `Synced`.", extra={"list_type": "map", "keys": ["type"]}),
]


class Action(StrEnum):
    """What the provider may do with the external object."""

    OBSERVE = "Observe"
    CREATE = "Create"
    UPDATE = "Update"
    DELETE = "Delete"
    LATE_INITIALIZE = "LateInitialize"
    ALL = "*"


class Resolve(StrEnum):
    """When a reference is resolved."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"


class Resolution(StrEnum):
    """Whether a reference that cannot be resolved is an error."""

    REQUIRED = "Required"
    OPTIONAL = "Optional"


class ReferencePolicy(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a reference is resolved."""

    resolve: Annotated[Resolve, doc("Once, or at every look.")] = Resolve.IF_NOT_PRESENT
    resolution: Annotated[Resolution, doc("Whether the target has to be there.")] = Resolution.REQUIRED


class Ref(Struct, frozen=True, kw_only=True, rename="camel"):
    """An object of the same namespace, by name; its external name becomes the id."""

    name: Annotated[ObjectName, doc("The object's name.")]
    policy: Annotated[ReferencePolicy | None, doc("How it is resolved.")] = None


class RefSelector(Struct, frozen=True, kw_only=True, rename="camel"):
    """An object of the same namespace, by labels: the first by name of those that fit."""

    match_labels: Annotated[dict[LabelKey, LabelValue], many("Labels that it has.", MAX_LABELS)] = {}
    match_controller_ref: Annotated[bool, doc("Only objects that the same composite resource controls.")] = False
    policy: Annotated[ReferencePolicy | None, doc("How it is resolved.")] = None


class SecretKeyRef(Struct, frozen=True, kw_only=True, rename="camel"):
    """One key of a Secret of the same namespace."""

    name: Annotated[ObjectName, doc("The Secret's name.")]
    key: Annotated[SecretKey, doc("The key in it.")]


class LocalSecret(Struct, frozen=True, kw_only=True, rename="camel"):
    """A Secret of the same namespace."""

    name: Annotated[ObjectName, doc("The Secret's name.")]


class ConfigKind(StrEnum):
    """Which of both kinds of configuration is meant."""

    PROVIDER_CONFIG = "ProviderConfig"
    CLUSTER_PROVIDER_CONFIG = "ClusterProviderConfig"


class ConfigRef(Struct, frozen=True, kw_only=True, rename="camel"):
    """The endpoint and the credentials that are used."""

    kind: Annotated[ConfigKind, doc("Of this namespace, or of the whole cluster.")] = ConfigKind.CLUSTER_PROVIDER_CONFIG
    name: Annotated[ObjectName, doc("Its name.")] = "default"


class ManagedSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """What every managed resource says besides `forProvider`."""

    management_policies: Annotated[
        tuple[Action, ...],
        many(
            "What the provider may do: all of it (`*`), `Observe` alone to import, nothing to pause.",
            6,
            list_type="set",
        ),
    ] = (Action.ALL,)
    provider_config_ref: Annotated[ConfigRef | None, doc("Which endpoint; the cluster's `default` where absent.")] = (
        None
    )
    write_connection_secret_to_ref: Annotated[LocalSecret | None, doc("Where connection details are written.")] = None
