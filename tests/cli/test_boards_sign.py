"""`continuo boards sign`: what boards check is what it signed, whether a plugin, a workload or a slice's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from continuo.cli.boards_sign import sign
from continuo.iot.agent.workloads.spec import check_signature
from continuo.iot.compose.claim import CONTINUUM_SLICE
from continuo.iot.signing import Signature, load_key, public_hex, verify

GROUP = "iot.continuo.dev/v1alpha1"


def _signed(tmp_path: Path, text: str, name: str = "all.yaml", *options: str) -> Result:
    file = tmp_path / name
    file.write_text(text)
    return CliRunner().invoke(sign, [str(file), "--key", str(tmp_path / "key.pem"), "--name", "ops", *options])


def _keys(tmp_path: Path) -> dict[str, str]:
    return {"ops": public_hex(load_key(tmp_path / "key.pem"))}


def _object(kind: str, **parameters: Any) -> dict[str, Any]:
    return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": "x"}, "spec": {"forProvider": parameters}}


def test_plugins_and_workloads_of_a_manifest_are_signed_and_nothing_else_changes(tmp_path: Path) -> None:
    given = [
        _object("Fleet"),
        _object("Plugin", code="print(1)\n"),
        {"apiVersion": "v1", "kind": "List", "items": [
            _object("Workload", command=["env"], env={"A": "ü"}, secretEnv={"PW": {"name": "s", "key": "k"}})]},
    ]  # fmt: skip
    done = _signed(tmp_path, yaml.safe_dump_all(given))
    assert done.exit_code == 0, done.output
    fleet, plugin, listed = yaml.safe_load_all(done.stdout)
    verify(_keys(tmp_path), Signature.read(plugin["spec"]["forProvider"].pop("signature")), "print(1)\n")
    said = listed["items"][0]["spec"]["forProvider"]
    signature = said.pop("signature")
    assert [fleet, plugin, listed] == given
    wanted = {"runtime": "process", "command": ["env"], "env": {"A": "ü", "PW": "secret"}}
    check_signature({**wanted, "extra": {"signature": signature}}, _keys(tmp_path), False)


def test_parts_of_a_slice_are_signed_with_the_addresses_that_they_will_be_given_left_open(tmp_path: Path) -> None:
    workload = {"name": "w", "command": ["env"], "endpoints": [{"env": "API", "app": "a", "component": "c"}]}
    spec = {"plugins": [{"name": "p", "code": "print(1)\n"}], "workloads": [workload]}
    claim = {
        "apiVersion": CONTINUUM_SLICE.api_version,
        "kind": CONTINUUM_SLICE.kind,
        "metadata": {"name": "s"},
        "spec": spec,
    }
    done = _signed(tmp_path, yaml.safe_dump(claim))
    assert done.exit_code == 0, done.output
    made = yaml.safe_load(done.stdout)["spec"]
    verify(_keys(tmp_path), Signature.read(made["plugins"][0]["signature"]), "print(1)\n")
    signature = made["workloads"][0]["signature"]
    assert signature["openEnv"] == ["API"]
    check_signature(
        {"command": ["env"], "env": {"API": "http://1.2.3.4"}, "extra": {"signature": signature}},
        _keys(tmp_path),
        False,
    )


def test_a_modules_signature_is_printed(tmp_path: Path) -> None:
    done = _signed(tmp_path, "print(2)\n", "plugin.py")
    assert done.exit_code == 0, done.output
    verify(_keys(tmp_path), Signature.read(yaml.safe_load(done.stdout)["signature"]), "print(2)\n")


def test_what_is_granted_is_signed_with_the_code(tmp_path: Path) -> None:
    grants = {"network": True, "memory": "64Mi", "time": 60}
    done = _signed(tmp_path, "print(2)\n", "plugin.py", "--grant=network", "--grant=memory=64Mi", "--grant=time=60")
    assert done.exit_code == 0, done.output
    verify(_keys(tmp_path), Signature.read(yaml.safe_load(done.stdout)["signature"]), "print(2)\n", grants)
    made = yaml.safe_load(_signed(tmp_path, yaml.safe_dump(_object("Plugin", code="print(2)\n", grants=grants))).stdout)
    signature = Signature.read(made["spec"]["forProvider"]["signature"])
    verify(_keys(tmp_path), signature, "print(2)\n", grants)
    for wrong in ("disk=1", "memory", "network=yes", ""):
        refused = _signed(tmp_path, "print(2)\n", "plugin.py", f"--grant={wrong}")
        assert refused.exit_code == 2 and f"--grant {wrong}: it is network, or one of" in refused.stderr
    refused = _signed(tmp_path, yaml.safe_dump(_object("Plugin", code="print(2)\n")), "all.yaml", "--grant=network")
    assert refused.exit_code == 2 and "--grant is for modules" in refused.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (yaml.safe_dump(_object("Board")), "has no Plugin, Workload or ContinuumSlice with something to sign"),
        (yaml.safe_dump(_object("Plugin", codeFrom={})), "Plugin x has its code elsewhere"),
        (yaml.safe_dump(_object("Workload", env=[1])), "Workload x is no workload that could be signed"),
        (yaml.safe_dump(_object("Workload", signature="x")), "Workload x is no workload that could be signed"),
        ("a: [", "is no YAML"),
        ("- 1", "has no Plugin"),
    ],
)
def test_what_cannot_be_signed(tmp_path: Path, text: str, sentence: str) -> None:
    done = _signed(tmp_path, text)
    assert done.exit_code == 2, done.output
    assert sentence in done.stderr
