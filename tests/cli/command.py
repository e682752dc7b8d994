"""Calling `continuo` as a shell does, without paying for a new interpreter each time."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from unittest import mock

from continuo.cli.main import main


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on stderr of a command that failed."""
        (line,) = self.err.strip().splitlines()
        return line


def continuo(*arguments: str, stdin: str = "") -> Answer:
    """Run one command through its entry point."""
    out, err = io.StringIO(), io.StringIO()
    argv = mock.patch.object(sys, "argv", ["continuo", *arguments])
    reading = mock.patch.object(sys, "stdin", io.StringIO(stdin))
    with argv, reading, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Answer(code, out.getvalue(), err.getvalue())
