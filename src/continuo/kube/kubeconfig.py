"""The kubeconfig file format: what it holds, how several files merge, and what is wrong with a bad one.

lightkube reads these files too, but drops `tls-server-name` and `proxy-url`, merges nothing, and brings its own HTTP
stack along (0.3 s and 25 MB at import), which every command would pay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from continuo.resources.errors import BadRequest


class ClusterEntry(msgspec.Struct, rename="kebab", frozen=True):
    server: str = ""
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    proxy_url: str | None = None
    extensions: list[Any] = []


class EnvEntry(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class ExecEntry(msgspec.Struct, rename="camel", frozen=True):
    command: str
    api_version: str = "client.authentication.k8s.io/v1"
    args: list[str] | None = None
    env: list[EnvEntry] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False


class UserEntry(msgspec.Struct, rename="kebab", frozen=True):
    token: str | None = None
    token_file: str | None = msgspec.field(name="tokenFile", default=None)
    username: str | None = None
    password: str | None = None
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    as_user: str | None = msgspec.field(name="as", default=None)
    as_uid: str | None = None
    as_groups: list[str] | None = None
    exec: ExecEntry | None = None
    auth_provider: dict[str, Any] | None = None


class ContextEntry(msgspec.Struct, frozen=True):
    cluster: str
    user: str = ""
    namespace: str | None = None


T = TypeVar("T", ClusterEntry, UserEntry, ContextEntry)


@dataclass(frozen=True, slots=True)
class Chosen:
    """One context with the entries it names, and the folders that their relative paths start from."""

    name: str
    context: ContextEntry
    cluster: ClusterEntry
    user: UserEntry
    cluster_folder: Path | None
    user_folder: Path | None


@dataclass(frozen=True, slots=True)
class KubeConfig:
    """One kubeconfig, or several merged: for each name the first file counts, as in kubectl."""

    source: str
    current: str = ""
    clusters: Mapping[str, tuple[ClusterEntry, Path | None]] = field(default_factory=dict)
    users: Mapping[str, tuple[UserEntry, Path | None]] = field(default_factory=dict)
    contexts: Mapping[str, tuple[ContextEntry, Path | None]] = field(default_factory=dict)

    def choose(self, name: str | None = None) -> Chosen:
        """The context of that name, or the current one; raises BadRequest with the names that exist."""
        wanted = name or self.current
        known = ", ".join(sorted(self.contexts)) or "none"
        if not wanted:
            raise BadRequest(f"{self.source} has no current-context: name one of its contexts ({known})")
        if wanted not in self.contexts:
            raise BadRequest(f"{self.source} has no context {wanted!r}: its contexts are {known}")
        context = self.contexts[wanted][0]
        if context.cluster not in self.clusters:
            clusters = ", ".join(sorted(self.clusters)) or "none"
            raise BadRequest(
                f"context {wanted!r} of {self.source} names the cluster {context.cluster!r}: its clusters are {clusters}"
            )
        if context.user and context.user not in self.users:
            users = ", ".join(sorted(self.users)) or "none"
            raise BadRequest(
                f"context {wanted!r} of {self.source} names the user {context.user!r}: its users are {users}"
            )
        cluster, cluster_folder = self.clusters[context.cluster]
        user, user_folder = self.users[context.user] if context.user else (UserEntry(), None)
        return Chosen(wanted, context, cluster, user, cluster_folder, user_folder)


def parse(document: object, source: str, folder: Path | None = None) -> KubeConfig:
    """A kubeconfig from its decoded YAML or JSON; `folder` is where relative paths start."""
    if not isinstance(document, Mapping):
        raise BadRequest(f"{source} is not a kubeconfig: it must be a mapping with clusters, users and contexts")
    return KubeConfig(
        source,
        str(document.get("current-context") or ""),
        _entries(document, "clusters", "cluster", ClusterEntry, source, folder),
        _entries(document, "users", "user", UserEntry, source, folder),
        _entries(document, "contexts", "context", ContextEntry, source, folder),
    )


def parse_text(text: str, source: str, folder: Path | None = None) -> KubeConfig:
    """A kubeconfig from YAML or JSON text."""
    try:
        document = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise BadRequest(f"{source} is not valid YAML{where}: {getattr(error, 'problem', None) or error}") from error
    return parse(document, source, folder)


def read(path: Path) -> KubeConfig:
    """A kubeconfig from a file."""
    path = path.expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise BadRequest(f"cannot read the kubeconfig {path}: {why}") from error
    return parse_text(text, f"the kubeconfig {path}", path.absolute().parent)


def merge(configs: Iterable[KubeConfig]) -> KubeConfig:
    """Several files as one: of each entry, and of current-context, the first wins."""
    parts = list(configs)
    if len(parts) == 1:
        return parts[0]
    ordered = list(reversed(parts))
    return KubeConfig(
        "the merged " + " and ".join(part.source.removeprefix("the ") for part in parts),
        next((part.current for part in parts if part.current), ""),
        {name: entry for part in ordered for name, entry in part.clusters.items()},
        {name: entry for part in ordered for name, entry in part.users.items()},
        {name: entry for part in ordered for name, entry in part.contexts.items()},
    )


def _entries(
    document: Mapping[str, Any], plural: str, singular: str, model: type[T], source: str, folder: Path | None
) -> dict[str, tuple[T, Path | None]]:
    found: dict[str, tuple[T, Path | None]] = {}
    entries = document.get(plural) or ()
    if not isinstance(entries, (list, tuple)):
        raise BadRequest(f"{source}: {plural} must be a list of entries with a name and a {singular}")
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            raise BadRequest(f"{source}: {plural}[{index}] has no name")
        try:
            value = msgspec.convert(entry.get(singular) or {}, model)
        except msgspec.ValidationError as error:
            # msgspec names types and fields, never values: no secret can get into this sentence.
            raise BadRequest(f"{source}: {plural}[{index}] ({entry['name']}): {error}") from error
        found.setdefault(entry["name"], (value, folder))
    return found
