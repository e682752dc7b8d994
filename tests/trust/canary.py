"""Listens to all that is logged, for what must never be in it."""

from __future__ import annotations

import logging
import re

SECRETS = re.compile(r"PRIVATE KEY|eyJ[\w-]{10,}\.[\w-]{10,}|-----BEGIN EC|MIGHAgEA")
"""Keys in PEM, tokens, PKCS#8 in base64."""


class Canary(logging.Handler):
    """Keeps the lines that have a secret in them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = logging.Formatter().format(record)
        if SECRETS.search(line):
            self.found.append(line)
