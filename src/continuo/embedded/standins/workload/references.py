"""What a pod needs before its containers can start: ConfigMaps and Secrets that it names. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from continuo.resources.kinds import CONFIG_MAP, SECRET
from continuo.resources.meta import Kind, Object

Reference = tuple[Kind, str, str]
"""(kind, name, key); the key is empty when the whole object is used."""


def of_container(container: Object) -> Iterator[Reference]:
    """ConfigMaps and Secrets of the container's environment that must exist."""
    for entry in container.get("env") or ():
        source = entry.get("valueFrom")
        if not source:
            continue
        for field, kind in (("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)):
            reference = source.get(field)
            if reference and not reference.get("optional"):
                yield kind, reference.get("name", ""), reference["key"]
    for entry in container.get("envFrom") or ():
        for field, kind in (("secretRef", SECRET), ("configMapRef", CONFIG_MAP)):
            reference = entry.get(field)
            if reference and not reference.get("optional"):
                yield kind, reference.get("name", ""), ""


def of_volumes(spec: Object) -> Iterator[Reference]:
    """ConfigMaps and Secrets that are mounted and must exist."""
    for volume in spec.get("volumes") or ():
        secret, config = volume.get("secret"), volume.get("configMap")
        if secret and not secret.get("optional"):
            yield SECRET, secret["secretName"], ""
        if config and not config.get("optional"):
            yield CONFIG_MAP, config["name"], ""
        for source in (volume.get("projected") or {}).get("sources") or ():
            for field, kind in (("secret", SECRET), ("configMap", CONFIG_MAP)):
                reference = source.get(field)
                if reference and not reference.get("optional") and reference.get("name") != "kube-root-ca.crt":
                    yield kind, reference["name"], ""
