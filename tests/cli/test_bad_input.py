"""Every wrong orchestration and blueprint of the tables, put in at the front door; and the page that lists them."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from continuo.cli.failures import sentence
from continuo.cli.host import Host
from continuo.kube.config import connect
from continuo.kube.transport import Transports
from continuo.resources.errors import BadRequest, Invalid
from continuo.resources.meta import Kind
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION
from resources import bad_orchestrations
from tosca import bad_blueprints

from . import errors_page
from .command import continuo

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"


@pytest.fixture
async def answers() -> AsyncIterator[dict[str, str]]:
    """What the embedded API server says to each wrong orchestration."""
    host = Host(None, seed=1)
    await host.start()
    transports = Transports()
    api = connect(host.engine.kubeconfig("management"), name="management", transports=transports)
    try:
        good = await api.create(bad_orchestrations.GOOD)
        version = good["metadata"]["resourceVersion"]
        yield {case.name: await _answer(api, case, version) for case in bad_orchestrations.CASES}
    finally:
        await api.close()
        await host.stop()


async def _answer(api: Any, case: bad_orchestrations.Case, version: str) -> str:
    """The sentence for creating (or replacing) it with strict field validation, as kubectl asks for."""
    obj = copy.deepcopy(case.build())
    if not case.old and obj["metadata"]["name"] == bad_orchestrations.GOOD["metadata"]["name"]:
        obj["metadata"]["name"] = "another"
    name = obj["metadata"]["name"] if case.old else None
    path = LOW_LEVEL_ORCHESTRATION.path("default", name)
    if case.old:
        obj["metadata"]["resourceVersion"] = version
    verb, method = ("replace", "PUT") if case.old else ("create", "POST")
    try:
        await api._send(verb, method, path, {"fieldValidation": "Strict"}, json.dumps(obj).encode(), "application/json")
    except (Invalid, BadRequest) as error:
        assert error.code == (400 if case.strict else 422), (case.name, error.code)
        return sentence(error)
    return "accepted"


@pytest.mark.anyio
async def test_the_api_server_refuses_each_with_its_sentence(answers: dict[str, str]) -> None:
    wrong = []
    for case in bad_orchestrations.CASES:
        said = answers[case.name]
        missing = [fragment for fragment in case.says if fragment not in said]
        if missing:
            wrong.append((case.name, missing, said))
    assert wrong == []


@pytest.mark.parametrize("case", bad_blueprints.CASES, ids=lambda case: case.id)
def test_convert_refuses_each_blueprint_at_its_line(case: bad_blueprints.Case, tmp_path: Path) -> None:
    arguments = errors_page.arguments(case, tmp_path)
    answer = continuo("tosca", "convert", *arguments)
    file = tmp_path / "shop.yaml"
    found = [line for line in answer.err.splitlines() if case.says in line]
    assert found and found[0].startswith(f"{file}:{case.line}:"), answer.err
    assert found[0].removeprefix(f"{file}:{case.line}:").split(":")[0].isdigit(), "the column"
    assert answer.code == (2 if case.severity == "error" else 0)
    assert answer.out == "" or case.severity != "error"


def test_there_are_enough_of_them() -> None:
    assert len(bad_orchestrations.CASES) + len(bad_blueprints.CASES) >= 120
    assert isinstance(LOW_LEVEL_ORCHESTRATION, Kind)


@pytest.mark.anyio
async def test_the_page_says_what_is_said(answers: dict[str, str], tmp_path: Path) -> None:
    expected = errors_page.page(answers, tmp_path)
    if errors_page.REWRITE:
        PAGE.write_text(expected, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == expected, (
        "stale: CONTINUO_REWRITE=1 python -m pytest tests/cli/test_bad_input.py"
    )


def test_the_examples_of_the_tables_are_good_without_their_mistake(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(bad_blueprints.GOOD, encoding="utf-8")
    options = [part for name, value in bad_blueprints.INPUTS.items() for part in ("-i", f"{name}={value}")]
    answer = continuo("tosca", "convert", str(file), *options, "-o", "yaml")
    assert (answer.code, answer.err) == (0, "")
    assert list(yaml.safe_load_all(answer.out))[-1]["kind"] == "LowLevelOrchestration"
