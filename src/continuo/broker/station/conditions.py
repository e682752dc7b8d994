"""One condition of a Provider or Consumer: whether the virtual nodes that it means stand. Pure."""

from __future__ import annotations

from continuo.resources.meta import Object, condition


def standing(
    obj: Object, problems: list[str], waiting: list[str], nodes: list[str], now: str, *, leaving: bool = False
) -> Object | None:
    """The condition Ready as it should be; None when it is so. The time moves only when the value does."""
    generation = obj["metadata"].get("generation")
    if leaving:
        status, reason, message = (
            "False",
            "Leaving",
            f"it goes when nothing is left: {'; '.join([*problems, *waiting])}",
        )
    elif problems:
        status, reason, message = "False", "Unusable", "; ".join(problems)
    elif waiting:
        status, reason, message = "False", "NotConnected", "; ".join(waiting)
    else:
        status, reason = "True", "Connected"
        message = f"node {nodes[0]} stands" if len(nodes) == 1 else f"nodes {', '.join(nodes)} stand"
    message = message[:1024]
    before = condition(obj, "Ready")
    if before is not None and before.get("status") == status:
        if before.get("message") == message and before.get("observedGeneration") == generation:
            return None
        now = before["lastTransitionTime"]
    return {
        "type": "Ready", "status": status, "reason": reason, "message": message, "observedGeneration": generation,
        "lastTransitionTime": now,
    }  # fmt: skip
