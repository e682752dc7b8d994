"""Token files and TokenReviews on their own."""

from __future__ import annotations

from typing import Any

import pytest

from continuo.resources.errors import BadRequest
from continuo.resources.meta import Object
from continuo.server.tokens import TokenFile, TokenReviews

pytestmark = pytest.mark.anyio


async def test_a_token_file_is_kube_apiservers() -> None:
    tokens = TokenFile('# who\n\nt1,ann,1,"dev, ops"\nt2, bob ,2\n')
    ann, bob = await tokens.identify("t1"), await tokens.identify("t2")
    assert ann is not None and (ann.name, ann.groups) == ("ann", {"dev", "ops"})
    assert bob is not None and (bob.name, bob.groups) == ("bob", frozenset())
    assert await tokens.identify("t") is None and await tokens.identify("ann") is None
    assert "t1" not in repr(vars(tokens)), "tokens themselves are not kept"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no tokens"),
        ("t1,ann\n", "line 1: must be token,user,uid"),
        (",ann,1\n", "line 1: must be token"),
        ("t1,ann,1\nt1,bob,2\n", "line 2: this token was given before, to ann"),
        ("t1,ann,1,dev,ops\n", "not 5 fields"),
    ],
)
def test_a_bad_token_file_names_the_line(text: str, says: str) -> None:
    with pytest.raises(BadRequest) as refused:
        TokenFile(text)
    assert says in str(refused.value) and "t1" not in str(refused.value)


class Reviewer:
    """Answers TokenReviews from a table."""

    def __init__(self, status: Object) -> None:
        self.status, self.asked = status, 0

    async def create(self, obj: Object, **_: Any) -> Object:
        self.asked += 1
        return {**obj, "status": self.status}


async def test_answers_are_remembered_for_their_time() -> None:
    clock = [0.0]
    reviewer = Reviewer({"authenticated": True, "user": {"username": "ann", "groups": ["dev"]}})
    reviews = TokenReviews(reviewer, clock=lambda: clock[0])  # type: ignore[arg-type]
    for now, asked in ((0.0, 1), (59.0, 1), (61.0, 2)):
        clock[0] = now
        subject = await reviews.identify("t")
        assert subject is not None and subject.groups == {"dev"} and reviewer.asked == asked
    reviewer.status = {"authenticated": False}
    for now, asked in ((62.0, 3), (66.0, 3), (68.0, 4)):
        clock[0] = now
        assert await reviews.identify("other") is None and reviewer.asked == asked


async def test_a_token_for_somebody_else_is_not_ours() -> None:
    status = {"authenticated": True, "user": {"username": "ann"}}
    for audiences, known in ((["continuo"], True), (["vault"], False), ([], False)):
        reviews = TokenReviews(Reviewer({**status, "audiences": audiences}), audiences=["continuo"])  # type: ignore[arg-type]
        assert (await reviews.identify("t") is not None) == known
