"""One cluster's HTTP API: authenticate, authorize, find the handler, answer."""

from __future__ import annotations

import platform
from collections.abc import Callable
from random import Random

from continuo.embedded.http import escalation, metrics, reads, reviews, subresources, writes
from continuo.embedded.http.auth import AUTHENTICATED, Tokens
from continuo.embedded.http.call import Call, Context, Logs
from continuo.embedded.http.discovery import Discovery
from continuo.embedded.http.hub import Hub
from continuo.embedded.http.openapi import Documents, OpenApi
from continuo.embedded.http.paging import Pages
from continuo.embedded.http.paths import Target, parse_target
from continuo.embedded.http.rbac import Attributes, Authorizer
from continuo.embedded.http.wire import ANONYMOUS, TEXT, Request, Response, Stream, User, json_response, split_path
from continuo.embedded.port import Api, StoredChange
from continuo.embedded.standins.workload.usage import Metering
from continuo.resources.errors import BadRequest, MethodNotAllowed, NotFound, Unauthorized
from continuo.resources.kinds import CUSTOM_RESOURCE_DEFINITION

_HEALTH = ("healthz", "livez", "readyz")
_ROOTS = ("/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version")
_PUBLIC = (*_HEALTH, "version")
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_HANDLERS: dict[str, Callable[[Call], Response | Stream]] = {
    "get": reads.get,
    "list": reads.list_,
    "watch": reads.watch,
    "create": writes.create,
    "update": writes.update,
    "patch": writes.patch,
    "delete": writes.delete,
    "deletecollection": writes.delete_collection,
}


class ClusterFace:
    """Serves `/clusters/NAME/...` of one cluster."""

    def __init__(
        self,
        api: Api,
        tokens: Tokens,
        logs: Logs,
        metering: Metering,
        now: Callable[[], float],
        random: Random,
        version: str,
        documents: Documents,
    ) -> None:
        self.api = api
        self.hub = Hub(api)
        self._tokens = tokens
        self._authorizer = Authorizer(api)
        self._context = Context(api, tokens, self._authorizer, self.hub, Pages(api), logs, metering, now, random)
        self._discovery = Discovery(api)
        self._openapi = OpenApi(self._discovery, version, documents)
        self._version = _version(version)
        api.outage_changed.append(self._outage_changed)
        self._unlisten = api.listen(CUSTOM_RESOURCE_DEFINITION, self._definition_changed)

    def close(self) -> None:
        """The cluster is removed: end its watches and stop following it."""
        self.hub.end_all()
        self._unlisten()
        self.api.outage_changed.remove(self._outage_changed)
        self._authorizer.close()

    def _outage_changed(self) -> None:
        if self.api.outage is not None:
            self.hub.end_all()

    def _definition_changed(self, change: StoredChange) -> None:
        if change.type == "DELETED":
            spec = change.object.get("spec") or {}
            self.hub.end(spec.get("group", ""), (spec.get("names") or {}).get("plural", ""))

    # --- one request --------------------------------------------------------------------------------------------------
    def identify(self, request: Request) -> None:
        """Find out who asks; raises Unauthorized before anything of the request is read."""
        token = _bearer(request)
        segments = request.path.strip("/").split("/", 1)
        if not token and segments[0] in _PUBLIC:
            request.user = ANONYMOUS
            return
        user = self._tokens.authenticate(token, self.api) if token else None
        if user is None:
            raise Unauthorized("Unauthorized")
        request.user = self._impersonated(request, user)

    def handle(self, request: Request) -> Response | Stream:
        """Answer a request whose user is known and whose body is read; raises ApiError."""
        segments = split_path(request.path)
        target = parse_target(segments)
        if target is None:
            return self._no_resource(request, segments)
        if reviews.is_review(target.group, target.version, target.plural) and not target.name:
            verb = _VERBS.get(request.method, "")
            wanted = Attributes(verb, target.group, target.plural, namespace=target.namespace)
            self._authorizer.require(request.user, wanted)
            return reviews.answer(self._context, request, target.group, target.plural, target.namespace)
        return self._resource(request, target)

    def _resource(self, request: Request, target: Target) -> Response | Stream:
        verb = _verb(request, target)
        namespace = target.namespace
        if target.plural == "namespaces" and not target.group and not namespace:
            namespace = target.name
        name = target.name or _one_name(request, verb)
        wanted = Attributes(verb, target.group, target.plural, target.subresource, namespace, name)
        self._authorizer.require(request.user, wanted)
        measured = metrics.metric_type(target)
        resource = measured or self.api.resource(target.group, target.version, target.plural)
        if bool(target.namespace) > resource.kind.namespaced or _lacks_namespace(
            target, resource.kind.namespaced, verb
        ):
            raise NotFound("the server could not find the requested resource")
        call = Call(self._context, request, target, resource, verb)
        if measured is not None:
            return metrics.answer(call)
        if target.subresource:
            return subresources.handle(call)
        if verb not in resource.verbs:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        escalation.check(call)
        return _HANDLERS[verb](call)

    def _no_resource(self, request: Request, segments: list[str]) -> Response:
        verb = _VERBS.get(request.method, request.method.lower())
        path = "/" + "/".join(segments)
        self._authorizer.require(request.user, Attributes(verb, path=path))
        root = segments[0] if segments else ""
        if verb != "get":
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        if root in ("api", "apis"):
            return self._discovery.serve(request, segments)
        if root == "openapi":
            return self._openapi.serve(request, segments)
        if root == "version" and len(segments) == 1:
            return json_response(self._version)
        if root in _HEALTH:
            return Response(200, b"ok", TEXT)
        if not segments:
            return json_response({"paths": list(_ROOTS)})
        raise NotFound("the server could not find the requested resource")

    def _impersonated(self, request: Request, user: User) -> User:
        """The user that the request wants to act as (`kubectl --as`), if the real one may."""
        name = request.header(b"impersonate-user")
        groups = request.headers_of(b"impersonate-group")
        if not name:
            if groups:
                raise BadRequest("Impersonate-Group needs Impersonate-User beside it")
            return user
        account = name.removeprefix("system:serviceaccount:").split(":")
        if name.startswith("system:serviceaccount:") and len(account) == 2:
            wanted = Attributes("impersonate", "", "serviceaccounts", namespace=account[0], name=account[1])
            implied = ["system:serviceaccounts", f"system:serviceaccounts:{account[0]}"]
        else:
            wanted, implied = Attributes("impersonate", "", "users", name=name), []
        self._authorizer.require(user, wanted)
        for group in groups:
            self._authorizer.require(user, Attributes("impersonate", "", "groups", name=group))
        groups = groups or implied
        return User(name, tuple(dict.fromkeys([*groups, AUTHENTICATED])))


def _bearer(request: Request) -> str:
    scheme, _, token = request.header(b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _verb(request: Request, target: Target) -> str:
    verb = _VERBS.get(request.method)
    if verb is None:
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
    if target.subresource:
        return verb
    if verb == "get" and b"watch" in request.query_string and request.flag("watch"):
        return "watch"
    if target.name:
        if verb == "create":
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        return verb
    if verb in ("update", "patch"):
        raise MethodNotAllowed("the server does not allow this method on the requested resource")
    return {"get": "list", "delete": "deletecollection"}.get(verb, verb)


def _one_name(request: Request, verb: str) -> str:
    """The name that a list or watch is about by its field selector: rules with `resourceNames` count for that, too."""
    if verb not in ("list", "watch", "deletecollection") or b"fieldSelector" not in request.query_string:
        return ""
    fields = (part.partition("=") for part in request.query.get("fieldSelector", "").split(",") if "!=" not in part)
    return next((value.removeprefix("=") for key, _, value in fields if key == "metadata.name"), "")


def _lacks_namespace(target: Target, namespaced: bool, verb: str) -> bool:
    """Objects of namespaced kinds can be addressed one by one only within their namespace."""
    return namespaced and not target.namespace and (bool(target.name) or verb == "create")


def _version(version: str) -> dict[str, str]:
    major, minor = version.lstrip("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "gitVersion": f"{version}+continuo",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }
