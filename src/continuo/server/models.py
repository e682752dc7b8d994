"""The shapes of the HTTP face, for its checks and its documentation. Nothing below the routes knows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Id = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$"),
    Field(description="The caller's own identifier: letters, digits, dots, dashes, underscores."),
]
OrchestrationName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"),
    Field(description="The LowLevelOrchestration that the application goes to; the server's default where absent."),
]


class SubmissionBody(BaseModel):
    """A blueprint with what belongs to it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    blueprint: Annotated[str, Field(description="The TOSCA blueprint: YAML text.", min_length=1)]
    id: Id | None = None
    inputs: Annotated[dict[str, Any], Field(description="Values for the blueprint's inputs.")] = {}
    orchestration: OrchestrationName | None = None
    dry_run: Annotated[bool, Field(alias="dryRun", description="Check everything, change nothing.")] = False


class BlueprintProblem(BaseModel):
    """One finding in a blueprint."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    file: str
    line: int
    column: int
    node: str | None = None
    path: str | None = None
    hint: str | None = None


class ProblemBody(BaseModel):
    """RFC 9457: what was refused, with a code that does not change."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    problems: list[BlueprintProblem] | None = None


class Accepted(BaseModel):
    """The application is declared; its state is at `links.self`."""

    id: str
    name: str
    owner: str
    orchestration: str
    status: str
    links: dict[str, str]
    warnings: list[BlueprintProblem] | None = None


class Verdict(BaseModel):
    """What a blueprint would become."""

    valid: bool
    problems: list[BlueprintProblem]
    preview: dict[str, Any] | None = None
    placement: dict[str, str] | None = None
    secrets: list[str] | None = None


class State(BaseModel):
    """How far something is, and why."""

    state: str
    reason: str | None = None
    message: str | None = None
    lastTransitionTime: str | None = None


class ApplicationLine(State):
    """One application in a listing."""

    id: str
    name: str
    owner: str
    orchestration: str


class PublicUrl(BaseModel):
    """Where a public port is reached."""

    name: str
    url: str


class ComponentState(State):
    """One component."""

    name: str
    cluster: str | None = None
    image: str | None = None
    ready: str | None = None
    urls: list[PublicUrl] = []


class ApplicationState(ApplicationLine):
    """One application with its components."""

    namespace: str
    cluster: str | None
    components: list[ComponentState]
    placement: dict[str, str]
    urls: dict[str, str]
