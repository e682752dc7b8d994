"""Secrets that people type or paste."""

from __future__ import annotations

import itertools

import pytest

from continuo.iot.hub import secrets


@pytest.mark.parametrize(("make", "length"), [(secrets.make_code, 32), (secrets.make_token, 43)])
def test_none_looks_like_an_option(make: secrets.Make, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = itertools.cycle(["-" * length, "-a" + "b" * (length - 2), "a-" + "b" * (length - 2)])
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: next(drawn))
    assert make() == "a-" + "b" * (length - 2)
    monkeypatch.undo()
    assert len(make()) == length
