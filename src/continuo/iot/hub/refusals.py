"""What the hub refuses: a sentence, and the HTTP status that IoTronic has for it."""

from __future__ import annotations

from collections.abc import Iterable


class Refused(Exception):
    """`str()` is a sentence for whoever asked."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def bad(problems: str | Iterable[str]) -> Refused:
    """What was said is wrong; all that is wrong with it."""
    return Refused(400, problems if isinstance(problems, str) else "; ".join(problems))


def absent(kind: str, ident: str) -> Refused:
    """There is none, or none that the caller may know of."""
    return Refused(404, f"{kind} {ident} could not be found.")


def taken(sentence: str) -> Refused:
    """It is there already, or in the way."""
    return Refused(409, sentence)


def not_connected(board: str) -> Refused:
    """IoTronic's own sentence, which clients look for."""
    return Refused(400, f"Board {board} is not connected.")


def failed(action: str, board: str, message: str) -> Refused:
    """IoTronic's own sentence for what a board could not do."""
    return Refused(500, f"Error in the execution of {action} on {board}: {message}")
