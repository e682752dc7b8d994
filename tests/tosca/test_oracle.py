"""Another TOSCA parser agrees: about the examples and the bundled types, and about mistakes that both look for.

It knows plain TOSCA only, so it gets a copy without what CHARITY bends: the type of outputs, inputs of a data type,
attributes with dots. It runs in a process of its own because it keeps its errors in a global list.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from continuo.tosca.typedefs import source
from tosca.bad_blueprints import CASES, GOOD

EXAMPLES = Path(__file__).parents[2] / "examples"
AGREED = ("unknown-type", "missing-property", "unknown-property", "replicas-range", "replicas-text", "hint", "protocol",
          "port-range", "unknown-template-key")  # fmt: skip
JUDGE = """
import sys
from toscaparser.common.exception import ExceptionCollector
from toscaparser.tosca_template import ToscaTemplate
for path in sys.argv[1:]:
    try:
        ToscaTemplate(path)
        print(path, "valid")
    except Exception as error:
        print(path, "invalid", " ".join(str(error).split())[:300])
    ExceptionCollector.clear()
"""


def normalised(text: str) -> str:
    tree: dict[str, Any] = yaml.safe_load(text)
    topology = tree["topology_template"]
    places = {
        name: declared.get("default", {})
        for name, declared in topology.get("inputs", {}).items()
        if declared["type"] == "Charity.geolocation"
    }
    topology["inputs"] = {n: declared for n, declared in topology.get("inputs", {}).items() if n not in places}
    for template in topology["node_templates"].values():
        place = template.get("properties", {}).get("geolocation", {}).get("get_input")
        if place in places:
            template["properties"]["geolocation"] = places[place]
    outputs = {name: {"value": output["value"]} for name, output in topology.pop("outputs", {}).items()}
    plain = {name: output for name, output in outputs.items() if "." not in output["value"]["get_attribute"][-1]}
    return yaml.safe_dump({**tree, "topology_template": {**topology, "outputs": plain}})


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "charity_custom_types_v13.yaml").write_text(source())
    texts = {path.stem: path.read_text() for path in EXAMPLES.glob("*.yaml") if "tosca_definitions" in path.read_text()}
    texts |= {"good": GOOD} | {case.id: case.text for case in CASES if case.id in AGREED}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(normalised(text))
    paths = [str(folder / f"{name}.yaml") for name in texts]
    done = subprocess.run(
        [sys.executable, "-c", JUDGE, *paths], capture_output=True, text=True, timeout=120, check=True
    )
    lines = [line.split(" ", 1) for line in done.stdout.splitlines() if line.startswith("/")]
    return {Path(path).stem: verdict for path, verdict in lines}


@pytest.mark.parametrize("name", ["vr-tour-creator", "video-streaming", "edge-analytics", "good"])
def test_it_accepts_what_we_accept(verdicts: dict[str, str], name: str) -> None:
    assert verdicts[name] == "valid"


@pytest.mark.parametrize("name", AGREED)
def test_it_refuses_what_we_refuse(verdicts: dict[str, str], name: str) -> None:
    assert verdicts[name].startswith("invalid")
