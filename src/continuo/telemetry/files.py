"""`dashboards/` and docs/reference/metrics.md, made of the code.

`python -m continuo.telemetry.files` writes them, `--check` fails where one is stale.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from continuo.resources.meta import Object
from continuo.telemetry import rules
from continuo.telemetry.families import GROUPS
from continuo.telemetry.grafana import dashboard, provisioning
from continuo.telemetry.scraping import TARGETS_FILE, configuration, discovered, federation

_MADE = "Made by `python -m continuo.telemetry.files`; edit the code instead."
RULE_FILES = ("rules/recording.yaml", "rules/alerts.yaml")


def to_yaml(data: Object) -> str:
    """As people read it."""
    return yaml.safe_dump(data, sort_keys=False, width=120, allow_unicode=True)


def files() -> dict[str, str]:
    """Everything by its path below the checkout."""
    sample = configuration(
        {"continuo-operator": ["continuo-operator:8081"], "continuo-server": ["continuo-server:8081"]},
        [federation(discovered(TARGETS_FILE))], RULE_FILES,
    )  # fmt: skip
    data = {
        "rules/recording.yaml": rules.recording_file(),
        "rules/alerts.yaml": rules.alerts_file(),
        "prometheus.yml": sample,
        **provisioning(),
    }
    found = {f"dashboards/{name}": f"# {_MADE}\n{to_yaml(content)}" for name, content in data.items()}
    found[f"dashboards/{TARGETS_FILE}"] = "[]\n"
    found["dashboards/continuo.json"] = json.dumps(dashboard(), indent=2) + "\n"
    found["docs/reference/metrics.md"] = page()
    return found


def page() -> str:
    """The reference of all metrics."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f"<!-- {_MADE} -->"
    yield "# Metrics"
    yield ""
    yield "What Continuo's processes export at `/metrics`, and what rules make of it. How to collect and look at it is told"
    yield "in [Monitoring](../guides/monitoring.md). Times are in seconds, sizes in bytes, shares between 0 and 1."
    for title, part, families in GROUPS:
        who = part if part == "every part" else f"`continuo {part}`"
        yield from ("", f"## {title}", "", f"Exported by {who}.", "")
        yield from ("| Metric | Type | Labels | What it says |", "|---|---|---|---|")
        for family in families:
            labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
            yield f"| `{family.name}` | {family.kind} | {labels} | {family.help} |"
    yield from ("", "## Recorded", "", "Computed by `dashboards/rules/recording.yaml`.", "")
    yield from ("| Series | Of |", "|---|---|")
    for rule in rules.RECORDINGS:
        yield f"| `{rule.record}` | `{rule.expr.replace('|', chr(92) + '|')}` |"
    yield from ("", "## Alerts", "", "Raised by `dashboards/rules/alerts.yaml`.", "")
    yield from ("| Alert | Holds for | Severity | Says |", "|---|---|---|---|")
    for alert in rules.ALERTS:
        says = alert.summary.replace("{{ $labels.", "").replace(" }}", "")
        yield f"| `{alert.name}` | {alert.lasting} | {alert.severity} | {says} |"


def stale(root: Path) -> list[str]:
    """The files below a checkout that are not what the code says."""
    made = files()
    return [name for name, text in made.items() if not (root / name).is_file() or (root / name).read_text() != text]


def main(arguments: list[str] | None = None) -> int:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=Path())
    parser.add_argument("--check", action="store_true")
    said = parser.parse_args(arguments)
    if said.check:
        for name in (old := stale(said.root)):
            print(f"{name} is stale: run python -m continuo.telemetry.files", file=sys.stderr)
        return 1 if old else 0
    for name, text in files().items():
        path = said.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
