"""What has to hold between the parts of a blueprint, wherever it is deployed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from continuo.resources.orchestration_types import (
    MAX_COMPONENTS,
    MAX_EXPOSE,
    MAX_STORAGE,
    MAX_VARIABLES,
)
from continuo.tosca.blueprint import Blueprint, Component, ConnectionPoint
from continuo.tosca.names import slug
from continuo.tosca.problems import Place, Problems, Severity, shown

_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]{0,252}\Z")
_IMAGE = re.compile(r"[a-zA-Z0-9]\S{0,511}\Z")
MAX_VALUE = 8192


class Checks:
    """Reports into one list of problems; each method looks at one rule."""

    def __init__(self, blueprint: Blueprint, problems: Problems) -> None:
        self._blueprint = blueprint
        self._problems = problems

    def run(self) -> None:
        """All rules."""
        running = [component for component in self._blueprint.components.values() if not component.external]
        if not running:
            self._add(
                "missing-property",
                "the blueprint",
                "it has no component with the unit K8S_POD.",
                self._blueprint.at,
            )
        if len(running) > MAX_COMPONENTS:
            message = f"it has {len(running)} components; an application may have {MAX_COMPONENTS}."
            self._add("out-of-range", "the blueprint", message, running[MAX_COMPONENTS].at)
        self._names(running)
        points = _by_component(self._blueprint.points.values())
        for component in running:
            self._image(component)
            self._variables(component)
            self._volumes(component)
            self._ports(component, points.get(component.key, []))
        self._links()

    def _add(self, code: str, node: str, message: str, at: Place, hint: str = "", severity: Severity = "error") -> None:
        path = f"topology_template.node_templates.{node}" if node != "the blueprint" else ""
        text = f"{node[0].upper()}{node[1:]}" if not path else node
        self._problems.add(code, f"{text}: {message}", at, node=node, path=path, hint=hint, severity=severity)

    def _names(self, running: Iterable[Component]) -> None:
        seen: dict[str, str] = {}
        for component in running:
            name = slug(component.name)
            if not name or not name[0].isalpha():
                message = f"the name {shown(component.name)} must begin with a letter, as Services do."
                self._add("name-invalid", component.key, message, component.at)
            elif name in seen:
                message = f"its name becomes {name}, which is the name of {seen[name]} already."
                self._add("name-conflict", component.key, message, component.at, "give it another name")
            seen.setdefault(name, component.key)

    def _image(self, component: Component) -> None:
        if component.image and not _IMAGE.match(component.image):
            message = f"image must be a reference such as registry.example.org/app:1.0, not {shown(component.image)}."
            self._add("bad-value", component.key, message, component.at)

    def _variables(self, component: Component) -> None:
        self._limit(component.key, "variables", component.environment, MAX_VARIABLES, component.at)
        for variable in component.environment:
            if not _ENV_NAME.match(variable.name):
                message = (
                    f"the variable name {shown(variable.name)} must have only letters, digits, _, - and ., "
                    "and must not begin with a digit."
                )
                fixed = re.sub(r"[^-._a-zA-Z0-9]", "_", variable.name)
                hint = f"write {fixed}" if _ENV_NAME.match(fixed) else ""
                self._add("name-invalid", component.key, message, variable.at, hint)
            if len(variable.value) > MAX_VALUE:
                message = f"the value of {shown(variable.name)} has more than {MAX_VALUE} characters."
                self._add("out-of-range", component.key, message, variable.at)

    def _volumes(self, component: Component) -> None:
        host = self._blueprint.host_of(component)
        attachments = host.attachments if host else ()
        self._limit(component.key, "storages", attachments, MAX_STORAGE, component.at)
        names: dict[str, str] = {}
        places: dict[str, str] = {}
        for attachment in attachments:
            storage = self._blueprint.storages.get(attachment.storage)
            if storage is None:
                continue
            name = slug(storage.name)
            if not name:
                message = f"the name {shown(storage.name)} must have a letter or digit."
                self._add("name-invalid", storage.key, message, storage.at)
            if name in names:
                message = f"its name becomes {name}, which {names[name]} has already."
                self._add("name-conflict", storage.key, message, storage.at)
            if attachment.location in places:
                message = f"{attachment.location} is taken by {places[attachment.location]} already."
                self._add("name-conflict", storage.key, message, attachment.at)
            names[name] = places[attachment.location] = storage.key

    def _ports(self, component: Component, points: list[ConnectionPoint]) -> None:
        listening = [point for point in points if point.port is not None]
        self._limit(component.key, "ports", listening, MAX_EXPOSE, component.at)
        seen: dict[tuple[int | None, bool], str] = {}
        for point in listening:
            transport = "UDP" if point.protocol == "UDP" else "TCP"
            taken = seen.setdefault((point.port, point.protocol == "UDP"), point.key)
            if taken != point.key:
                message = f"port {point.port} ({transport}) of {component.key} is taken by {taken} already."
                self._add("port-conflict", point.key, message, point.at)

    def _links(self) -> None:
        members = {key: 0 for key in self._blueprint.links}
        for point in self._blueprint.points.values():
            for link in point.links:
                members[link] += 1
        for key, count in members.items():
            if count < 2:
                has = "nobody" if count == 0 else "one connection point"
                message = f"{has} is on this virtual link; it takes two to connect."
                self._add("link-dangling", key, message, self._blueprint.links[key].at, severity="warning")

    def _limit(self, node: str, what: str, found: Iterable[object], most: int, at: Place) -> None:
        count = sum(1 for _ in found)
        if count > most:
            self._add("out-of-range", node, f"it has {count} {what}; a component may have {most}.", at)


def _by_component(points: Iterable[ConnectionPoint]) -> dict[str, list[ConnectionPoint]]:
    found: dict[str, list[ConnectionPoint]] = {}
    for point in points:
        found.setdefault(point.binding, []).append(point)
    return found


def by_component(blueprint: Blueprint) -> Iterator[tuple[Component, list[ConnectionPoint]]]:
    """Every component that Continuo runs, with its connection points, in document order."""
    points = _by_component(blueprint.points.values())
    for component in blueprint.components.values():
        if not component.external:
            yield component, points.get(component.key, [])
