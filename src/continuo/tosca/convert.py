"""A blueprint into one application of a LowLevelOrchestration, with the links and Secrets that it needs.

Pure, and the same for the same input to the last byte: the components are in the blueprint's order, variables by name.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from continuo.resources.kinds import SECRET
from continuo.resources.meta import Object
from continuo.resources.orchestration_apps import AppSpec
from continuo.tosca.blueprint import Blueprint, Document
from continuo.tosca.checks import by_component
from continuo.tosca.clusters import CLUSTER_NAME, declare_clusters, targets
from continuo.tosca.entry import Names, component_entry, link_requirements, secret_values, unused_wishes
from continuo.tosca.exposure import Exposure, Policy, check_public_ports, exposures
from continuo.tosca.inputs import TLS_CERT, TLS_KEY
from continuo.tosca.names import slug
from continuo.tosca.placement import Placer, Target, home, needed_links
from continuo.tosca.problems import Problem, Problems, TooMany, errors
from continuo.tosca.reader import build, open_document
from continuo.tosca.yaml_nodes import Scalar


@dataclass(frozen=True, slots=True)
class Options:
    """Who deploys the blueprint, and where to."""

    owner: str
    clusters: Sequence[Target | tuple[str, str | None]] | None = None
    """The known clusters; None: those that the blueprint itself names."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    default_cluster: str | None = None
    app_id: str | None = None
    name: str | None = None
    """Instead of the blueprint's template_name."""
    prefix: str = ""
    """What cluster names may begin with beside their own name: `<orchestration>-`."""
    registries: Mapping[str, str] = field(default_factory=dict)
    """Registry host to the Secret with its credentials."""
    policy: Policy = "shared"


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a blueprint became. With errors there is no application."""

    app: Object | None
    """One item of `spec.apps`."""
    links: tuple[tuple[str, str], ...]
    """Pairs of clusters that the application needs linked."""
    secrets: tuple[Object, ...]
    """Secrets to create beside the LowLevelOrchestration, in its namespace."""
    clusters: tuple[Object, ...]
    """Definitions of the clusters that the blueprint names; empty when the clusters were given."""
    annotations: Mapping[str, str]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What prevents the conversion."""
        return errors(self.problems)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What was tolerated, and what is worth knowing."""
        return tuple(problem for problem in self.problems if problem.severity != "error")


def convert_text(
    text: str | bytes, options: Options, *, file: str = "blueprint.yaml", strict: bool = False
) -> Conversion:
    """The whole way from a blueprint's text to an application, or to all problems of both steps."""
    problems = Problems(file, strict=strict)
    with suppress(TooMany):
        document = open_document(text, problems)
        if document is not None:
            return _convert(document, options, problems)
    return _refused(problems)


def convert(blueprint: Blueprint, options: Options, *, strict: bool = False) -> Conversion:
    """The same for a blueprint that was read before; its inputs are bound anew."""
    problems = Problems(blueprint.document.file, strict=strict)
    with suppress(TooMany):
        return _convert(blueprint.document, options, problems)
    return _refused(problems)


def _convert(document: Document, options: Options, problems: Problems) -> Conversion:
    """Bind the inputs, place the components, decide the exposures, and write it all down as an application."""
    bound = build(document, options.inputs, problems)
    if bound is None or problems.failed:
        return _refused(problems)
    declared = declare_clusters(bound) if options.clusters is None else []
    _check_names(declared, bound, problems)
    known = targets(declared) if options.clusters is None else [Target(*item) for item in options.clusters]
    placed = Placer(known, options.default_cluster, problems, prefix=options.prefix).place(bound)
    names, tls = _names(bound, options, problems)
    exposed = exposures(bound, problems, tls=bool(names.tls), policy=options.policy)
    check_public_ports(exposed, placed, problems)
    if problems.failed:
        return _refused(problems)
    app = _application(bound, options, placed, exposed, names, problems)
    secrets = (*_env_secrets(bound, names, options.owner), *tls)
    _tell(bound, names, bool(tls), app, problems)
    _check(app, bound, problems)
    if problems.failed:
        return _refused(problems)
    links = tuple((first, second) for first, second in needed_links(placed, app["cluster"]))
    return Conversion(app, links, secrets, tuple(declared), _annotations(bound), problems.sorted())


def _refused(problems: Problems) -> Conversion:
    return Conversion(None, (), (), (), {}, problems.sorted())


def _application(
    blueprint: Blueprint,
    options: Options,
    placed: Mapping[str, str],
    exposed: Mapping[str, tuple[Exposure, ...]],
    names: Names,
    problems: Problems,
) -> Object:
    public = [key for key in blueprint.components if any(e.public for e in exposed.get(key, ()))]
    app: Object = {"name": names.app}
    if options.app_id is not None:
        app["id"] = options.app_id
    app |= {"owner": options.owner, "cluster": home(placed, public)}
    app["components"] = [
        component_entry(
            component,
            blueprint.host_of(component),
            placed[component.key],
            exposed.get(component.key, ()),
            names,
            blueprint,
        )
        for component, _ in by_component(blueprint)
    ]
    requirements = link_requirements(blueprint, problems)
    return {**app, "link-requirements": requirements} if requirements else app


def _names(blueprint: Blueprint, options: Options, problems: Problems) -> tuple[Names, tuple[Object, ...]]:
    """The names that the components refer to, and the TLS Secret when its content was supplied."""
    app = slug(options.name or blueprint.name)
    if not app:
        _add(
            problems,
            blueprint,
            "name-invalid",
            f"The application's name {options.name} must have a letter or digit.",
        )
    cert, key = (options.inputs.get(name) or _default(blueprint, name) for name in (TLS_CERT, TLS_KEY))
    if bool(cert) != bool(key):
        missing, given = (TLS_KEY, TLS_CERT) if cert else (TLS_CERT, TLS_KEY)
        _add(
            problems,
            blueprint,
            "input-required",
            f"Input {missing}: it is needed because {given} has a value.",
        )
    for name, text, word in ((TLS_CERT, cert, "CERTIFICATE"), (TLS_KEY, key, "PRIVATE KEY")):
        if text and not (isinstance(text, str) and "-----BEGIN" in text and f"{word}-----" in text):
            _add(problems, blueprint, "bad-value", f"Input {name}: it must be PEM text with a {word}.")
    supplied = bool(cert and key)
    tls = blueprint.tls_secret or (f"{app}-tls" if supplied else "")
    names = Names(app, tls, options.registries)
    if not supplied:
        return names, ()
    data = {"tls.crt": str(cert), "tls.key": str(key)}
    return names, (_secret(tls, "kubernetes.io/tls", data, app, options.owner),)


def _default(blueprint: Blueprint, name: str) -> str:
    declaration = blueprint.inputs.get(name)
    default = declaration.default if declaration else None
    return default.text if isinstance(default, Scalar) else ""


def _env_secrets(blueprint: Blueprint, names: Names, owner: str) -> Iterable[Object]:
    for component, _ in by_component(blueprint):
        values = secret_values(component)
        if values:
            yield _secret(names.env_secret(slug(component.name)), "Opaque", values, names.app, owner)


def _secret(name: str, type_: str, values: Mapping[str, str], app: str, owner: str) -> Object:
    labels = {"app.kubernetes.io/managed-by": "continuo", "app.kubernetes.io/part-of": app}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"labels": labels, "annotations": {"continuo.dev/owner": owner}}
    return SECRET.new(name, metadata=metadata, type=type_, data=data)


def _tell(blueprint: Blueprint, names: Names, tls_supplied: bool, app: Object, problems: Problems) -> None:
    """Findings that do not prevent anything: secrets in clear, wishes without effect, a Secret that has to exist."""
    for component, _ in by_component(blueprint):
        for variable in component.environment:
            if variable.secret and variable.in_clear:
                problems.add(
                    "secret-in-clear",
                    f"{component.key}: the value of {variable.name} stands in the blueprint for everyone to read.",
                    variable.at, node=component.key, hint="use an input without a default", severity="warning",
                )  # fmt: skip
        host = blueprint.host_of(component)
        if host is not None:
            unused_wishes(host, problems)
    if names.tls and not tls_supplied and any("tls" in component for component in app["components"]):
        message = f"The Secret {names.tls} with the certificate of the public ports has to exist already."
        problems.add(
            "tls-secret-needed",
            message,
            blueprint.at,
            hint=f"or supply {TLS_CERT} and {TLS_KEY}",
            severity="info",
        )


def _check_names(declared: Iterable[Object], blueprint: Blueprint, problems: Problems) -> None:
    for cluster in declared:
        if not CLUSTER_NAME.match(cluster["name"]):
            _add(
                problems, blueprint, "name-invalid",
                f"The cluster name {cluster['name']} must be at most 40 lower-case letters, digits and dashes.",
            )  # fmt: skip


def _check(app: Object, blueprint: Blueprint, problems: Problems) -> None:
    """The resource's own model has the last word on every value."""
    try:
        msgspec.convert(app, AppSpec)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        _add(
            problems,
            blueprint,
            "bad-value",
            f"The application's {where.rstrip('`') or 'entry'} is refused: {what}.",
        )


def _add(problems: Problems, blueprint: Blueprint, code: str, message: str) -> None:
    problems.add(code, message, blueprint.at)


def _annotations(blueprint: Blueprint) -> dict[str, str]:
    found = {
        "continuo.dev/template-name": blueprint.name,
        "continuo.dev/template-author": blueprint.author,
        "continuo.dev/template-version": blueprint.version,
    }
    return {key: value for key, value in found.items() if value}
