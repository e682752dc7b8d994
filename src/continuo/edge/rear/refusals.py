"""What a seller refuses: an HTTP status, a word for programs, one sentence for people."""

from __future__ import annotations


class Refusal(Exception):
    """A request of a buyer that is not granted; `str()` is the sentence."""

    def __init__(self, status: int, code: str, sentence: str, *, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence, self.retry_after = status, code, sentence, retry_after


def bad(sentence: str) -> Refusal:
    """What was sent cannot be understood or must not be."""
    return Refusal(400, "bad-request", sentence)


def busy(sentence: str) -> Refusal:
    """The same request may succeed in a moment."""
    return Refusal(503, "busy", sentence, retry_after=1)
