"""What the parts of the embedded engine promise one another.

One process, one event loop, many clusters, all objects in memory: inside it every call is synchronous, and SQLite is
written behind by one thread. `Api` is the full semantics of an API server for one cluster (defaulting, validation,
managed fields, finalizers, subresources); the HTTP face and the stand-ins are both its callers.

Objects that `Api` returns or hands to a watcher are shared: **never mutate them**. To change one, build a new dictionary
along the changed path (or `copy()` it) and write it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from continuo.resources.meta import Kind, Object

Event = Literal["ADDED", "MODIFIED", "DELETED"]
PatchKind = Literal["json", "merge", "strategic", "apply"]


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One served resource: a built-in, or one version of a CustomResourceDefinition."""

    kind: Kind
    singular: str
    list_kind: str
    categories: tuple[str, ...] = ()
    status: bool = False
    """Whether `status` is a separate subresource."""
    scale: Mapping[str, str] | None = None
    """`specReplicasPath`, `statusReplicasPath`, `labelSelectorPath` when `scale` is served."""
    columns: tuple[Mapping[str, Any], ...] = ()
    """Printer columns: name, type, jsonPath, priority, format, description (CRDs); built-ins print in `http.tables`."""
    schema: Mapping[str, Any] | None = None
    """A CRD's structural OpenAPI v3 schema. None for built-ins: `machinery.builtin` derives theirs when first needed."""
    builtin: bool = True
    verbs: tuple[str, ...] = (
        "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
    )  # fmt: skip
    selectable: tuple[str, ...] = ()
    """JSON paths besides metadata.name/namespace that field selectors may use."""
    deprecated: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes, and how: the request parameters that matter to the semantics."""

    manager: str = "unknown"
    dry_run: bool = False
    field_validation: Literal["Strict", "Warn", "Ignore"] = "Ignore"
    force: bool = False
    """Of server-side apply: take fields over from other managers."""
    trusted: bool = False
    """Of writers in this process: the object fits its schema, so that pruning, schema defaults and validation are skipped
    and managed fields are kept coarsely. What a built-in kind defaults and checks by itself still happens."""
    warnings: list[str] = field(default_factory=list)
    """Filled by the API with what belongs into `Warning:` headers."""


DEFAULT_WRITE: Final = Write()


@dataclass(frozen=True, slots=True)
class StoredChange:
    """One entry of the change log. `version` is the resourceVersion; `object` the new state (last state if DELETED)."""

    version: int
    type: Event
    kind: Kind
    object: Object
    previous: Object | None


class Api(Protocol):
    """One cluster, in process. Raises `continuo.resources.errors`."""

    name: str
    outage: str | None
    """Set by fault injection: the HTTP face does not serve this cluster while it is set. Not persisted."""
    outage_changed: list[Callable[[], None]]
    """Called after `outage` was set: open watches end with the API that served them."""

    @property
    def version(self) -> int:
        """The newest resourceVersion."""
        ...

    def resources(self) -> Iterable[ResourceType]: ...

    def resource(self, group: str, version: str, plural: str) -> ResourceType:
        """Raises NotFound when it is not served."""
        ...

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object: ...

    def find(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        """Like get, with None instead of NotFound."""
        ...

    def list(self, kind: Kind, namespace: str = "", labels: Mapping[str, str] | None = None) -> list[Object]:
        """All objects (of one namespace when given) in key order; `labels` must all be equal."""
        ...

    def create(self, obj: Object, write: Write = DEFAULT_WRITE) -> Object: ...

    def update(self, obj: Object, write: Write = DEFAULT_WRITE, *, subresource: str = "") -> Object:
        """Replace. A resourceVersion in `obj` is a precondition; a no-op keeps the version."""
        ...

    def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        how: PatchKind,
        body: Any,
        write: Write = DEFAULT_WRITE,
        *,
        subresource: str = "",
    ) -> Object:
        """`apply` creates what is missing; the others raise NotFound."""
        ...

    def subresources(self, kind: Kind) -> tuple[str, ...]:
        """What the kind offers below an object: status, scale, binding, eviction, finalize, approval."""
        ...

    def get_subresource(self, kind: Kind, name: str, namespace: str, subresource: str) -> Object:
        """The object for `status`, a `Scale` for `scale`."""
        ...

    def put_subresource(
        self, kind: Kind, name: str, namespace: str, subresource: str, body: Object, write: Write = DEFAULT_WRITE
    ) -> Object:
        """PUT of status, scale, finalize, approval; POST of binding and eviction (returns the pod)."""
        ...

    def set_status(self, obj: Object, status: Mapping[str, Any], manager: str) -> Object:
        """Replace `.status` of the stored object of that key; what stand-ins use; skipped when equal."""
        ...

    def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        propagation: str = "Background",
        uid: str | None = None,
        resource_version: str | None = None,
        dry_run: bool = False,
        grace_seconds: int | None = None,
    ) -> Object:
        """Mark or remove; returns the object's last state. With finalizers it stays, with deletionTimestamp set."""
        ...

    async def flushed(self) -> None:
        """Wait until everything written so far survives a crash; to await before a write is acknowledged."""
        ...

    def changes(self, since: int, kind: Kind, namespace: str = "") -> Iterable[StoredChange]:
        """The kept log after `since`; raises Expired when `since` is older than the log."""
        ...

    def listen(self, kind: Kind | None, callback: Callable[[StoredChange], None]) -> Callable[[], None]:
        """Call back for every change of the kind (any version of it; None: of all), in order, in the loop's thread,
        right after the write. Returns the function that stops it. The callback must not raise and not block.
        """
        ...


class Engine(Protocol):
    """All clusters of one embedded engine."""

    @property
    def management(self) -> Api: ...

    def cluster(self, name: str) -> Api:
        """Raises NotFound."""
        ...

    def clusters(self) -> Iterable[Api]: ...

    def create_cluster(self, name: str, *, version: str = "v1.34.0") -> Api:
        """A new cluster with the built-in kinds and the namespaces default, kube-system, kube-public, kube-node-lease;
        the existing one when there is one.
        """
        ...

    def upgrade_cluster(self, name: str, version: str) -> None:
        """Let the cluster's API report another Kubernetes version."""
        ...

    def remove_cluster(self, name: str) -> None:
        """Drop the cluster with everything in it; open watches on it end."""
        ...

    def on_cluster(self, callback: Callable[[Literal["added", "removed"], Api], None]) -> None:
        """Called for every existing cluster at once, and for later ones when they come and go."""
        ...

    def url(self, cluster: str) -> str:
        """`https://127.0.0.1:PORT/clusters/NAME`."""
        ...

    def kubeconfig(self, cluster: str, *, user: str = "admin", groups: tuple[str, ...] = ("system:masters",)) -> str:
        """A kubeconfig (YAML) with a token for that user."""
        ...

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Timers of the stand-ins go through the engine so that tests can scale time. Returns a cancel function."""
        ...
