"""A plan under construction knows its steps without looking through them: each of thousands is asked for by others."""

from __future__ import annotations

from collections.abc import Iterator

from continuo.orchestrator.plan import Action, Draft, Step, Target


class Untouched(list[Step]):
    def __iter__(self) -> Iterator[Step]:
        raise AssertionError("the steps were looked through")


def test_a_step_is_known_by_its_id_without_looking_through_all() -> None:
    draft = Draft(steps=Untouched())
    assert "component/shop/web" not in draft
    added = draft.add(Step("component/shop/web", Action.DEPLOY, Target("component", "shop/web")))
    assert added in draft and "component/shop" not in draft
