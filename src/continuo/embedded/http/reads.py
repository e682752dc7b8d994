"""get, list and watch."""

from __future__ import annotations

from continuo.embedded.http.call import Call
from continuo.embedded.http.options import forbidden, unsupported
from continuo.embedded.http.paging import make_token, read_token, start_after, too_old
from continuo.embedded.http.selectors import FieldTerm, Selection, parse_selection
from continuo.embedded.http.shapes import shape_list, shape_object, shape_of
from continuo.embedded.http.watch import Watch, WatchOptions
from continuo.embedded.http.wire import Response, encode, json_response, warning_headers
from continuo.resources.errors import BadRequest, Expired, Timeout
from continuo.resources.meta import Key, Object, key_of

_MIN_WATCH, _SPREAD = 1800, 1800
_MATCH = "resourceVersionMatch"


def get(call: Call) -> Response:
    """One object."""
    _not_in_the_future(call)
    obj = call.api.get(call.kind, call.target.name, call.target.namespace)
    shape = shape_of(call.request)
    if shape.form == "json" and obj.get("apiVersion") == call.kind.api_version:
        return Response(200, encode(obj), headers=_deprecation(call))
    return json_response(shape_object(obj, call.resource, shape, call.context.now()), 200, _deprecation(call))


def list_(call: Call) -> Response:
    """All objects that the selectors match, or one page of them."""
    selection = parse_selection(call.request.query, call.resource)
    limit = call.request.number("limit") or 0
    token = call.request.query.get("continue", "")
    shape = shape_of(call.request)
    exact = _exact_version(call)
    if token or exact is not None:
        objects, metadata = _from_snapshot(call, selection, limit, token, exact)
    else:
        _not_in_the_future(call)
        objects, metadata = _present(call, selection, limit)
    return json_response(
        shape_list(objects, call.resource, shape, metadata, call.context.now()), 200, _deprecation(call)
    )


def _deprecation(call: Call) -> tuple[tuple[bytes, bytes], ...]:
    return warning_headers([call.resource.deprecated]) if call.resource.deprecated else ()


def _present(call: Call, selection: Selection, limit: int) -> tuple[list[Object], Object]:
    api, kind, namespace = call.api, call.kind, call.target.namespace
    version = api.version
    metadata: Object = {"resourceVersion": str(version)}
    name = selection.exact("metadata.name")
    if name is not None and (namespace or not kind.namespaced):
        obj = api.find(kind, name, namespace)
        return ([obj] if obj is not None and selection.matches(obj) else []), metadata
    objects = api.list(kind, namespace, selection.equal_labels or None)
    if selection:
        objects = [obj for obj in objects if selection.matches(obj)]
    if limit <= 0 or len(objects) <= limit:
        return objects, metadata
    return _cut(objects, limit, metadata, version, counted=not selection)


def _cut(
    objects: list[Object], limit: int, metadata: Object, version: int, *, counted: bool
) -> tuple[list[Object], Object]:
    page = objects[:limit]
    metadata["continue"] = make_token(version, key_of(page[-1]))
    if counted:
        metadata["remainingItemCount"] = len(objects) - limit
    return page, metadata


def _from_snapshot(
    call: Call, selection: Selection, limit: int, token: str, exact: int | None
) -> tuple[list[Object], Object]:
    """A later page, or a list at exactly one version."""
    after: Key | None = None
    version = exact or 0
    if token:
        if call.request.query.get("resourceVersion", "0") not in ("", "0"):
            raise BadRequest("specifying resource version is not allowed when using continue")
        version, after = read_token(token)
    try:
        snapshot = call.context.pages.at(call.kind, call.target.namespace, version)
    except Expired as error:
        raise (too_old() if token else error) from None
    start = start_after(snapshot, after) if after is not None else 0
    metadata: Object = {"resourceVersion": str(version)}
    page: list[Object] = []
    for index in range(start, len(snapshot.objects)):
        obj = snapshot.objects[index]
        if not selection.matches(obj):
            continue
        if limit > 0 and len(page) == limit:
            metadata["continue"] = make_token(version, key_of(page[-1]))
            if not selection:
                metadata["remainingItemCount"] = len(snapshot.objects) - index
            return page, metadata
        page.append(obj)
    call.context.pages.forget(call.kind, call.target.namespace, version)
    return page, metadata


def _version_parameter(call: Call) -> int | None:
    text = call.request.query.get("resourceVersion", "")
    if not text:
        return None
    if not text.isdecimal():
        raise BadRequest(f'resourceVersion: Invalid value: "{text}": must be a number that a list or object carried')
    return int(text)


def _exact_version(call: Call) -> int | None:
    match = call.request.query.get("resourceVersionMatch", "")
    if not match:
        return None
    version = _version_parameter(call)
    if match not in ("Exact", "NotOlderThan"):
        raise unsupported("list", _MATCH, f'"{match}"', "Exact", "NotOlderThan", "")
    if version is None:
        raise forbidden("list", _MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match == "NotOlderThan":
        return None
    if version == 0:
        raise forbidden("list", _MATCH, 'resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
    _not_in_the_future(call)
    return version


def _not_in_the_future(call: Call) -> None:
    version = _version_parameter(call)
    if version is not None and version > call.api.version:
        cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
        raise Timeout(
            f"Timeout: Too large resource version: {version}, current: {call.api.version}",
            details={"causes": [cause], "retryAfterSeconds": 1},
        )


# --- watch ------------------------------------------------------------------------------------------------------------
def watch(call: Call) -> Watch:
    """A stream of changes."""
    request, context = call.request, call.context
    selection = parse_selection(request.query, call.resource)
    if call.target.name:
        selection = Selection(selection.labels, (*selection.fields, FieldTerm("metadata.name", call.target.name, True)))
    bookmarks = request.flag("allowWatchBookmarks")
    initial = _initial_events(call)
    seconds = request.number("timeoutSeconds") or _MIN_WATCH + context.random.random() * _SPREAD
    options = WatchOptions(
        since=_since(call, initial),
        namespace=call.target.namespace,
        selection=selection,
        shape=shape_of(request),
        bookmarks=bookmarks,
        initial_bookmark=bool(initial) and bookmarks,
        seconds=seconds,
    )
    return Watch(call.api, context.hub, call.resource, options, context.now)


def _initial_events(call: Call) -> bool | None:
    query = call.request.query
    match = query.get("resourceVersionMatch", "")
    if "sendInitialEvents" not in query:
        if match:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            raise forbidden("watch", _MATCH, why)
        return None
    if match != "NotOlderThan":
        raise forbidden("watch", _MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    return call.request.flag("sendInitialEvents")


def _since(call: Call, initial: bool | None) -> int | None:
    version = _version_parameter(call)
    if initial:
        return None
    if not version:
        return call.api.version if initial is False else None
    return version
