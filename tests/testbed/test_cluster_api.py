"""Whether a bed gets Cluster API, and which definitions its management cluster serves then."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from continuo.resources.crds import own_crds
from continuo.resources.meta import Object
from continuo.testbed import capi, capi_choice
from continuo.testbed.bed import Plan
from continuo.testbed.errors import TestbedError
from continuo.testbed.tools import Tools


def _names(definitions: list[Object]) -> set[str]:
    return {definition["metadata"]["name"] for definition in definitions}


def test_nobody_stands_in_for_the_kinds_that_real_cluster_api_brings() -> None:
    ours = _names(own_crds())
    assert "lowlevelorchestrations.charity-project.eu" in ours
    assert not any(name.endswith("cluster.x-k8s.io") for name in ours)
    assert _names(list(Plan(cluster_api=True).served())) == ours
    assert {*ours, "clusters.cluster.x-k8s.io"} < _names(list(Plan().served()))
    assert Plan(cluster_api=True, definitions=[]).served() == []


def test_programs_that_are_not_there_are_named_with_the_command_that_gets_them(tmp_path: Path) -> None:
    said = capi_choice.impossible(Tools((tmp_path,))) or ""
    assert all(program in said for program in capi.PROGRAMS)
    assert said.endswith("are missing; get them with: continuo testbed build cluster-api")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_somebody_listens_on_is_taken(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((address, 0)) as other:
        monkeypatch.setattr(capi, "DEBUG_PORT", other.getsockname()[1])
        assert "is taken, and Cluster API's development provider can use no other" in (capi.port_taken() or "")
    assert capi.port_taken() is None


def test_a_folder_remembers_what_its_state_was_made_with(tmp_path: Path) -> None:
    assert capi_choice.kept(tmp_path) is None
    capi_choice.keep(tmp_path, False)
    capi_choice.keep(tmp_path, False)
    assert capi_choice.kept(tmp_path) is False
    with pytest.raises(TestbedError, match="was made without Cluster API"):
        capi_choice.keep(tmp_path, True)
