"""The rules on one container that its schema cannot say."""

from __future__ import annotations

from collections.abc import Container, Iterator
from fractions import Fraction

from continuo.embedded.apicore.failures import invalid_value, required
from continuo.embedded.machinery.fields import FieldError
from continuo.embedded.machinery.quantities import parse_quantity
from continuo.resources.errors import BadRequest
from continuo.resources.meta import Object


def check_container(container: Object, where: str, volumes: Container[str | None]) -> Iterator[FieldError]:
    """What is wrong with a container, its name aside; `volumes` are the names of the pod's volumes."""
    if not container.get("image"):
        yield required(f"{where}.image")
    for index, port in enumerate(container.get("ports") or ()):
        for name in ("containerPort", "hostPort"):
            number = port.get(name)
            if number and not 1 <= number <= 65535:
                rule = "must be between 1 and 65535, inclusive"
                yield invalid_value(f"{where}.ports[{index}].{name}", number, rule)
    for index, entry in enumerate(container.get("env") or ()):
        if not entry.get("name"):
            yield required(f"{where}.env[{index}].name")
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            yield FieldError(f"{where}.volumeMounts[{index}].name", "NotFound", mount.get("name"))
    resources = container.get("resources")
    if resources:
        yield from _check_resources(resources, f"{where}.resources")


def _check_resources(resources: Object, where: str) -> Iterator[FieldError]:
    limits = {
        name: _quantity(value, f"{where}.limits.{name}") for name, value in (resources.get("limits") or {}).items()
    }
    for name, value in (resources.get("requests") or {}).items():
        asked = _quantity(value, f"{where}.requests.{name}")
        if name in limits and asked > limits[name]:
            limit = resources["limits"][name]
            yield invalid_value(
                f"{where}.requests", str(value), f"must be less than or equal to {name} limit of {limit}"
            )


def _quantity(value: object, where: str) -> Fraction:
    try:
        return parse_quantity(str(value))
    except ValueError:
        raise BadRequest(
            f"{where}: {value!r}: quantities must match the regular expression "
            "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        ) from None
