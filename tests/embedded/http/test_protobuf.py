from __future__ import annotations

import base64

import pytest

from continuo.embedded.http.protobuf import KINDS, decode
from continuo.resources.errors import BadRequest, UnsupportedMediaType


def _varint(value: int) -> bytes:
    out = b""
    value &= (1 << 64) - 1
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def body(api_version: str, kind: str, *fields: bytes) -> bytes:
    types = field(1, api_version) + field(2, kind)
    return b"k8s\x00" + field(1, types) + field(2, b"".join(fields)) + field(3, "") + field(4, "")


def _pair(key: str, value: str | bytes) -> bytes:
    return field(1, key) + field(2, value)


def test_a_config_map() -> None:
    labels = field(11, _pair("a", "1")) + field(11, _pair("b", ""))
    metadata = field(1, "c") + field(3, "default") + field(7, 3) + field(8, b"") + labels
    found = decode(
        body("v1", "ConfigMap", field(1, metadata), field(2, _pair("k", "v")), field(3, _pair("b", b"\xff")))
    )
    assert found == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "namespace": "default", "generation": 3, "labels": {"a": "1", "b": ""}},
        "data": {"k": "v"},
        "binaryData": {"b": base64.b64encode(b"\xff").decode()},
    }


def test_times_numbers_and_lists() -> None:
    metadata = field(8, field(1, 1_700_000_000)) + field(14, "f1") + field(14, "f2") + field(10, -1)
    found = decode(body("v1", "Namespace", field(1, metadata), field(2, field(1, "kubernetes"))))
    assert found["metadata"] == {
        "creationTimestamp": "2023-11-14T22:13:20Z",
        "finalizers": ["f1", "f2"],
        "deletionGracePeriodSeconds": -1,
    }
    assert found["spec"] == {"finalizers": ["kubernetes"]}


def test_core_group_in_rules_is_kept() -> None:
    rule = field(1, "get") + field(2, "") + field(3, "pods")
    found = decode(body("rbac.authorization.k8s.io/v1", "Role", field(2, rule)))
    assert found["rules"] == [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]


def test_inlined_and_int_or_string_fields() -> None:
    backend = field(4, field(1, "s") + field(2, field(2, 80)))
    path = field(1, "/") + field(3, "Prefix") + field(2, backend)
    rule = field(1, "a.org") + field(2, field(1, field(1, path)))
    service = {"service": {"name": "s", "port": {"number": 80}}}
    found = decode(body("networking.k8s.io/v1", "Ingress", field(2, field(3, rule))))
    assert found["spec"]["rules"] == [
        {
            "host": "a.org",
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": service}]},
        }
    ]
    budget = field(1, field(1, 1) + field(3, "50%")) + field(3, field(1, 0) + field(2, 2))
    spec = decode(body("policy/v1", "PodDisruptionBudget", field(2, budget)))["spec"]
    assert spec == {"minAvailable": "50%", "maxUnavailable": 2}
    quota = decode(body("v1", "ResourceQuota", field(2, field(1, _pair("cpu", field(1, "2"))))))
    assert quota["spec"] == {"hard": {"cpu": "2"}}


def test_what_is_not_understood_is_refused_not_lost() -> None:
    with pytest.raises(UnsupportedMediaType, match="Pod in v1 is not understood"):
        decode(body("v1", "Pod"))
    with pytest.raises(UnsupportedMediaType, match=r"field 77 of ConfigMap"):
        decode(body("v1", "ConfigMap", field(77, "x")))
    assert decode(body("v1", "ConfigMap", field(77, ""))) == {"apiVersion": "v1", "kind": "ConfigMap"}


@pytest.mark.parametrize(
    "broken",
    [
        b"no",
        b"k8s\x00\x0a\xff",
        body("v1", "ConfigMap")[:-4] + b"\x12\x7f",
        body("v1", "ConfigMap", _varint(1 << 3 | 5) + b"abcd"),
        body("v1", "ConfigMap", field(1, 3)),
        body("v1", "ConfigMap", field(1, field(1, b"\xff"))),
        body("v1", "ConfigMap", field(4, "x")),
        body("v1", "ConfigMap", b"\xff" * 12),
    ],
)
def test_broken_bodies_are_bad_requests(broken: bytes) -> None:
    with pytest.raises(BadRequest):
        decode(broken)


def test_the_kinds_that_typed_commands_send() -> None:
    needed = {
        ("v1", "Namespace"), ("v1", "ConfigMap"), ("v1", "Secret"), ("v1", "ServiceAccount"),
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview"), ("authorization.k8s.io/v1", "SelfSubjectRulesReview"),
        ("authentication.k8s.io/v1", "SelfSubjectReview"),
    }  # fmt: skip
    assert needed <= set(KINDS)
