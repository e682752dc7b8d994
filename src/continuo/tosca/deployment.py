"""A conversion as documents to apply: the Secrets, then one LowLevelOrchestration."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from continuo.tosca.convert import Conversion


def orchestration(
    conversion: Conversion,
    *,
    clusters: Sequence[Object] | None = None,
    name: str | None = None,
    namespace: str = "default",
) -> Object:
    """The whole LowLevelOrchestration; its clusters are those that the blueprint names unless others are given."""
    if conversion.app is None:
        raise ValueError("A conversion with errors has no application to orchestrate.")
    spec: Object = {"clusters": list(conversion.clusters if clusters is None else clusters)}
    if conversion.links:
        spec["links"] = [list(pair) for pair in conversion.links]
    spec["apps"] = [conversion.app]
    metadata = {"annotations": dict(conversion.annotations)}
    return LOW_LEVEL_ORCHESTRATION.new(name or conversion.app["name"], namespace, metadata=metadata, spec=spec)


def documents(
    conversion: Conversion,
    *,
    clusters: Sequence[Object] | None = None,
    name: str | None = None,
    namespace: str = "default",
) -> list[Object]:
    """Everything to apply, in the order in which it is needed."""
    secrets = [
        {
            **secret,
            "metadata": {"name": secret["metadata"]["name"], "namespace": namespace, **secret["metadata"]},
        }
        for secret in conversion.secrets
    ]
    return [*secrets, orchestration(conversion, clusters=clusters, name=name, namespace=namespace)]


_SAFE = re.compile(r"[A-Za-z/][A-Za-z0-9_./@-]*(:[A-Za-z0-9_./@-]+)*\Z")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


class _Dumper(yaml.CSafeDumper):
    """Quotes every text that some YAML reader could take for something else: `y`, `on`, `1e3`, `0o17`."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    if "\n" in value:
        style: str | None = "|"
    else:
        style = None if _SAFE.match(value) and value.lower() not in _WORDS else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(objects: Sequence[Object]) -> str:
    """The objects as one YAML stream, fields in their own order, for files and for people."""
    return "---\n".join(
        yaml.dump(obj, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=110, allow_unicode=True)
        for obj in objects
    )
