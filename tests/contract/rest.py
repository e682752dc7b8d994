"""A plain HTTP client for one Kubernetes API: what goes over the wire, without a library's opinion of it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import select
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

Object = dict[str, Any]

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
WAIT_SECONDS = int(os.environ.get("CONTINUO_PATIENCE", "30"))


class Reply:
    """One answer."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])

    @property
    def reason(self) -> str:
        return str(self.json["reason"])

    @property
    def version(self) -> str:
        return str(self.json["metadata"]["resourceVersion"])

    @property
    def warnings(self) -> list[str]:
        """The texts of the Warning headers (RFC 7234: `299 - "text"`)."""
        return [line.split(" ", 2)[2][1:-1].replace('\\"', '"') for line in self.headers.get_all("Warning") or ()]

    @property
    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.json["items"]]

    def ok(self) -> Object:
        """The decoded body of a success."""
        assert self.status in (200, 201, 202), self.body.decode()
        found: Object = self.json
        return found

    def fails(self, status: int, reason: str) -> str:
        """The message of a failure that has this status and reason and a well-formed Status body."""
        assert self.status == status, self.body.decode()
        found = self.json
        assert (found["kind"], found["apiVersion"], found["status"]) == ("Status", "v1", "Failure")
        assert (found["code"], found["reason"]) == (status, reason)
        return str(found["message"])


class Stream:
    """An open watch."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.response = response

    def next(self) -> Object | None:
        """The next event; None when the server has ended the watch."""
        line = self.response.readline()
        return json.loads(line) if line else None

    def some(self, count: int) -> list[tuple[str, str]]:
        """The next events as (type, name)."""
        events = [self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events if event]

    def rest(self) -> list[Object]:
        """Everything until the server ends the watch."""
        return list(iter(self.next, None))


class Api:
    """One user of one cluster."""

    def __init__(
        self, kubeconfig: str, *, token: str | None = None, as_user: str = "", groups: tuple[str, ...] = ()
    ) -> None:
        document = yaml.safe_load(kubeconfig)
        named = {context["name"]: context["context"] for context in document["contexts"]}
        context = named[document["current-context"]]
        cluster = next(item["cluster"] for item in document["clusters"] if item["name"] == context["cluster"])
        user = next(item["user"] for item in document["users"] if item["name"] == context["user"])
        self.kubeconfig = kubeconfig
        self._url = urlsplit(cluster["server"])
        self._tls = _tls(cluster, user if token is None else {})
        self._headers = {"User-Agent": "contract/1", "Accept": "application/json"}
        if bearer := token or user.get("token"):
            self._headers["Authorization"] = f"Bearer {bearer}"
        if as_user:
            self._headers["Impersonate-User"] = as_user
        self._groups = groups
        self._kept: http.client.HTTPSConnection | None = None

    def with_token(self, token: str) -> Api:
        """The same cluster for whoever the token belongs to; an empty token is nobody's."""
        return Api(self.kubeconfig, token=token)

    def impersonating(self, user: str, *groups: str) -> Api:
        return Api(self.kubeconfig, as_user=user, groups=groups)

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._url.netloc, context=self._tls, timeout=WAIT_SECONDS)

    def _send(
        self, connection: http.client.HTTPSConnection, method: str, path: str, query: Object, body: Any, headers: Object
    ) -> http.client.HTTPResponse:
        target = self._url.path.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in {**self._headers, **headers}.items():
            connection.putheader(name, value)
        for group in self._groups:
            connection.putheader("Impersonate-Group", group)
        if raw is not None:
            connection.putheader("Content-Length", str(len(raw)))
        connection.endheaders(raw)
        return connection.getresponse()

    def __call__(self, method: str, path: str, body: Any = None, headers: Object | None = None, **query: Any) -> Reply:
        connection = self._free()
        try:
            response = self._send(connection, method, path, query, body, headers or {})
            reply = Reply(response.status, response.headers, response.read())
        except BaseException:
            connection.close()
            raise
        self._kept = connection
        return reply

    def _free(self) -> http.client.HTTPSConnection:
        """The kept connection, unless the server has ended it meanwhile: then it can be read from."""
        kept, self._kept = self._kept, None
        if kept is not None and not select.select([kept.sock], [], [], 0)[0]:
            return kept
        if kept is not None:
            kept.close()
        return self._connect()

    def close(self) -> None:
        if self._kept:
            self._kept.close()
            self._kept = None

    def get(self, path: str, *, accept: str = "application/json", **query: Any) -> Reply:
        return self("GET", path, None, {"Accept": accept}, **query)

    def post(self, path: str, body: Any, *, type: str = "application/json", **query: Any) -> Reply:
        return self("POST", path, body, {"Content-Type": type}, **query)

    def put(self, path: str, body: Any, **query: Any) -> Reply:
        return self("PUT", path, body, {"Content-Type": "application/json"}, **query)

    def patch(self, path: str, body: Any, type: str = MERGE, **query: Any) -> Reply:
        return self("PATCH", path, body, {"Content-Type": type}, **query)

    def apply(self, path: str, body: Object, manager: str = "one", **query: Any) -> Reply:
        return self.patch(path, body, APPLY, fieldManager=manager, **query)

    def delete(self, path: str, body: Any = None, **query: Any) -> Reply:
        return self("DELETE", path, body, {"Content-Type": "application/json"} if body is not None else {}, **query)

    @contextmanager
    def watch(self, path: str, *, accept: str = "application/json", **query: Any) -> Iterator[Stream]:
        """Watch; ends by itself after `timeoutSeconds`, which no test has to reach."""
        connection = self._connect()
        try:
            parameters = {"watch": "true", "timeoutSeconds": WAIT_SECONDS, **query}
            response = self._send(connection, "GET", path, parameters, None, {"Accept": accept})
            assert response.status == 200, response.read().decode()
            yield Stream(response)
        finally:
            connection.close()

    def until(self, path: str, name: str, done: Callable[[Object | None], object]) -> Object | None:
        """Wait until the object of that collection is as wanted (None: it does not exist), by watching."""
        selector = f"metadata.name={name}"
        listed = self.get(path, fieldSelector=selector).ok()
        found = next(iter(listed["items"]), None)
        if done(found):
            return found
        with self.watch(
            path,
            resourceVersion=listed["metadata"]["resourceVersion"],
            fieldSelector=selector,
            allowWatchBookmarks="true",
        ) as stream:
            while event := stream.next():
                if event["type"] == "BOOKMARK":
                    continue
                found = None if event["type"] == "DELETED" else event["object"]
                if done(found):
                    return found
        raise AssertionError(f"{path}/{name} did not come to what the test waits for; it is {found}")

    def gone(self, path: str, name: str) -> None:
        self.until(path, name, lambda found: found is None)


def _tls(cluster: Object, user: Object) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority") or None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate, key = _pem(user, "client-certificate"), _pem(user, "client-key")
    if certificate and key:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(certificate + "\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _pem(section: Object, name: str) -> str:
    if data := section.get(f"{name}-data"):
        return base64.b64decode(data).decode()
    return Path(section[name]).read_text(encoding="ascii") if name in section else ""
