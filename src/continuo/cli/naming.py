"""Names that options carry to API servers, refused here in one sentence instead of there, or never."""

from __future__ import annotations

import re

import click

from continuo.cli.failures import BadInput

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def kube_name(context: click.Context, parameter: click.Parameter, value: str) -> str:  # noqa: ARG001 - click's signature
    """For `callback=`: the name of an object."""
    if _NAME.fullmatch(value) is None:
        raise BadInput(
            f"{parameter.opts[0]} is {value!r}: it must be a name of at most 63 lower-case letters, digits and dashes that "
            "begins and ends with a letter or digit"
        )
    return value


def slice_class(context: click.Context, parameter: click.Parameter, value: str) -> str:  # noqa: ARG001 - click's signature
    """For `callback=`: a class of ResourceSlices that is ours to answer."""
    if value == "default":
        raise BadInput(f"{parameter.opts[0]} default is Liqo's own: choose another name")
    if _WORD.fullmatch(value) is None:
        raise BadInput(
            f"{parameter.opts[0]} is {value!r}: it must be a word of at most 63 letters, digits, dots, dashes and "
            "underscores, such as continuo"
        )
    return value
