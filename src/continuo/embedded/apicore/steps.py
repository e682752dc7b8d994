"""The steps that every write goes through, whether it creates or changes."""

from __future__ import annotations

from continuo.embedded.apicore import failures, shaping
from continuo.embedded.apicore import metadata as meta
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State
from continuo.embedded.machinery import schema as schemas
from continuo.embedded.machinery.fields import FieldError
from continuo.embedded.port import Write
from continuo.resources.errors import BadRequest
from continuo.resources.meta import Object

NAMESPACES = ("", "namespaces")


def served_of(state: State, obj: Object) -> Served:
    """How the object's apiVersion and kind are served."""
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    known = isinstance(api_version, str) and isinstance(kind, str)
    found = state.by_kind.get((api_version, kind)) if known else None  # type: ignore[arg-type]
    if found is None:
        raise BadRequest(f'no matches for kind "{kind}" in version "{api_version}"')
    return found


MISSHAPEN = (AttributeError, TypeError, ValueError, KeyError)


def refuse_misshapen(served: Served, obj: Object) -> None:
    """What was too misshapen for the kind's own code is refused with what the schema says about it."""
    found = schemas.validate(served.schema or {}, obj)
    if found:
        words = ", ".join(problem.message() for problem in found)
        raise BadRequest(f'{served.kind.kind} in version "{served.kind.version}" cannot be handled: {words}')


def metadata_of(obj: Object) -> Object:
    metadata = obj.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise BadRequest("metadata must be an object")
    return metadata or {}


def prepared(state: State, served: Served, new: Object, old: Object | None) -> Object:
    """What the kind fills in from the cluster."""
    prepare = served.strategy.prepare
    return new if prepare is None else prepare(state, new, old)


def admitted(state: State, served: Served, operation: str, new: Object, old: Object | None) -> Object:
    """What the admission hooks make of it, with the defaults of what they added."""
    before = new
    for hook in state.admission:
        changed = hook(operation, served.kind, new, old)
        if changed is not None:
            new = changed
    return new if new is before else served.strategy.defaults(new)


def problems_of(
    state: State, served: Served, new: Object, old: Object | None, write: Write, subresource: str = "", *,
    proven: bool = False,
) -> list[FieldError]:  # fmt: skip
    """What is wrong with a write. `proven`: all but its metadata was found good before (`alike`)."""
    found = [] if write.trusted else _metadata_problems(served, new["metadata"], old, write)
    if old is not None:
        found += meta.check_change(new["metadata"], old["metadata"])
    if not proven:
        found += shaping.problems(served, new, old, write, subresource)
    if not found and subresource != "status":
        if not proven:
            found += served.strategy.check(new, old)
        if served.strategy.check_in_cluster is not None:
            found += served.strategy.check_in_cluster(state, new, old)
    return found


def _metadata_problems(served: Served, metadata: Object, old: Object | None, write: Write) -> list[FieldError]:
    found = meta.check(metadata, builtin=served.type.builtin)
    if metadata.get("finalizers") and not served.type.builtin and not found:
        write.warnings.extend(meta.finalizer_warnings(metadata, old["metadata"] if old else None))
    return found


def raise_problems(served: Served, name: str, found: list[FieldError]) -> None:
    if found:
        raise failures.invalid(served.kind, name, found)
