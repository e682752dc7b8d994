"""What the API does to `metadata`: which fields belong to the writer, which to the server, and what each may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import Any, Final

from continuo.embedded.apicore.failures import forbidden_field, invalid_value, required
from continuo.embedded.machinery.fields import FieldError
from continuo.resources.meta import Object

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_DNS_LABEL: Final = re.compile(rf"{_LABEL}\Z")
_DNS_LABEL_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?\Z")
_QUALIFIED: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_LABEL_VALUE: Final = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z")
_SUFFIX_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"

_WRITERS: Final = ("labels", "annotations", "ownerReferences", "finalizers")
_KNOWN: Final = frozenset(
    (
        *_WRITERS, "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation",
        "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields", "clusterName",
    )
)  # fmt: skip

SUBDOMAIN_RULE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_RULE: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_1035_RULE: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and "
    "end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_RULE: Final = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_KEY_RULE: Final = (
    f"a valid label key {_QUALIFIED_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_VALUE_RULE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
# Kinds whose names are looser or stricter than a subdomain.
_LABEL_NAMED: Final = frozenset({("", "namespaces")})
_LABEL_1035_NAMED: Final = frozenset({("", "services")})
_PATH_NAMED: Final = frozenset(
    ("rbac.authorization.k8s.io", plural) for plural in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
) | {("", "events"), ("events.k8s.io", "events")}


def unknown_fields(metadata: Object) -> list[str]:
    """Paths of fields that `metadata` does not have."""
    return [f"metadata.{name}" for name in metadata if name not in _KNOWN]


def owned_by_writer(metadata: Object) -> Object:
    """The fields that a writer decides, without empty ones."""
    return {name: metadata[name] for name in _WRITERS if metadata.get(name)}


def generated_name(prefix: str, random: Random) -> str:
    """A name from `generateName`: at most 63 characters, ending in five random ones."""
    return prefix[:58] + "".join(random.choices(_SUFFIX_ALPHABET, k=5))


def is_label(name: Any) -> bool:
    """Whether it is an RFC 1123 label (names of containers)."""
    return isinstance(name, str) and len(name) <= 63 and bool(_DNS_LABEL.match(name))


def name_problem(table: tuple[str, str], name: str) -> str | None:
    """What is wrong with an object's name, if something is."""
    if table in _PATH_NAMED:
        if name in (".", "..") or "/" in name or "%" in name:
            return "may not be '.' or '..' and may not contain '/' or '%'"
        return None
    if table in _LABEL_NAMED or table in _LABEL_1035_NAMED:
        if "." in name:
            return "must not contain dots"
        if len(name) > 63:
            return "must be no more than 63 characters"
        if table in _LABEL_NAMED:
            return None if _DNS_LABEL.match(name) else _LABEL_RULE
        return None if _DNS_LABEL_1035.match(name) else _LABEL_1035_RULE
    if len(name) > 253:
        return "must be no more than 253 characters"
    return None if _SUBDOMAIN.match(name) else SUBDOMAIN_RULE


def check(metadata: Object, *, builtin: bool) -> list[FieldError]:
    """What is wrong with the fields that writers decide. Built-in kinds take no finalizer of a bare name."""
    found: list[FieldError] = []
    labels, annotations = metadata.get("labels"), metadata.get("annotations")
    if labels:
        found += check_labels("metadata.labels", labels)
    if annotations:
        found += _check_annotations(annotations)
    if owners := metadata.get("ownerReferences"):
        found += _check_owners(owners)
    if finalizers := metadata.get("finalizers"):
        found += _check_finalizers(finalizers, builtin)
    return found


def check_labels(path: str, labels: Any) -> Iterator[FieldError]:
    """Keys and values of labels (or of a selector's matchLabels)."""
    if not isinstance(labels, dict):
        yield invalid_value(path, labels, "must be a map of strings")
        return
    for key, value in labels.items():
        for problem in _key_problems(key):
            yield invalid_value(path, key, problem)
        if not isinstance(value, str):
            yield invalid_value(f"{path}.{key}", value, "must be a string")
        elif len(value) > 63:
            yield invalid_value(path, value, "must be no more than 63 bytes")
        elif not _LABEL_VALUE.match(value):
            yield invalid_value(path, value, _VALUE_RULE)


def _check_annotations(annotations: Any) -> Iterator[FieldError]:
    if not isinstance(annotations, dict):
        yield invalid_value("metadata.annotations", annotations, "must be a map of strings")
        return
    size = 0
    for key, value in annotations.items():
        for problem in _key_problems(key.lower()):
            yield invalid_value("metadata.annotations", key, problem)
        if not isinstance(value, str):
            yield invalid_value(f"metadata.annotations.{key}", value, "must be a string")
        else:
            size += len(key) + len(value)
    if size > 256 << 10:
        yield FieldError("metadata.annotations", "TooLong", "", "may not be more than 262144 bytes")


@lru_cache(maxsize=4096)
def _key_problems(key: str) -> tuple[str, ...]:
    """What is wrong with a qualified name. The same few keys come with every object."""
    return tuple(_wrong_parts(key))


def _wrong_parts(key: str) -> Iterator[str]:
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        yield _KEY_RULE
        return
    if slash and not prefix:
        yield "prefix part must be non-empty"
    elif prefix and len(prefix) > 253:
        yield "prefix part must be no more than 253 bytes"
    elif prefix and not _SUBDOMAIN.match(prefix):
        yield f"prefix part {SUBDOMAIN_RULE}"
    if not name:
        yield "name part must be non-empty"
    elif len(name) > 63:
        yield "name part must be no more than 63 bytes"
    if not _QUALIFIED.match(name):
        yield f"name part {_QUALIFIED_RULE}"


def _check_owners(owners: Any) -> Iterator[FieldError]:
    if not isinstance(owners, list):
        yield invalid_value("metadata.ownerReferences", owners, "must be a list")
        return
    controllers = 0
    for index, owner in enumerate(owners):
        path = f"metadata.ownerReferences[{index}]"
        if not isinstance(owner, dict):
            yield invalid_value(path, owner, "must be an object")
            continue
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                yield invalid_value(f"{path}.{name}", owner.get(name) or "", "must not be empty")
        controllers += owner.get("controller") is True
    if controllers > 1:
        yield invalid_value("metadata.ownerReferences", owners, "Only one reference can have Controller set to true.")


def _check_finalizers(finalizers: Any, builtin: bool) -> Iterator[FieldError]:
    if not isinstance(finalizers, list):
        yield invalid_value("metadata.finalizers", finalizers, "must be a list of strings")
        return
    for index, entry in enumerate(finalizers):
        if not isinstance(entry, str):
            yield invalid_value("metadata.finalizers", entry, "must be a string")
            continue
        for problem in _key_problems(entry):
            yield invalid_value("metadata.finalizers", entry, problem)
        if builtin and _bare(entry):
            yield invalid_value(
                f"metadata.finalizers[{index}]", entry,
                "name is neither a standard finalizer name nor is it fully qualified",
            )  # fmt: skip


def _bare(finalizer: str) -> bool:
    return "/" not in finalizer and finalizer not in ("orphan", "foregroundDeletion", "kubernetes")


def finalizer_warnings(metadata: Object, old: Object | None) -> Iterator[str]:
    """What a server tells the writer of a custom resource about new finalizers that could be anybody's."""
    known = (old or {}).get("finalizers") or ()
    for entry in metadata.get("finalizers") or ():
        if entry not in known and _bare(entry):
            path = " including a path (/)" if "." in entry else ""
            yield (
                f'metadata.finalizers: "{entry}": prefer a domain-qualified finalizer name{path} to avoid accidental '
                "conflicts with other finalizer writers"
            )


def check_change(new: Object, old: Object) -> list[FieldError]:
    """What an update may not do to metadata."""
    found = []
    if "deletionTimestamp" in old:
        added = sorted(set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if added:
            listed = ", ".join(f'"{entry}"' for entry in added)
            found.append(
                forbidden_field(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, "
                    f"found new finalizers []string{{{listed}}}",
                )
            )
    return found


def check_name(table: tuple[str, str], metadata: Object) -> list[FieldError]:
    """Whether the object has a name, and a good one."""
    name = metadata.get("name")
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    if not isinstance(name, str):
        return [invalid_value("metadata.name", name, "must be a string")]
    problem = name_problem(table, name)
    return [invalid_value("metadata.name", name, problem)] if problem else []
