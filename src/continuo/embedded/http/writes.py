"""create, update, patch, delete and deletecollection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from continuo.embedded.http.bodies import (
    OBJECT_LIMIT,
    STRICT,
    check_size,
    read_any,
    read_object,
    read_patch,
    refuse_duplicates,
)
from continuo.embedded.http.call import Call
from continuo.embedded.http.options import forbidden, invalid_option, unsupported
from continuo.embedded.http.selectors import parse_selection
from continuo.embedded.http.shapes import shape_list, shape_object, shape_of, versioned
from continuo.embedded.http.wire import JSON, Response, encode, json_response, success, warning_headers
from continuo.embedded.port import Write
from continuo.resources.errors import BadRequest, Invalid, MethodNotAllowed
from continuo.resources.meta import Object, key_of

T = TypeVar("T")


def create(call: Call) -> Response:
    """POST on a collection."""
    write = call.write()
    obj = _given(call, write)
    return answer(call, _named(call, lambda: call.api.create(obj, write)), write, 201)


def update(call: Call) -> Response:
    """PUT of a whole object."""
    write = call.write()
    obj = _given(call, write)
    if not call.resource.builtin and not obj["metadata"].get("resourceVersion"):
        _require_version(call)
    return answer(call, _named(call, lambda: call.api.update(obj, write)), write, 200)


def _given(call: Call, write: Write) -> Object:
    """The object of the body, within its limits."""
    obj = addressed(call, read_object(call.request))
    if write.field_validation == "Strict":
        _named(call, lambda: refuse_duplicates(call.request))
    if len(call.request.body) > OBJECT_LIMIT:
        check_size(len(encode(obj)))
    return obj


def _named(call: Call, run: Callable[[], T]) -> T:
    """Strict decoding errors say which kind they are about."""
    try:
        return run()
    except BadRequest as error:
        if not error.message.startswith(STRICT):
            raise
        kind = call.kind
        head = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
        raise BadRequest(f"{head}: {error.message}", details=error.details) from None


def _require_version(call: Call) -> None:
    """Custom resources are replaced only by who says which version they saw."""
    call.api.get(call.kind, call.target.name, call.target.namespace)
    text = "Invalid value: 0: must be specified for an update"
    field, name = "metadata.resourceVersion", call.target.name
    cause = {"reason": "FieldValueInvalid", "message": text, "field": field}
    details = {"name": name, "group": call.kind.group, "kind": call.kind.kind, "causes": [cause]}
    raise Invalid(f'{call.kind.kind}.{call.kind.group} "{name}" is invalid: {field}: {text}', details=details)


def patch(call: Call) -> Response:
    """PATCH in any of the four dialects; apply may create."""
    existed = call.api.find(call.kind, call.target.name, call.target.namespace) is not None
    obj, write = patched(call)
    return answer(call, obj, write, 200 if existed else 201)


def patched(call: Call) -> tuple[Object, Write]:
    """Carry the patch out."""
    how, body = read_patch(call.request)
    target, write = call.target, call.write()
    if how == "apply":
        if not call.request.query.get("fieldManager"):
            text = "Required value: is required for apply patch"
            raise invalid_option("patch", "fieldManager", "FieldValueRequired", text)
    elif write.force:
        raise forbidden("patch", "force", "may not be specified for non-apply patch")

    def run(how_to_write: Write) -> Object:
        return call.api.patch(
            call.kind, target.name, target.namespace, how, body, how_to_write, subresource=target.subresource
        )

    before = call.api.find(call.kind, target.name, target.namespace)
    try:
        return _sized(call, before, run, write), write
    except BadRequest as error:
        if how == "apply" or not error.message.startswith(STRICT):
            raise
        raise _wrong_patch(call, error) from None


def _wrong_patch(call: Call, error: BadRequest) -> Invalid:
    """A strict decoding error that a patch would bring about is one of the patch."""
    text = f"Invalid value: {encode(call.request.body.decode(errors='replace')).decode()}: {error.message}"
    cause = {"reason": "FieldValueInvalid", "message": text, "field": "patch"}
    return Invalid(f' "" is invalid: patch: {text}', details={"causes": [cause]})


def _sized(call: Call, before: Object | None, run: Callable[[Write], Object], write: Write) -> Object:
    """Run the patch; when the result could be too large, try it without storing first."""
    if (
        before is not None
        and len(call.request.body) + len(call.context.hub.encoded.of(before)) > OBJECT_LIMIT
        and not write.dry_run
    ):
        check_size(len(encode(run(replace(write, dry_run=True, warnings=[])))))
    return run(write)


def answer(call: Call, obj: Object, write: Write, status: int) -> Response:
    """The written object in the form that the client asked for."""
    shown = shape_object(obj, call.resource, shape_of(call.request), call.context.now())
    warnings = [*write.warnings]
    if call.resource.deprecated:
        warnings.append(call.resource.deprecated)
    return Response(status, call.context.hub.encoded.of(shown), JSON, warning_headers(warnings) if warnings else ())


def addressed(call: Call, obj: Object) -> Object:
    """The object with the address of its path filled in; raises BadRequest where the two contradict each other."""
    kind, target, metadata = call.kind, call.target, obj["metadata"]
    if obj.get("apiVersion", kind.api_version) != kind.api_version:
        raise BadRequest(
            f"the API version in the data ({obj['apiVersion']}) does not match the expected API version "
            f"({kind.api_version})"
        )
    if obj.get("kind", kind.kind) != kind.kind:
        raise BadRequest(f"the kind in the data ({obj['kind']}) does not match the expected kind ({kind.kind})")
    given = metadata.get("namespace") or ""
    if target.namespace and given not in ("", target.namespace):
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    if target.name and metadata.get("name", target.name) != target.name:
        raise BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({target.name})"
        )
    extra = {"namespace": target.namespace} if target.namespace and not given else {}
    if target.name and "name" not in metadata:
        extra["name"] = target.name
    filled = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
    return {**filled, "metadata": {**metadata, **extra}} if extra else filled


# --- delete -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """What a DELETE asks for, in its query or its body."""

    propagation: str = "Background"
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False
    grace_seconds: int | None = None


def delete_options(call: Call, given: Any = None) -> DeleteOptions:
    """The options; the body's count before the query's."""
    body = given if given is not None else read_any(call.request) if call.request.body else {}
    if not isinstance(body, dict):
        raise BadRequest("the body of a DELETE must be DeleteOptions")
    preconditions = body.get("preconditions") or {}
    propagation = body.get("propagationPolicy") or call.request.query.get("propagationPolicy") or "Background"
    if "propagationPolicy" not in body and body.get("orphanDependents"):
        propagation = "Orphan"
    if propagation not in ("Background", "Foreground", "Orphan"):
        raise unsupported(
            "delete", "propagationPolicy", f'"{propagation}"', "Foreground", "Background", "Orphan", "nil"
        )
    grace = body.get("gracePeriodSeconds")
    if grace is None:
        grace = call.request.number("gracePeriodSeconds")
    if grace is not None and not isinstance(grace, int):
        raise BadRequest(f"gracePeriodSeconds is {grace}; it must be a whole number")
    return DeleteOptions(
        propagation,
        preconditions.get("uid"),
        preconditions.get("resourceVersion"),
        call.dry_run() or "All" in (body.get("dryRun") or ()),
        1 if grace is not None and grace < 0 else grace,  # as Kubernetes reads negative ones
    )


def delete(call: Call) -> Response:
    """DELETE of one object: a Status when it is gone, the object when something still holds it."""
    last, gone = delete_one(call, call.target.name, call.target.namespace, delete_options(call))
    if not gone:
        return json_response(shape_object(last, call.resource, shape_of(call.request), call.context.now()))
    details = {"name": call.target.name, "kind": call.kind.plural, "uid": last["metadata"].get("uid", "")}
    if call.kind.group:
        details["group"] = call.kind.group
    return json_response(success(details))


def delete_one(call: Call, name: str, namespace: str, options: DeleteOptions) -> tuple[Object, bool]:
    """Delete; the last state, and whether the object is gone (or would be)."""
    last = call.api.delete(
        call.kind, name, namespace, propagation=options.propagation, uid=options.uid,
        resource_version=options.resource_version, dry_run=options.dry_run, grace_seconds=options.grace_seconds,
    )  # fmt: skip
    if options.dry_run:
        return last, not last["metadata"].get("finalizers")
    found = call.api.find(call.kind, name, namespace)
    return last, found is None or found["metadata"].get("uid") != last["metadata"].get("uid")


def delete_collection(call: Call) -> Response:
    """DELETE of everything that the selectors match."""
    if not call.target.namespace and call.kind.namespaced:
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
    options = delete_options(call)
    selection = parse_selection(call.request.query, call.resource)
    version = call.api.version
    deleted = []
    for obj in call.api.list(call.kind, call.target.namespace, selection.equal_labels or None):
        if selection.matches(obj):
            namespace, name = key_of(obj)
            if call.api.find(call.kind, name, namespace) is not None:  # an earlier deletion may have taken it along
                deleted.append(versioned(delete_one(call, name, namespace, options)[0], call.kind.api_version))
    metadata = {"resourceVersion": str(version)}
    shape = shape_of(call.request)
    return json_response(shape_list(deleted, call.resource, shape, metadata, call.context.now()))
