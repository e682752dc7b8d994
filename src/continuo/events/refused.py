"""What a reader of events says when it does not carry one out."""

from __future__ import annotations


class Refused(Exception):
    """Not carried out, for good; `str()` is the sentence that stands beside it among the dead letters."""
