"""The dashboard, the rules and the pages as files, and each alert as promtool judges it."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from continuo.resources.meta import Object
from continuo.telemetry import files
from continuo.telemetry.families import GROUPS
from continuo.telemetry.grafana import SCHEMA, dashboard
from continuo.telemetry.rules import ALERTS, RECORDINGS, alerts_file, recording_file

from .alert_cases import CASES
from .prometheus import promtool

ROOT = Path(__file__).resolve().parents[2]


def test_the_files_of_the_checkout_are_what_the_code_says() -> None:
    assert files.stale(ROOT) == [], "run python -m continuo.telemetry.files"


def test_what_is_stale_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert files.main([str(tmp_path), "--check"]) == 1
    assert "dashboards/continuo.json is stale" in capsys.readouterr().err
    assert files.main([str(tmp_path)]) == 0 and files.main([str(tmp_path), "--check"]) == 0


def test_names_are_the_conventional_ones() -> None:
    families = [family for _, _, group in GROUPS for family in group]
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.help.endswith(".") and len(family.labels) <= 5
        assert (family.kind == "counter") == family.name.endswith("_total"), family.name
        assert not family.name.endswith("_num") or family.legacy
        assert (family.kind == "histogram") == bool(family.buckets)
        assert not set(family.labels) & {"id", "owner", "uid", "namespace", "instance", "job"}


def test_panels_have_ids_and_places_of_their_own() -> None:
    board = dashboard()
    assert board["schemaVersion"] >= SCHEMA == 39 and "id" not in board and board["uid"] == "continuo"
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations(panels, 2):
        assert not _overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24 and place["w"] > 0 and place["h"] > 0
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}" and panel["targets"]
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    variables = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$([a-z]+)\b", json.dumps([panel.get("targets") for panel in panels])))
    assert used <= variables, used - variables


def _overlap(a: Object, b: Object) -> bool:
    return bool(
        a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]
    )


def test_promtool_finds_nothing_wrong(prometheus_folder: Path) -> None:
    folder = ROOT / "dashboards"
    said = promtool(prometheus_folder, "check", "rules", *map(str, sorted((folder / "rules").glob("*.yaml"))))
    assert f"{len(RECORDINGS)} rules found" in said and f"{len(ALERTS)} rules found" in said
    promtool(prometheus_folder, "check", "config", str(folder / "prometheus.yml"))


def test_every_alert_fires_when_it_should_and_not_otherwise(prometheus_folder: Path, tmp_path: Path) -> None:
    assert CASES.keys() == {alert.name for alert in ALERTS}
    for name, content in (("recording", recording_file()), ("alerts", alerts_file())):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    by_name = {alert["alert"]: alert for alert in alerts_file()["groups"][0]["rules"]}
    tests = []
    for name, case in CASES.items():
        rule = by_name[name]
        tests.append(_test(name, case.bad, case.minutes, [_expected(rule, case.labels)]))
        tests.append(_test(name, case.good, case.minutes, []))
        if case.early:
            tests.append(_test(name, case.bad, case.early, []))
    suite = {"rule_files": ["recording.yaml", "alerts.yaml"], "evaluation_interval": "30s", "tests": tests}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite))
    assert "SUCCESS" in promtool(prometheus_folder, "test", "rules", str(tmp_path / "suite.yaml"))


def _test(alert: str, series: dict[str, str], minutes: int, expected: list[Object]) -> Object:
    return {
        "interval": "30s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": f"{minutes}m", "alertname": alert, "exp_alerts": expected}],
    }


def _expected(rule: Object, labels: dict[str, str]) -> Object:
    """The alert as it is told, its sentences filled in."""
    annotations = dict(rule["annotations"])
    for name, value in labels.items():
        for key, text in annotations.items():
            annotations[key] = text.replace(f"{{{{ $labels.{name} }}}}", value)
    return {"exp_labels": {**rule["labels"], **labels}, "exp_annotations": annotations}
