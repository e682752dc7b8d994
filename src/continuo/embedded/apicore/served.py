"""How one version of one resource is served: its type, its objects and the rules that its writes go through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from continuo.embedded.apicore.alike import Alike
from continuo.embedded.apicore.strategies import PLAIN, Strategy
from continuo.embedded.apicore.table import Table
from continuo.embedded.machinery import builtin
from continuo.embedded.port import ResourceType
from continuo.resources.meta import Kind, Object

if TYPE_CHECKING:
    from continuo.embedded.apicore.definition_rules import Examined


@dataclass(eq=False)
class Served:
    """One served version. All versions of a resource share the table; `storage` is the one that objects are kept in."""

    type: ResourceType
    table: Table
    strategy: Strategy = PLAIN
    examined: Examined | None = None
    """A CRD's schema with its compiled rules."""
    to_view: Callable[[Object], Object] | None = None
    """Objects kept in another shape (events): stored -> this version."""
    from_view: Callable[[Object], Object] | None = None
    storage_served: Served | None = field(default=None, repr=False)
    closing: bool = False
    """The CRD is being deleted: nothing new may be created."""
    alike: Alike = field(default_factory=Alike, repr=False)
    """Specs that were created before, where the strategy is `by_spec`."""

    def __post_init__(self) -> None:
        self.kind: Kind = self.type.kind
        self.api_version: str = self.kind.api_version
        self.key = (self.table.group, self.table.plural)

    @property
    def storage(self) -> Served:
        """The version that objects are kept in."""
        return self.storage_served or self

    @cached_property
    def schema(self) -> Mapping[str, Any] | None:
        """The schema to prune, default and validate by."""
        if not self.type.builtin:
            return self.type.schema
        return builtin.schema_for(self.kind.group, self.kind.version, self.kind.kind)

    def view(self, obj: Object) -> Object:
        """The stored object as this version shows it."""
        if obj["apiVersion"] == self.api_version:
            return obj
        if self.to_view is not None:
            return self.to_view(obj)
        return {**obj, "apiVersion": self.api_version}

    def stored(self, obj: Object) -> Object:
        """An object of this version as it is kept."""
        storage = self.storage
        if storage is self:
            return obj
        if self.from_view is not None:
            return self.from_view(obj)
        return {**obj, "apiVersion": storage.api_version}
