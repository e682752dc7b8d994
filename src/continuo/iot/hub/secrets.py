"""Secrets that the hub gives and knows again: codes of boards, realms, tokens. It keeps hashes only.

Codes are chosen by people, so their hash is keyed with a secret of the hub's own: a copy of one table is not enough to guess
them. Tokens and realms are made here with 256 bits, which nobody guesses.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable


def digest(secret: str) -> str:
    """What is kept of a secret that was made here."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def keyed(pepper: str, secret: str) -> str:
    """What is kept of a secret that a person may have chosen."""
    return hmac.new(pepper.encode(), secret.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def make_token() -> str:
    """A secret of 256 bits."""
    return _typed(32)


def make_code() -> str:
    """A registration code: at most 36 characters, as IoTronic wants."""
    return _typed(24)


def _typed(size: int) -> str:
    """As text that no command takes for an option."""
    while (text := secrets.token_urlsafe(size)).startswith("-"):
        pass
    return text


Make = Callable[[], str]
"""Makes secrets; tests bring their own."""
