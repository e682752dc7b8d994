"""Texts as pickles, against the real pickle; every other pickle is refused."""

import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.iot.pickled import NotText, code_of, dumps, loads

TEXTS = st.text(st.characters(exclude_categories=[]))


@given(TEXTS)
def test_real_pickle_reads_what_we_write_and_we_read_what_it_writes(text: str) -> None:
    ours = dumps(text)
    assert ours.isascii()
    assert pickle.loads(ours.encode()) == text
    assert loads(ours) == text
    assert loads(pickle.dumps(text, 0).decode("latin-1")) == text


@given(st.text())
def test_a_pickled_source_and_a_plain_one_are_the_same_code(text: str) -> None:
    assert code_of(dumps(text)) == text


@given(st.binary(max_size=60))
def test_no_bytes_make_it_say_anything_but_a_text_or_a_refusal(data: bytes) -> None:
    try:
        text = loads(data.decode("latin-1"))
    except NotText:
        return
    assert pickle.loads(data) == text


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


@pytest.mark.parametrize(
    "value", [1, b"bytes", ["list"], {"a": 1}, None, 1.5, ("t",), _Evil()], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_other_pickles_are_refused(value: object, protocol: int) -> None:
    pickled = pickle.dumps(value, protocol).decode("latin-1")
    with pytest.raises(NotText):
        loads(pickled)
    with pytest.raises(NotText):
        code_of(pickled)


@pytest.mark.parametrize(
    "pickled",
    ["", "V", "Va\n", "Va\np0\n", "Va\np0\n.x", "Va\n.Vb\n.", "Va\np0\np1\n.", "Va\npx\n.", "V\\u12\n.", "Vé€\n.",
     "(Va\n.", "Va\nq\x00."],
)  # fmt: skip
def test_what_only_looks_like_a_pickled_text_is_refused(pickled: str) -> None:
    with pytest.raises(NotText):
        loads(pickled)


@pytest.mark.parametrize("source", ["x = 1.", "", "V = 2\nprint(V)\n", "# the end.", "not python at all"])
def test_plain_source_stays_as_it_is(source: str) -> None:
    assert code_of(source) == source
