"""Every wrong blueprint gets its sentence, at its line; the good one gets none."""

import pytest

from continuo.tosca.convert import Options, convert_text
from tosca.bad_blueprints import CASES, CLUSTERS, GOOD, INPUTS, Case


def test_the_good_blueprint_has_no_problem() -> None:
    conversion = convert_text(GOOD, Options(owner="dev", clusters=CLUSTERS, inputs=INPUTS))
    assert conversion.problems == ()
    assert conversion.app is not None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_wrong_blueprint_gets_its_sentence(case: Case) -> None:
    options = Options(owner="dev", clusters=CLUSTERS, inputs=case.inputs)
    conversion = convert_text(case.text, options, file="shop.yaml")
    found = [p for p in conversion.problems if p.code == case.code and case.says in str(p)]
    assert found, [str(problem) for problem in conversion.problems]
    assert (found[0].line, found[0].severity, found[0].file) == (case.line, case.severity, "shop.yaml")
    assert found[0].column >= 1 and found[0].message.endswith(".")
    assert (conversion.app is None) == (case.severity == "error")


def test_cases_have_different_names_and_are_many() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 60


def test_one_mistake_is_reported_once() -> None:
    """A wrong name must not drag findings about everything that refers to it behind it."""
    noisy = {case.id: len(convert_text(case.text, Options("dev", CLUSTERS, case.inputs)).errors) for case in CASES}
    assert {name: count for name, count in noisy.items() if count > 1} == {}
