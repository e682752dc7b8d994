"""The samples of the kinds of boards are taken. What is refused is in `bad_boards`, for every API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from continuo.embedded.engine import EmbeddedEngine
from continuo.embedded.port import Api, Write
from continuo.resources.boards import boards_crds

SAMPLES = Path(__file__).parents[2] / "docs" / "samples" / "boards"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    made = EmbeddedEngine().create_cluster("m")
    for definition in boards_crds():
        made.create(definition, Write(manager="test"))
    yield made


def test_samples_are_taken(api: Api) -> None:
    seen = 0
    for file in sorted(SAMPLES.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            if document["apiVersion"].startswith("iot.continuo.dev"):
                namespaced = document["kind"] != "ClusterProviderConfig"
                metadata = {**document["metadata"], **({"namespace": "default"} if namespaced else {})}
                api.create({**document, "metadata": metadata}, Write(dry_run=True, field_validation="Strict"))
                seen += 1
    assert seen >= 7
