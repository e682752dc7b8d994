"""Which Prometheus an operator may query: one address, and no half of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from continuo.cli.operator import operator


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--prometheus", "prometheus:9090"], "is no address of a Prometheus"),
        (["--prometheus-token-file", "FILE"], "need --prometheus URL"),
        (["--prometheus", "https://x", "--prometheus-ca-file", "FILE"], "holds no certificates"),
    ],
)
def test_half_of_it_is_refused(tmp_path: Path, options: list[str], says: str) -> None:
    file = tmp_path / "file"
    file.write_text("nothing")
    done = CliRunner().invoke(operator, [str(file) if option == "FILE" else option for option in options])
    assert says in str(done.exception or done.output) or says in done.output
    assert done.exit_code != 0
