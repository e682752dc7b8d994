"""Which minor version of Kubernetes runs, and what state goes with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from continuo.testbed import minors
from continuo.testbed.cache import Cache
from continuo.testbed.errors import Missing, TestbedError


def test_the_usual_one_comes_first_and_there_are_two() -> None:
    assert minors.MINORS == ("1.36", "1.35")
    assert minors.USUAL == "1.36"


def test_only_the_usual_one_may_be_anybodys(tmp_path: Path) -> None:
    empty = Cache(tmp_path)
    assert minors.lacking("1.36", empty) is None
    assert minors.lacking("1.35", empty) == (
        "Kubernetes 1.35 is missing on this machine; get it with: continuo testbed build kubernetes-1.35"
    )
    assert "not pinned; there are 1.36, 1.35" in (minors.lacking("1.2", empty) or "")


def test_state_goes_up_and_not_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minors, "lacking", lambda _: None)
    assert minors.kept(tmp_path) is None
    minors.keep(tmp_path, "1.35")
    assert minors.kept(tmp_path) == "1.35"
    minors.keep(tmp_path, "1.36")
    with pytest.raises(TestbedError, match=r"made by Kubernetes 1\.36, which 1\.35 cannot read"):
        minors.keep(tmp_path, "1.35")
    assert minors.kept(tmp_path) == "1.36"


def test_what_is_not_here_is_refused_before_anything_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="not pinned"):
        minors.keep(tmp_path, "1.2")
    assert minors.kept(tmp_path) is None
