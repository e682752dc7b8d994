"""What can be done with an object beside reading and writing it whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from continuo.embedded.http import logs, writes
from continuo.embedded.http.bodies import read_object
from continuo.embedded.http.call import Call
from continuo.embedded.http.options import invalid
from continuo.embedded.http.shapes import shape_object, shape_of
from continuo.embedded.http.wire import Response, Stream, json_response, success, warning_headers
from continuo.embedded.port import ResourceType
from continuo.resources.errors import ApiError, MethodNotAllowed, NotFound
from continuo.resources.meta import Object

Handler = Callable[[Call], "Response | Stream"]
Gvk = tuple[str, str, str]
_NOT_ALLOWED = "the server does not allow this method on the requested resource"


class NotImplementedHere(ApiError):
    """Something that needs real containers."""

    code, reason = 501, "NotImplemented"


@dataclass(frozen=True, slots=True)
class Subresource:
    """One subresource: how discovery lists it, and who serves each verb."""

    name: str
    kind: Gvk
    handlers: Mapping[str, Handler]

    @property
    def verbs(self) -> tuple[str, ...]:
        return tuple(sorted(self.handlers))


# --- handlers ---------------------------------------------------------------------------------------------------------
def _get(call: Call) -> Response:
    target = call.target
    return _shown(call, call.api.get_subresource(call.kind, target.name, target.namespace, target.subresource))


def _put(call: Call) -> Response:
    """PUT of status, scale, finalize or approval."""
    target, write = call.target, call.write()
    body = read_object(call.request)
    if target.subresource != "scale":
        body = writes.addressed(call, body)
    new = call.api.put_subresource(call.kind, target.name, target.namespace, target.subresource, body, write)
    return _shown(call, new, write.warnings)


def _patch(call: Call) -> Response:
    """PATCH of status, scale or approval."""
    if call.target.subresource != "scale":
        return writes.patch(call)
    new, write = writes.patched(call)
    return _shown(call, new, write.warnings)


def _shown(call: Call, obj: Object, warnings: list[str] | None = None) -> Response:
    if call.target.subresource != "scale":
        obj = shape_object(obj, call.resource, shape_of(call.request), call.context.now())
    return json_response(obj, 200, warning_headers(warnings or []))


def _post(call: Call) -> Response:
    """POST of a binding or an eviction: answered by a Status."""
    target = call.target
    body = read_object(call.request)
    call.api.put_subresource(call.kind, target.name, target.namespace, target.subresource, body, call.write())
    return json_response(success(code=201), 201)


def _token(call: Call) -> Response:
    """POST serviceaccounts/NAME/token: a TokenRequest."""
    asked = read_object(call.request)
    spec = asked.get("spec") or {}
    seconds = spec.get("expirationSeconds") or 3600
    if not isinstance(seconds, int) or not 600 <= seconds <= 1 << 32:
        text = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
        raise invalid("authentication.k8s.io", "TokenRequest", "spec.expirationSeconds", "FieldValueInvalid", text)
    target, context = call.target, call.context
    account = call.api.get(call.kind, target.name, target.namespace)
    audiences = tuple(str(entry) for entry in spec.get("audiences") or ())
    token = context.tokens.issue_service_account(
        call.api.name, target.namespace, target.name, account["metadata"]["uid"], seconds, audiences
    )
    expires = datetime.fromtimestamp(int(context.now()) + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer: Object = {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": target.name, "namespace": target.namespace},
        "spec": {**spec, "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": expires},
    }
    return json_response(answer, 201)


def _impossible(what: str) -> Handler:
    def handler(call: Call) -> Response:
        call.api.get(call.kind, call.target.name, call.target.namespace)
        raise NotImplementedHere(
            f"cannot {what} {call.target.namespace}/{call.target.name}: its containers are simulated and run no program; "
            "use a real cluster for that"
        )

    return handler


# --- what there is ----------------------------------------------------------------------------------------------------
_WRITABLE: Mapping[str, Handler] = {"get": _get, "update": _put, "patch": _patch}
_SCALE = ("autoscaling", "v1", "Scale")
_EXEC = ("", "v1", "PodExecOptions")
_OF_BUILTIN: Mapping[tuple[str, str], tuple[Subresource, ...]] = {
    ("", "pods"): (
        Subresource("attach", ("", "v1", "PodAttachOptions"), dict.fromkeys(("create", "get"), _impossible("attach to"))),
        Subresource("binding", ("", "v1", "Binding"), {"create": _post}),
        Subresource("eviction", ("policy", "v1", "Eviction"), {"create": _post}),
        Subresource("exec", _EXEC, dict.fromkeys(("create", "get"), _impossible("run a command in"))),
        Subresource("log", ("", "v1", "Pod"), {"get": logs.log}),
        Subresource(
            "portforward", ("", "v1", "PodPortForwardOptions"),
            dict.fromkeys(("create", "get"), _impossible("forward a port to")),
        ),
    ),
    ("", "serviceaccounts"): (
        Subresource("token", ("authentication.k8s.io", "v1", "TokenRequest"), {"create": _token}),
    ),
    ("", "namespaces"): (Subresource("finalize", ("", "v1", "Namespace"), {"update": _put}),),
    ("certificates.k8s.io", "certificatesigningrequests"): (
        Subresource("approval", ("certificates.k8s.io", "v1", "CertificateSigningRequest"), _WRITABLE),
    ),
}  # fmt: skip


def subresources_of(resource: ResourceType) -> Iterator[Subresource]:
    """The subresources of a resource, in order of their names."""
    kind = resource.kind
    found = list(_OF_BUILTIN.get((kind.group, kind.plural), ())) if resource.builtin else []
    if resource.status:
        found.append(Subresource("status", (kind.group, kind.version, kind.kind), _WRITABLE))
    if resource.scale:
        found.append(Subresource("scale", _SCALE, _WRITABLE))
    yield from sorted(found, key=lambda entry: entry.name)


def handle(call: Call) -> Response | Stream:
    """Serve a request for a subresource."""
    for subresource in subresources_of(call.resource):
        if subresource.name == call.target.subresource:
            handler = subresource.handlers.get(call.verb)
            if handler is None:
                raise MethodNotAllowed(_NOT_ALLOWED)
            return handler(call)
    raise NotFound("the server could not find the requested resource")
