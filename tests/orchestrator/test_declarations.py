"""What is written to an orchestration's status, and what is not worth a write."""

from __future__ import annotations

import datetime
from unittest import mock

import pytest

from continuo.embedded.machinery.defaulting import apply_defaults
from continuo.events.publisher import Publisher
from continuo.orchestrator.declarations import Declarations
from continuo.resources.crds import own_crds
from continuo.resources.meta import Object
from continuo.resources.orchestration import LOW_LEVEL_ORCHESTRATION

pytestmark = pytest.mark.anyio
SAID: Object = {
    "observedGeneration": 1,
    "phase": "Ready",
    "clusters": [{"name": "green", "phase": "Ready", "message": "it is up"}],
}


async def written(seen: Object, said: Object) -> int:
    """How often that status is written over the other one."""
    management = mock.AsyncMock()
    management.patch.return_value = LOW_LEVEL_ORCHESTRATION.new("o", "default", status=said)
    declarations = Declarations(
        management, mock.Mock(), mock.Mock(), mock.Mock(spec=Publisher), mock.Mock(),
        lambda: datetime.datetime.now(datetime.UTC),
    )  # fmt: skip
    obj = LOW_LEVEL_ORCHESTRATION.new("o", "default", metadata={"resourceVersion": "1"}, status=seen)
    assert await declarations.write_status(obj, said) is not None
    return int(management.patch.await_count)


def stored(status: Object) -> Object:
    """The status as an API server gives it back."""
    (crd,) = [crd for crd in own_crds() if crd["spec"]["names"]["plural"] == LOW_LEVEL_ORCHESTRATION.plural]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    found: Object = apply_defaults(schema, status)
    return found


async def test_defaults_that_the_api_server_filled_in_are_no_reason_to_write() -> None:
    assert stored(SAID) != SAID, "there are some"
    assert await written(stored(SAID), SAID) == 0


async def test_what_differs_is_written() -> None:
    assert await written({}, SAID) == 1
    assert await written(stored({**SAID, "phase": "Degraded"}), SAID) == 1
    assert await written(stored({**SAID, "clusters": [{**SAID["clusters"][0], "cordoned": True}]}), SAID) == 1


async def test_what_another_version_wrote_and_nobody_understands_is_written_over() -> None:
    assert await written({**SAID, "phase": "Shining"}, SAID) == 1
