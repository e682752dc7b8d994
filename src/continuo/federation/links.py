"""Making a link: from what is seen of both ends to the writes that are possible now, and how far it is."""

from __future__ import annotations

from continuo.federation import authentication, network
from continuo.federation.compare import unique
from continuo.federation.model import LinkPhase, LinkProgress, LinkSettings
from continuo.federation.preflight import preflight
from continuo.federation.state import EndState
from continuo.federation.steps import Step
from continuo.federation.unlink import withdraw


def directions(first: EndState, second: EndState, settings: LinkSettings) -> list[tuple[EndState, EndState]]:
    """The (consumer, provider) pairs that the settings ask for."""
    forth, back = (first, second), (second, first)
    return {"both": [forth, back], "first-consumes": [forth], "second-consumes": [back]}[settings.direction]


def plan(first: EndState, second: EndState, settings: LinkSettings) -> list[Step]:
    """Every step of the link as it stands."""
    found = network.steps(first, second, settings)
    wanted = directions(first, second, settings)
    for consumer, provider in ((first, second), (second, first)):
        if any(consumer is asked for asked, _ in wanted):
            found += authentication.steps(consumer, provider, settings)
        else:
            surplus = withdraw(consumer, provider)
            found += [surplus] if surplus is not None else []
    return found


def advance(
    first: EndState, second: EndState, settings: LinkSettings | None = None, *, established: bool = False
) -> LinkProgress:
    """The next writes of a link, and where it stands.

    Level-triggered and idempotent: apply the writes, look again, until there are none. `established` says
    that the link was connected before, so that a step to repeat reads as Degraded and not as Peering.
    """
    settings = settings or LinkSettings()
    # Of each end the first check that fails: the later ones fail because of it.
    first_failures = (
        next((check for check in preflight(end, peer, settings) if not check.ok), None)
        for end, peer in ((first, second), (second, first))
    )
    failed = [check for check in first_failures if check is not None]
    todo = plan(first, second, settings)
    done = sum(step.done for step in todo)
    if failed:
        clash = any(check.name == "IdentifiersDiffer" for check in failed)
        phase = LinkPhase.FAILED if clash else LinkPhase.DEGRADED if established else LinkPhase.PENDING
        message = "; ".join(dict.fromkeys(check.message for check in failed))
        return LinkProgress(phase, failed[0].name, message, done, len(todo))
    open_steps = [step for step in todo if not step.done]
    if not open_steps:
        message = f"{first.name} and {second.name} are linked"
        return LinkProgress(LinkPhase.CONNECTED, "Connected", message, done, len(todo))
    told = next((s for s in open_steps if s.refused), None) or next((s for s in open_steps if s.broken), open_steps[0])
    return LinkProgress(
        _phase(open_steps, established), told.reason, f"waiting for {told.waiting}", done, len(todo),
        unique(write for step in open_steps for write in step.writes),
    )  # fmt: skip


def _phase(open_steps: list[Step], established: bool) -> LinkPhase:
    if any(step.refused for step in open_steps):
        return LinkPhase.FAILED
    if established or any(step.broken for step in open_steps):
        return LinkPhase.DEGRADED
    return LinkPhase.PEERING
