"""In which form a client wants objects: whole, as a Table, or their metadata alone; and how that form is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from continuo.embedded.http.columns import AGE, NAME, Column, custom_columns
from continuo.embedded.http.columns_cluster import CLUSTER
from continuo.embedded.http.columns_workloads import WORKLOADS
from continuo.embedded.http.wire import Request, accepted
from continuo.embedded.port import ResourceType
from continuo.resources.errors import BadRequest, NotAcceptable
from continuo.resources.meta import Object

_META = "meta.k8s.io"
_FORMS: Mapping[str, Literal["table", "metadata"]] = {
    "Table": "table",
    "PartialObjectMetadata": "metadata",
    "PartialObjectMetadataList": "metadata",
}
_INCLUDE = ("Metadata", "None", "Object")


@dataclass(frozen=True, slots=True)
class Shape:
    """One form of an answer."""

    form: Literal["json", "table", "metadata"] = "json"
    version: str = "v1"
    include: str = "Metadata"
    """Of a Table: what `object` of each row holds."""


PLAIN = Shape()


@lru_cache(maxsize=512)
def _negotiate(accept: str) -> Shape:
    for entry in accepted(accept):
        if entry.media not in ("application/json", "*/*", "application/*", ""):
            continue
        wanted = entry.params.get("as")
        if not wanted:
            return PLAIN
        version = entry.params.get("v", "v1")
        if wanted in _FORMS and entry.params.get("g", _META) == _META and version in ("v1", "v1beta1"):
            return Shape(_FORMS[wanted], version)
    raise NotAcceptable("only the following media types are accepted: application/json")


def shape_of(request: Request) -> Shape:
    """The form that the Accept header asks for; raises NotAcceptable when there is none that we speak."""
    shape = _negotiate(request.header(b"accept"))
    if shape.form != "table":
        return shape
    include = request.query.get("includeObject", "Metadata")
    if include not in _INCLUDE:
        raise BadRequest(f'includeObject is "{include}"; it must be one of {", ".join(_INCLUDE)}')
    return shape if include == "Metadata" else Shape("table", shape.version, include)


def columns_of(resource: ResourceType) -> tuple[Column, ...]:
    """The printer columns of a resource."""
    if not resource.builtin or resource.columns:
        return custom_columns(resource)
    key = (resource.kind.group, resource.kind.plural)
    return WORKLOADS.get(key) or CLUSTER.get(key) or (NAME, AGE)


def versioned(obj: Object, api_version: str) -> Object:
    """The object as the asked version shows it: stored under another one it differs in `apiVersion` only."""
    return obj if obj.get("apiVersion") == api_version else {**obj, "apiVersion": api_version}


def _bare(obj: Object) -> Object:
    """The object without kind and apiVersion: the list says them for all, as lists of built-in kinds do."""
    bare = obj.copy()
    bare.pop("kind", None)
    bare.pop("apiVersion", None)
    return bare


def metadata_only(obj: Object, version: str) -> Object:
    """The object's PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"{_META}/{version}", "metadata": obj["metadata"]}


def _row(obj: Object, columns: Iterable[Column], shape: Shape, now: float) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": [column.cell(obj, now) for column in columns]}
    if shape.include == "Object":
        row["object"] = obj
    elif shape.include == "Metadata":
        row["object"] = metadata_only(obj, shape.version)
    return row


def table(
    objects: Iterable[Object],
    columns: tuple[Column, ...],
    shape: Shape,
    metadata: Mapping[str, Any],
    now: float,
    *,
    headers: bool = True,
) -> Object:
    """A Table of the objects; watch events after the first come without column definitions."""
    return {
        "kind": "Table",
        "apiVersion": f"{_META}/{shape.version}",
        "metadata": dict(metadata),
        "columnDefinitions": [column.definition() for column in columns] if headers else None,
        "rows": [_row(obj, columns, shape, now) for obj in objects],
    }


def shape_object(obj: Object, resource: ResourceType, shape: Shape, now: float, *, headers: bool = True) -> Object:
    """One object in the asked form."""
    obj = versioned(obj, resource.kind.api_version)
    if shape.form == "json":
        return obj
    if shape.form == "metadata":
        return metadata_only(obj, shape.version)
    metadata = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
    return table((obj,), columns_of(resource), shape, metadata, now, headers=headers)


def shape_list(
    objects: list[Object], resource: ResourceType, shape: Shape, metadata: Mapping[str, Any], now: float
) -> Object:
    """A list in the asked form."""
    if shape.form == "table":
        return table(objects, columns_of(resource), shape, metadata, now)
    if shape.form == "metadata":
        items = [metadata_only(obj, shape.version) for obj in objects]
        kind, api_version = "PartialObjectMetadataList", f"{_META}/{shape.version}"
        return {"kind": kind, "apiVersion": api_version, "metadata": dict(metadata), "items": items}
    api_version = resource.kind.api_version
    items = [_bare(obj) if resource.builtin else versioned(obj, api_version) for obj in objects]
    return {"kind": resource.list_kind, "apiVersion": api_version, "metadata": dict(metadata), "items": items}
