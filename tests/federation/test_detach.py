"""A virtual node is taken away: what may still run there ends before its pods at home are given up."""

from __future__ import annotations

import pytest

from broker.paths.clusters import until, world
from continuo.embedded.port import StoredChange
from continuo.federation.reflection.detach import LOOKS, Detachment
from continuo.federation.reflection.engine import Settings
from continuo.federation.reflection.fleet import Fleet, Peer
from continuo.federation.reflection.hub import Hub
from continuo.resources import kinds
from continuo.resources.meta import is_true

pytestmark = pytest.mark.anyio


class Flickering(Hub):
    """A cluster that does not answer the first times that it is asked how it is."""

    silent = 0

    async def away(self) -> str | None:
        self.silent -= 1
        return "it does not answer" if self.silent >= 0 else None


@pytest.mark.parametrize(("silent", "first"), [(LOOKS - 1, "milan"), (LOOKS, "rome")])
async def test_one_look_that_fails_gives_nothing_up(silent: int, first: str) -> None:
    async with world() as clusters:
        home, far = clusters.make("rome", liqo=False, nodes=0), clusters.make("milan", liqo=False)
        fleet = Fleet(beat=0.1)
        for client in (home, far):
            fleet.add_cluster(client)
        await fleet.put(Peer("rome", "milan", Settings("far", frozenset({"default"}))))
        await fleet.ready("rome", "far")
        await home.create(kinds.POD.new("p", "default", spec={
            "nodeName": "far", "tolerations": [{"operator": "Exists"}], "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", "image": "i"}],
        }))  # fmt: skip
        await until(home, kinds.POD, lambda found: [is_true(obj, "Ready") for obj in found] == [True])
        await fleet.close()
        gone: list[str] = []

        def listen(name: str) -> None:
            def changed(change: StoredChange) -> None:
                if change.type == "DELETED":
                    gone.append(name)

            clusters.engine.cluster(name).listen(kinds.POD, changed)

        listen("rome")
        listen("milan")
        remote = Flickering(far)
        remote.silent = silent
        said: list[str] = []
        await Detachment(Hub(home), remote, "far", said.append, look=0.01).run()
        assert gone == [first, "milan" if first == "rome" else "rome"] and said[-1] == ""
        assert [obj for obj in clusters.engine.cluster("rome").list(kinds.NODE)] == []
