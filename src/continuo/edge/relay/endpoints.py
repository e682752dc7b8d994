"""A target's URL taken apart, and all that can be wrong with a route. Pure."""

from __future__ import annotations

import ipaddress
import re
from base64 import b64decode
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

from continuo.edge.relay.model import Authentication, Flow, Route, Scheme, Target
from continuo.trust.ids import BadId, parse_id

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
_URL = re.compile(r"[!-~]+")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/!#$%&'*^`|:-]+=*")
WEBHOOK_PREFIX = "whsec_"


class BadRoute(ValueError):
    """A route that cannot be taken; `str()` is one sentence."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect, and what to ask for."""

    tls: bool
    host: str
    """Without brackets."""
    port: int
    path: str
    """With the query."""
    addresses: tuple[str, ...]
    """The only ones that are connected to."""

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def shown(url: str) -> str:
    """A URL as people may see it: without user, password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def endpoint_of(target: Target) -> Endpoint:
    """Take a target's URL apart; BadRoute says what is wrong with it."""
    url = target.url
    if not _URL.fullmatch(url):
        raise BadRoute("the target's URL has characters that no URL has: write them percent-encoded")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadRoute("the target's URL cannot be read: it should look like https://host:port/path") from None
    seen = shown(url)
    if parts.scheme not in ("http", "https"):
        raise BadRoute(f"{seen}: a target is reached by http or https, not by {parts.scheme or 'nothing'}")
    if parts.username is not None or parts.password is not None:
        raise BadRoute(f"{seen}: user and password do not belong in a URL; give them as authentication")
    if parts.fragment:
        raise BadRoute(f"{seen}: a fragment (#...) means nothing to a server; leave it out")
    if port == 0:
        raise BadRoute(f"{seen}: nothing listens on port 0")
    literal = _address(host)
    if literal is None and not _HOST.fullmatch(host):
        raise BadRoute(f"{seen}: {host!r} is neither a name nor an address; names beyond ASCII are written as xn--...")
    tls = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Endpoint(tls, host, port or (443 if tls else 80), path, _addresses(seen, literal, target.addresses))


def _addresses(seen: str, literal: str | None, pinned: tuple[str, ...]) -> tuple[str, ...]:
    for each in pinned:
        if _address(each) is None:
            raise BadRoute(f"{seen}: {each!r} is no IP address; `addresses` says what the name was resolved to")
    if literal is not None:
        if any(_address(each) != literal for each in pinned):
            raise BadRoute(f"{seen}: its host is an address already, so `addresses` can only repeat it")
        return (literal,)
    if not pinned:
        raise BadRoute(f"{seen}: `addresses` has to say what the name was resolved to when it was checked")
    return pinned


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def check(route: Route, *, own_identity: bool) -> dict[str, Endpoint]:
    """The endpoints of a route by URL; BadRoute says the first thing that is wrong."""
    endpoints = {}
    for target in route.targets:
        endpoint = endpoint_of(target)
        if target.url in endpoints:
            raise BadRoute(f"{shown(target.url)} is a target twice; each reading goes there once")
        _authentication(shown(target.url), endpoint, target.authentication, own_identity=own_identity)
        endpoints[target.url] = endpoint
    twice = [sensor for sensor, count in Counter(flow.sensor for flow in route.flows).items() if count > 1]
    if twice:
        raise BadRoute(f"sensor {twice[0]!r} has two flows; say one for each sensor")
    for flow in route.flows:
        _source(flow)
    return endpoints


def _source(flow: Flow) -> None:
    source = flow.source
    if flow.device:
        try:
            parse_id(flow.device)
        except BadId as problem:
            raise BadRoute(f"sensor {flow.sensor!r}: its device {problem}") from None
    for name, text in (("namespace", source.namespace), ("node", source.node)):
        if "/" in text or not text.isprintable():
            raise BadRoute(f"sensor {flow.sensor!r}: {text!r} is no {name} of a source")
    if any(sign in source.topic for sign in "+#\0"):
        raise BadRoute(f"sensor {flow.sensor!r}: topic {source.topic!r} has a wildcard; a source is one topic exactly")


def _authentication(seen: str, endpoint: Endpoint, how: Authentication, *, own_identity: bool) -> None:
    if how.scheme in (Scheme.BEARER, Scheme.SIGNED) and not how.secret:
        raise BadRoute(f"{seen}: authentication {how.scheme} needs a secret")
    if how.scheme is Scheme.BEARER and not _TOKEN.fullmatch(how.secret):
        raise BadRoute(f"{seen}: its bearer token has characters that a header cannot carry")
    if how.scheme is Scheme.SIGNED:
        try:
            signing_key(how.secret)
        except ValueError:
            raise BadRoute(f"{seen}: what follows {WEBHOOK_PREFIX} in its secret is not base64") from None
    if how.scheme is Scheme.SPIFFE:
        if not endpoint.tls:
            raise BadRoute(f"{seen}: authentication spiffe needs an https URL, since identities are shown by TLS")
        if not own_identity:
            raise BadRoute(f"{seen}: authentication spiffe is asked for, but this relay has no identity of its own")
        try:
            parse_id(how.spiffe_id)
        except BadId as problem:
            raise BadRoute(f"{seen}: {problem}") from None


def signing_key(secret: str) -> bytes:
    """The key of Standard Webhooks: base64 behind `whsec_`, or else the text itself. ValueError: no base64."""
    if secret.startswith(WEBHOOK_PREFIX):
        key = b64decode(secret.removeprefix(WEBHOOK_PREFIX), validate=True)
        if not key:
            raise ValueError("empty")
        return key
    return secret.encode()
