"""Endpoints and credentials: ProviderConfig, ClusterProviderConfig, and who uses them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from continuo.resources.boards_types import GROUP, VERSION, Conditions, ConfigKind, Count, SecretKey, Short
from continuo.resources.meta import Kind
from continuo.resources.orchestration_types import ObjectName, doc

PROVIDER_CONFIG = Kind(GROUP, VERSION, "ProviderConfig", "providerconfigs")
CLUSTER_PROVIDER_CONFIG = Kind(GROUP, VERSION, "ClusterProviderConfig", "clusterproviderconfigs", namespaced=False)
PROVIDER_CONFIG_USAGE = Kind(GROUP, VERSION, "ProviderConfigUsage", "providerconfigusages")

Url = Annotated[
    str,
    Meta(min_length=8, max_length=2048, pattern=r"^https?://[^/\s]+",
         extra={"says": "must be an address that begins with http:// or https://"}),
]  # fmt: skip


Project = Annotated[
    str,
    Meta(max_length=36, pattern=r"^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$",
         extra={"says": "must be a UUID, as IoTronic knows projects by, such as 5f1cbbd1-7b52-4a4e-8fd4-1f6f4c0b9b1f"}),
]  # fmt: skip


class AuthType(StrEnum):
    """How the provider says who it is."""

    KEYSTONE = "keystone"
    TOKEN = "token"
    NOAUTH = "noauth"


class CredentialsSource(StrEnum):
    """Where credentials are."""

    NONE = "None"
    SECRET = "Secret"
    ENVIRONMENT = "Environment"
    FILESYSTEM = "Filesystem"


class CredentialsSecret(Struct, frozen=True, kw_only=True, rename="camel"):
    """One key of a Secret."""

    name: Annotated[ObjectName, doc("The Secret's name.")]
    key: Annotated[SecretKey, doc("The key in it.")] = "credentials"
    namespace: Annotated[
        ObjectName | None, doc("Its namespace; a ProviderConfig may name none but its own, and need not name it.")
    ] = None


class FromEnvironment(Struct, frozen=True, kw_only=True, rename="camel"):
    """A variable of the provider's own environment."""

    name: Annotated[Annotated[str, Meta(min_length=1, max_length=253)], doc("The variable's name.")]


class FromFilesystem(Struct, frozen=True, kw_only=True, rename="camel"):
    """A file where the provider runs."""

    path: Annotated[Annotated[str, Meta(min_length=1, max_length=1024)], doc("The file's path.")]


class Credentials(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where credentials are. They are JSON: `token`; or `username`, `password`, `user_domain`, `project`, `project_domain`;
    or `application_credential_id`, `application_credential_secret`. A text that is no JSON is a token.
    """

    source: Annotated[CredentialsSource, doc("What kind of place.")] = CredentialsSource.NONE
    secret_ref: Annotated[CredentialsSecret | None, doc("The Secret.")] = None
    env: Annotated[FromEnvironment | None, doc("The variable; of ClusterProviderConfigs only.")] = None
    fs: Annotated[FromFilesystem | None, doc("The file; of ClusterProviderConfigs only.")] = None


class ProviderConfigSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """An IoTronic-compatible endpoint, and how to be admitted there."""

    endpoint: Annotated[Url, doc("Where it is, without `/v1`, such as `https://hub.example:8812`.")]
    auth_type: Annotated[AuthType, doc("How the provider says who it is.")] = AuthType.TOKEN
    auth_url: Annotated[Url | None, doc("Keystone, such as `https://keystone.example:5000/v3`.")] = None
    project_id: Annotated[
        Project | None,
        doc("The project's UUID, with `noauth`; that of zeros where absent."),
    ] = None
    ca_bundle: Annotated[
        Annotated[str, Meta(max_length=65_536)] | None,
        doc("Certificates that are trusted, as PEM, instead of the system's."),
    ] = None
    insecure_skip_verify: Annotated[bool, doc("Trust any certificate: for trials only.")] = False
    request_timeout: Annotated[
        Annotated[int, Meta(ge=1, le=55, extra={"format": "int32"})], doc("Seconds that a request may take.")
    ] = 50
    credentials: Annotated[Credentials, doc("Where credentials are.")] = Credentials()


class ProviderConfigStatus(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Whether the endpoint answers, and how many use it."""

    users: Annotated[Count, Meta(description="How many managed resources use it.")] = 0
    events: Annotated[
        bool | None, Meta(description="Whether the endpoint tells of changes by itself, or is asked at intervals.")
    ] = None
    conditions: Conditions = ()


class UsedConfig(Struct, frozen=True, kw_only=True, rename="camel"):
    """The configuration that is used."""

    kind: Annotated[ConfigKind, doc("Which kind.")]
    name: Annotated[ObjectName, doc("Its name.")]


class UsedBy(Struct, frozen=True, kw_only=True, rename="camel"):
    """The object that uses it."""

    api_version: Annotated[Short, doc("Its group and version.")]
    kind: Annotated[Short, doc("Its kind.")]
    name: Annotated[ObjectName, doc("Its name.")]
    uid: Annotated[Short, doc("Its UID.")]


class Usage(Struct, frozen=True, kw_only=True, rename="camel"):
    """That an object uses a configuration; its name is the object's UID."""

    provider_config_ref: Annotated[UsedConfig, doc("The configuration.")]
    resource_ref: Annotated[UsedBy, doc("The object.")]
