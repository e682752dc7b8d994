"""What makes the first impression: help that answers at once, and the demo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = (
    "aiohttp",
    "msgspec",
    "rich",
    "yaml",
    "cryptography",
    "starlette",
    "fastapi",
    "uvicorn",
    "lightkube",
    "asyncio",
)


def test_help_imports_nothing_heavy() -> None:
    program = f"""
import sys
sys.argv = ["continuo", "--help"]
from continuo.cli.main import main
try:
    main()
except SystemExit as end:
    assert end.code == 0
print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "Commands:" in done.stdout and "  demo " in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_the_demo_ends_well_only_when_everything_is_ready(tmp_path: Path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "continuo.cli.main", *arguments, "--data", str(tmp_path / "data")]
        return subprocess.run(program, capture_output=True, text=True, check=False)

    try:
        hasty = command("demo", "--timeout", "0.2")
        assert hasty.returncode == 1 and "not ready after 0.2 s" in hasty.stderr
        done = command("demo", "--timeout", "120")
        assert done.returncode == 0, done.stderr
        assert "✔ vr-tour-creator  Ready" in done.stdout and "green ⇄ rose  Connected" in done.stdout
        assert "continuo down" in done.stdout and "kubectl" in done.stdout
        unknown = command("demo", "nothing")
        assert unknown.returncode == 2 and "vr-tour-creator" in unknown.stderr
    finally:
        assert command("down").returncode == 0
