"""Names of people to names of Kubernetes."""

from __future__ import annotations

import re

MAX_SLUG = 53
"""A DNS label has 63 characters; ten are left for what others append."""

_OTHER = re.compile(r"[^a-z0-9]+")
_NOT_A_PORT_NAME = re.compile(r"[^-A-Za-z0-9_.]+")


def slug(text: str) -> str:
    """Lower case, with a dash for every run of other characters; may be empty."""
    return _OTHER.sub("-", text.lower()).strip("-")[:MAX_SLUG].rstrip("-")


def port_name(text: str) -> str:
    """A connection point's name as far as a port's name may show it; may be empty."""
    return _NOT_A_PORT_NAME.sub("-", text).strip("-_.")[:63].rstrip("-_.")
