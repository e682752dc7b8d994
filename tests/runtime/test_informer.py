from __future__ import annotations

import asyncio
import random

import pytest
from runtime_double import WIDGET, Double, run, widget

from continuo.kube.port import Change
from continuo.resources.errors import Forbidden
from continuo.resources.meta import Object, key_of
from continuo.runtime.informer import Informer, Watch


class Told:
    """What handlers were told, folded into a state of its own."""

    def __init__(self) -> None:
        self.state: dict[tuple[str, str], str] = {}
        self.calls: list[str] = []

    def __call__(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self.calls.append(f"-{old['metadata']['name']}")
            del self.state[key_of(old)]
            return
        before = self.state.get(key_of(new))
        assert before == (old["metadata"]["resourceVersion"] if old else None)
        self.calls.append(f"{'~' if old else '+'}{new['metadata']['name']}")
        self.state[key_of(new)] = new["metadata"]["resourceVersion"]


def following(cluster: Double, **watch: object) -> tuple[Informer, Told]:
    informer = Informer(cluster, Watch(WIDGET, **watch), rng=random.Random(1))  # type: ignore[arg-type]
    told = Told()
    informer.on_change(told)
    informer.start()
    return informer, told


async def settle(seconds: float = 1.0) -> None:
    await asyncio.sleep(seconds)


def test_what_exists_is_listed_and_what_changes_is_watched() -> None:
    async def main() -> None:
        cluster = Double()
        cluster.put(widget("a"))
        informer, told = following(cluster)
        await informer.synced.wait()
        cluster.put(widget("b"))
        cluster.put(widget("a", spec={"size": 2}))
        cluster.remove(WIDGET, "b")
        await settle()
        assert told.calls == ["+a", "+b", "~a", "-b"]
        assert [obj["spec"]["size"] for obj in informer.cache] == [2]
        assert cluster.requests == {"list": 1, "watch": 1}
        await informer.stop()

    run(main())


def test_a_cut_connection_is_taken_up_without_a_list() -> None:
    async def main() -> None:
        cluster = Double()
        informer, told = following(cluster)
        await informer.synced.wait()
        await settle()
        cluster.put(widget("a"))
        cluster.break_watches()
        cluster.put(widget("b"))
        await settle(5)
        assert told.calls == ["+a", "+b"]
        assert cluster.requests["list"] == 1
        assert cluster.requests["watch"] >= 2
        await informer.stop()

    run(main())


def test_an_expired_version_is_listed_again_and_deletions_are_not_missed() -> None:
    async def main() -> None:
        cluster = Double()
        for name in "abc":
            cluster.put(widget(name))
        informer, told = following(cluster)
        await informer.synced.wait()
        await settle()
        cluster.down = True
        cluster.break_watches()
        await settle()
        cluster.remove(WIDGET, "a")
        cluster.put(widget("b", spec={"size": 2}))
        cluster.put(widget("d"))
        cluster.forget_log()
        cluster.down = False
        await settle(60)
        assert sorted(told.calls) == ["+a", "+b", "+c", "+d", "-a", "~b"]
        assert told.state == cluster.truth(WIDGET)
        assert cluster.requests["list"] == 2
        await informer.stop()

    run(main())


def test_bookmarks_move_the_version_so_that_a_quiet_kind_does_not_expire() -> None:
    async def main() -> None:
        cluster = Double()
        informer, _ = following(cluster)
        await informer.synced.wait()
        for _ in range(5):
            cluster.put({"apiVersion": "v1", "kind": "Other", "metadata": {"name": "x", "namespace": "n"}})
        cluster.bookmark(WIDGET)
        await settle()
        cluster.forget_log()
        cluster.break_watches()
        await settle(30)
        assert cluster.requests["list"] == 1
        await informer.stop()

    run(main())


def test_a_server_that_is_away_makes_the_cache_stale_until_it_answers_again() -> None:
    async def main() -> None:
        cluster = Double()
        informer, told = following(cluster)
        await informer.synced.wait()
        await settle()
        assert informer.stale_since is None
        cluster.down = True
        cluster.break_watches()
        away = asyncio.get_running_loop().time()
        await settle(600)
        assert informer.stale_since == pytest.approx(away, abs=0.1)
        assert "is down" in str(informer.last_error)
        assert cluster.requests["watch"] < 40, "failures back off"
        cluster.down = False
        await settle(60)
        assert informer.stale_since is None
        assert informer.last_error is None
        cluster.put(widget("a"))
        await settle()
        assert told.calls == ["+a"]
        await informer.stop()

    run(main())


def test_a_refused_list_is_tried_again_and_wake_ends_the_wait() -> None:
    async def main() -> None:
        cluster = Double()
        cluster.refuse = Forbidden("widgets are forbidden")
        informer, _ = following(cluster)
        await settle(300)
        assert not informer.synced.is_set()
        cluster.refuse = None
        before = asyncio.get_running_loop().time()
        informer.wake()
        await informer.synced.wait()
        assert asyncio.get_running_loop().time() - before < 0.1
        await informer.stop()

    run(main())


def test_a_server_that_ends_every_watch_is_not_flooded() -> None:
    async def main() -> None:
        cluster = Double()
        cluster.end_watches_after = 0
        informer, told = following(cluster)
        await informer.synced.wait()
        cluster.put(widget("a"))
        await settle(600)
        assert cluster.requests["watch"] < 60
        cluster.end_watches_after = None
        await settle(60)
        assert told.state == cluster.truth(WIDGET)
        await informer.stop()

    run(main())


def test_an_optional_kind_that_is_not_installed_is_empty_and_costs_nothing() -> None:
    async def main() -> None:
        cluster = Double()
        cluster.unserved.add(WIDGET)
        informer, told = following(cluster, optional=True)
        await informer.synced.wait()
        assert not informer.served
        await settle(500)
        assert cluster.requests["list"] == 1
        cluster.unserved.clear()
        cluster.put(widget("a"))
        informer.wake()
        await settle()
        assert informer.served
        assert told.calls == ["+a"]
        cluster.unserved.add(WIDGET)
        cluster.break_watches()
        await settle(30)
        assert told.calls == ["+a", "-a"]
        await informer.stop()

    run(main())


def test_a_kind_that_comes_a_moment_after_its_announcement_is_found() -> None:
    async def main() -> None:
        cluster = Double()
        cluster.unserved.add(WIDGET)
        informer, told = following(cluster, optional=True)
        await informer.synced.wait()
        await settle(5)
        informer.wake()
        await settle(2)
        cluster.unserved.clear()
        cluster.put(widget("a"))
        await settle(5)
        assert told.calls == ["+a"]
        await informer.stop()

    run(main())


def test_a_kind_that_is_installed_is_told_even_while_there_is_no_object_of_it() -> None:
    async def main() -> None:
        cluster, told = Double(), []
        cluster.unserved.add(WIDGET)
        informer, _ = following(cluster, optional=True)
        informer.on_recovery = lambda: told.append("here")
        await informer.synced.wait()
        informer.wake()
        await settle(5)
        assert told == []
        cluster.unserved.clear()
        informer.wake()
        await settle()
        assert told == ["here"]
        await informer.stop()

    run(main())


def test_indexes_follow_every_change() -> None:
    async def main() -> None:
        cluster = Double()
        by_color = {"color": lambda obj: [obj["spec"]["color"]] if "spec" in obj else []}
        informer, _ = following(cluster, indexers=by_color)
        await informer.synced.wait()
        cluster.put(widget("a", spec={"color": "red"}))
        cluster.put(widget("b", spec={"color": "red"}))
        cluster.put(widget("a", spec={"color": "blue"}))
        await settle()
        cache = informer.cache
        assert [obj["metadata"]["name"] for obj in cache.by_index("color", "red")] == ["b"]
        assert [obj["metadata"]["name"] for obj in cache.by_index("color", "blue")] == ["a"]
        cluster.remove(WIDGET, "b")
        cluster.put(widget("a"))
        await settle()
        assert list(cache.index_values("color")) == []
        await informer.stop()

    run(main())


def test_managed_fields_are_dropped_unless_told_otherwise() -> None:
    async def main() -> None:
        cluster = Double()
        cluster.put(widget("a", metadata={"managedFields": [{"manager": "x"}]}))
        lean, _ = following(cluster)
        full, _ = following(cluster, trim=lambda obj: obj)
        await lean.synced.wait()
        await full.synced.wait()
        assert ["managedFields" in obj["metadata"] for obj in [*lean.cache, *full.cache]] == [False, True]
        await lean.stop()
        await full.stop()

    run(main())


@pytest.mark.handlers_may_fail
def test_a_handler_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        cluster = Double()
        informer = Informer(cluster, Watch(WIDGET))
        informer.on_change(lambda old, new: 1 / 0)
        told = Told()
        informer.on_change(told)
        informer.start()
        await informer.synced.wait()
        cluster.put(widget("a"))
        await settle()
        assert told.calls == ["+a"]
        await informer.stop()

    run(main())
    assert "a handler of widgets.example.dev failed" in caplog.text


def test_an_event_that_makes_no_sense_leads_to_a_new_list() -> None:
    async def main() -> None:
        cluster = Double()
        informer, told = following(cluster)
        await informer.synced.wait()
        cluster._append(Change("ADDED", {"kind": "Widget", "metadata": {"resourceVersion": "9"}}))
        cluster._version += 1
        cluster.break_watches()
        cluster.put(widget("a"))
        cluster.forget_log()
        await settle(30)
        assert told.state == cluster.truth(WIDGET)
        assert informer.stale_since is None
        await informer.stop()

    run(main())


@pytest.mark.parametrize("seed", range(20))
def test_after_any_story_the_cache_is_what_the_server_has(seed: int) -> None:
    """Random writes, cut connections, trimmed logs and outages, in random order."""

    async def main() -> None:
        rng, cluster = random.Random(seed), Double()
        informer, told = following(cluster)
        for _ in range(200):
            name = f"w{rng.randrange(12)}"
            match rng.choices(
                ["put", "remove", "cut", "trim", "outage", "bookmark", "pause"], [40, 20, 5, 4, 2, 4, 25]
            )[0]:
                case "put":
                    cluster.put(widget(name, spec={"size": rng.random()}))
                case "remove" if ("default", name) in cluster.truth(WIDGET):
                    cluster.remove(WIDGET, name)
                case "cut":
                    cluster.break_watches()
                case "trim":
                    cluster.forget_log()
                case "bookmark":
                    cluster.bookmark(WIDGET)
                case "outage":
                    cluster.down = not cluster.down
                    cluster.break_watches()
                case "pause":
                    await settle(rng.random() * 3)
        cluster.down = False
        await settle(120)
        cached = {key_of(obj): obj["metadata"]["resourceVersion"] for obj in informer.cache}
        assert cached == cluster.truth(WIDGET)
        assert told.state == cached
        await informer.stop()

    run(main())


def test_stopping_ends_the_task() -> None:
    async def main() -> None:
        cluster = Double()
        informer, told = following(cluster)
        await informer.synced.wait()
        await informer.stop()
        cluster.put(widget("late"))
        await settle()
        assert told.calls == []
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_an_answer_is_known_before_the_watch_tells_it() -> None:
    async def main() -> None:
        cluster = Double()
        cluster.put(widget("a"))
        informer, told = following(cluster)
        await informer.synced.wait()
        await settle()
        between = cluster.put(widget("a", spec={"size": 2}))
        informer.learn(cluster.put(widget("a", spec={"size": 3})))
        assert told.calls == ["+a", "~a"]
        await settle()
        assert between["metadata"]["resourceVersion"] == "2"
        assert told.calls == ["+a", "~a"], "what was between is no step back"
        assert told.state == cluster.truth(WIDGET)
        await informer.stop()

    run(main())


def test_an_answer_that_comes_after_the_watch_changes_nothing() -> None:
    async def main() -> None:
        cluster = Double()
        informer, told = following(cluster)
        await informer.synced.wait()
        await settle()
        late = [cluster.put(widget("a")), cluster.put(widget("b"))]
        cluster.put(widget("a", spec={"size": 2}))
        cluster.remove(WIDGET, "b")
        await settle()
        for answer in late:
            informer.learn(answer)
        assert told.state == cluster.truth(WIDGET)
        assert list(informer.cache.keys()) == [("default", "a")]
        await informer.stop()

    run(main())
