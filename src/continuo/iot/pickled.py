"""IoTronic carries the code of plugins as a pickled text. This reads and writes such texts, and never unpickles.

A pickle is a program. Of all of them only the one that says "this text" is read here: the opcode of a text in protocol 0,
perhaps remembered once, and the end. What is written is ASCII, so nothing on the way can recode it.
"""

from __future__ import annotations

import re

_PICKLE = re.compile(rb"V([^\n]*)\n(?:p[0-9]{1,9}\n)?\.")
_ESCAPED = re.compile(r"[^\x20-\x5b\x5d-\x7e\t]")


class NotText(ValueError):
    """It is a pickle of something else than a text, or none."""


def dumps(text: str) -> str:
    """The text as a pickle of protocol 0, in ASCII."""
    return f"V{_ESCAPED.sub(_escape, text)}\np0\n."


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def loads(pickled: str) -> str:
    """The text of a pickle; raises NotText for every other one."""
    try:
        found = _PICKLE.fullmatch(pickled.encode("latin-1"))
    except UnicodeEncodeError:
        found = None
    if found is None:
        raise NotText("a pickled text is V, the text, a line's end and a full stop; any other pickle is refused")
    try:
        return found[1].decode("raw-unicode-escape")
    except UnicodeDecodeError as error:
        raise NotText(f"the pickled text has an escape that is none: {error.reason}") from None


def code_of(code: str) -> str:
    """Source that comes as it is or pickled; raises NotText for a pickle of anything else.

    The two cannot be confused: a last line that is a full stop alone is no Python.
    """
    if code.endswith("\n."):
        return loads(code)
    if code.endswith("."):
        _refuse_other_pickle(code)
    return code


def _refuse_other_pickle(code: str) -> None:
    """Every pickle ends in a full stop; a source that does (`x = 1.`) compiles."""
    try:
        compile(code, "<plugin>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        raise NotText("this is neither Python nor a pickled text; any other pickle is refused") from None
