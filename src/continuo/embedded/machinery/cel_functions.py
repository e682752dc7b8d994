"""The functions that Kubernetes adds to CEL and the runtime lacks: regular expressions, lists, quantities, URLs, IPs.

Values of Kubernetes' opaque types (quantity, url, IP, CIDR) are their canonical texts here, so equality just works.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from cel_expr_python import cel  # type: ignore[import-untyped]

from continuo.embedded.machinery.quantities import parse_quantity, spell_quantity

ANY, TEXT, BOOL, INT, DOUBLE = cel.Type.DYN, cel.Type.STRING, cel.Type.BOOL, cel.Type.INT, cel.Type.DOUBLE
LIST = cel.Type.List(cel.Type.DYN)

Implementation = Callable[..., Any]


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match.group(0) for match in re.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


def _find(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    return match.group(0) if match else ""


def _is_sorted(items: list[Any]) -> bool:
    return all(a <= b for a, b in pairwise(items))


def _extreme(choose: Callable[[list[Any]], Any], name: str) -> Implementation:
    def pick(items: list[Any]) -> Any:
        if not items:
            raise ValueError(f"{name} called on empty list")
        return choose(items)

    return pick


def _index(items: list[Any], item: Any) -> int:
    return items.index(item) if item in items else -1


def _last_index(items: list[Any], item: Any) -> int:
    return len(items) - 1 - items[::-1].index(item) if item in items else -1


def _succeeds(parse: Callable[[str], Any]) -> Implementation:
    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return check


def _quantity(text: str) -> str:
    return spell_quantity(parse_quantity(text))


def _sign(text: str) -> int:
    number = parse_quantity(text)
    return (number > 0) - (number < 0)


def _compare(a: str, b: str) -> int:
    one, other = parse_quantity(a), parse_quantity(b)
    return (one > other) - (one < other)


def _integer(text: str) -> int:
    number = parse_quantity(text)
    if number.denominator != 1:
        raise ValueError("cannot convert value to integer")
    return number.numerator


def _sum(a: str, b: Any, sign: int = 1) -> str:
    other = parse_quantity(b) if isinstance(b, str) else b
    return spell_quantity(parse_quantity(a) + sign * other)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if not (parts.scheme or text.startswith("/")) or " " in parts.netloc:
        raise ValueError(f"URL parse error during conversion from string: {text!r} is no absolute URL")
    return text


def _of_url(read: Callable[[SplitResult], Any]) -> Implementation:
    return lambda text: read(urlsplit(text))


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _hostname(parts: SplitResult) -> str:
    return parts.hostname or ""


def _port(parts: SplitResult) -> str:
    return "" if parts.port is None else str(parts.port)


def _ip(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if "/" not in text:
        raise ValueError(f"{text!r} is no CIDR: it lacks the prefix length")
    return ipaddress.ip_network(text, strict=False)


def _cidr(text: str) -> str:
    _network(text)
    return text


def _of_ip(read: Callable[[Any], Any]) -> Implementation:
    return lambda text: read(ipaddress.ip_address(text))


def _is_global(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not (ip.is_multicast or ip.is_loopback or ip.is_unspecified or ip.is_link_local)


def _contains_cidr(outer: str, inner: str) -> bool:
    one, other = _network(outer), _network(inner)
    return one.version == other.version and other.subnet_of(one)  # type: ignore[arg-type]


def _contains_ip(outer: str, address: str) -> bool:
    return ipaddress.ip_address(address) in _network(outer)


_MEMBERS: list[tuple[str, Any, list[Any], Implementation]] = [
    ("find", TEXT, [TEXT, TEXT], _find),
    ("findAll", LIST, [TEXT, TEXT], _find_all),
    ("findAll", LIST, [TEXT, TEXT, INT], _find_all),
    ("isSorted", BOOL, [LIST], _is_sorted),
    ("sum", ANY, [LIST], sum),
    ("min", ANY, [LIST], _extreme(min, "min")),
    ("max", ANY, [LIST], _extreme(max, "max")),
    ("indexOf", INT, [LIST, ANY], _index),
    ("lastIndexOf", INT, [LIST, ANY], _last_index),
    ("sign", INT, [TEXT], _sign),
    ("isInteger", BOOL, [TEXT], _succeeds(_integer)),
    ("asInteger", INT, [TEXT], _integer),
    ("asApproximateFloat", DOUBLE, [TEXT], lambda text: float(parse_quantity(text))),
    ("isGreaterThan", BOOL, [TEXT, TEXT], lambda a, b: _compare(a, b) > 0),
    ("isLessThan", BOOL, [TEXT, TEXT], lambda a, b: _compare(a, b) < 0),
    ("compareTo", INT, [TEXT, TEXT], _compare),
    ("add", TEXT, [TEXT, ANY], _sum),
    ("sub", TEXT, [TEXT, ANY], lambda a, b: _sum(a, b, -1)),
    ("getScheme", TEXT, [TEXT], _of_url(lambda parts: parts.scheme)),
    ("getHost", TEXT, [TEXT], _of_url(_host)),
    ("getHostname", TEXT, [TEXT], _of_url(_hostname)),
    ("getPort", TEXT, [TEXT], _of_url(_port)),
    ("getEscapedPath", TEXT, [TEXT], _of_url(lambda parts: parts.path)),
    ("getQuery", ANY, [TEXT], _of_url(lambda parts: parse_qs(parts.query, keep_blank_values=True))),
    ("family", INT, [TEXT], _of_ip(lambda ip: ip.version)),
    ("isUnspecified", BOOL, [TEXT], _of_ip(lambda ip: ip.is_unspecified)),
    ("isLoopback", BOOL, [TEXT], _of_ip(lambda ip: ip.is_loopback)),
    ("isLinkLocalUnicast", BOOL, [TEXT], _of_ip(lambda ip: ip.is_link_local)),
    ("isLinkLocalMulticast", BOOL, [TEXT], _of_ip(lambda ip: ip.is_multicast)),
    ("isGlobalUnicast", BOOL, [TEXT], _of_ip(_is_global)),
    ("containsIP", BOOL, [TEXT, TEXT], _contains_ip),
    ("containsCIDR", BOOL, [TEXT, TEXT], _contains_cidr),
    ("prefixLength", INT, [TEXT], lambda text: _network(text).prefixlen),
    ("masked", TEXT, [TEXT], lambda text: str(_network(text))),
    ("ip", TEXT, [TEXT], lambda text: _ip(text.partition("/")[0])),
]
_GLOBALS: list[tuple[str, Any, list[Any], Implementation]] = [
    ("quantity", TEXT, [TEXT], _quantity),
    ("isQuantity", BOOL, [TEXT], _succeeds(_quantity)),
    ("url", TEXT, [TEXT], _url),
    ("isURL", BOOL, [TEXT], _succeeds(_url)),
    ("ip", TEXT, [TEXT], _ip),
    ("isIP", BOOL, [TEXT], _succeeds(_ip)),
    ("ip.isCanonical", BOOL, [TEXT], lambda text: _ip(text) == text),
    ("cidr", TEXT, [TEXT], _cidr),
    ("isCIDR", BOOL, [TEXT], _succeeds(_cidr)),
    ("sets.contains", BOOL, [LIST, LIST], lambda a, b: all(item in a for item in b)),
    ("sets.intersects", BOOL, [LIST, LIST], lambda a, b: any(item in a for item in b)),
    ("sets.equivalent", BOOL, [LIST, LIST], lambda a, b: all(i in a for i in b) and all(i in b for i in a)),
]


@lru_cache(maxsize=1)
def kubernetes_functions() -> Any:
    """The extension with all of them."""
    declared: dict[str, list[Any]] = {}
    for member, table in ((True, _MEMBERS), (False, _GLOBALS)):
        for name, returns, parameters, implementation in table:
            spelled = "_".join(kind.name() for kind in parameters)
            identity = f"k8s_{name}_{spelled}_{'member' if member else 'global'}".replace(".", "_")
            overload = cel.Overload(identity, returns, parameters, member, implementation)
            declared.setdefault(name, []).append(overload)
    functions = [cel.FunctionDecl(name, overloads) for name, overloads in declared.items()]
    return cel.CelExtension("kubernetes", functions)
