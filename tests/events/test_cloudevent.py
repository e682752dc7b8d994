"""CloudEvents in and out; what is wrong is a sentence."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.events.cloudevent import Event, InvalidEvent, decode, decode_many, from_attributes
from continuo.events.types import parts_of, type_of

GOOD = {
    "specversion": "1.0", "id": "abc-1/000001", "source": "/orchestrations/default/shop",
    "type": "dev.continuo.cluster.create.started.v1", "time": "2026-01-31T09:00:00Z", "subject": "cluster/green",
    "datacontenttype": "application/json", "taskid": "abc-1", "sequence": "000001", "data": {"percent": 3},
}  # fmt: skip


def body(**changed: object) -> bytes:
    return msgspec.json.encode({name: value for name, value in {**GOOD, **changed}.items() if value is not None})


def test_what_goes_out_comes_in() -> None:
    event = decode(body(comexampleother=3, flag=True))
    assert event.taskid == "abc-1" and event.more == {"comexampleother": "3", "flag": "true"}
    assert event.data == {"percent": 3}
    assert decode(event.encode()) == event
    assert event.attributes()["specversion"] == "1.0" and "data" not in event.attributes()


def test_types() -> None:
    assert type_of("cluster.create", "started") == GOOD["type"]
    assert parts_of(GOOD["type"]) == ("cluster.create", "started")
    assert [parts_of(text) for text in ("com.example.thing", "dev.continuo.v1", "dev.continuo.x.v1")] == [None] * 3


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"[]", "this is list"),
        (b"{", "this is no JSON"),
        (b"\xff", "this is no JSON"),
        (body(specversion="0.3"), "specversion is '0.3'"),
        (body(specversion=None), "specversion is None"),
        (body(id=None), "needs a non-empty id"),
        (body(id=""), "needs a non-empty id"),
        (body(type=None), "needs a non-empty type"),
        (body(source="not a uri"), "is no URI reference"),
        (body(subject=""), "subject is empty"),
        (body(time="yesterday"), "is no RFC 3339 time"),
        (body(time="2026-01-31T09:00:00"), "is no RFC 3339 time"),
        (body(time="2026-01-31"), "is no RFC 3339 time"),
        (body(traceparent="00-1-2-3"), "is none; it looks like"),
        (body(task_id="x"), "lower-case letters and digits only"),
        (body(taskId="x"), "lower-case letters and digits only"),
        (body(taskid={}), "attribute taskid is dict"),
        (body(subject="a\nb"), "control characters"),
        (body(subject="x" * 5000), "at most 4096"),
        (body(**{f"a{n}": "x" for n in range(80)}), "attributes; at most"),
        (body(data_base64="####", data=None), "data_base64 does not hold JSON"),
        (body(data_base64="e30="), "data or data_base64, not both"),
    ],
)
def test_what_is_wrong_is_said(sent: bytes, said: str) -> None:
    with pytest.raises(InvalidEvent, match=said):
        decode(sent)


def test_binary_data_that_is_json() -> None:
    assert decode(body(data=None, data_base64=base64.b64encode(b'{"a":1}').decode())).data == {"a": 1}


def test_a_batch_names_the_first_wrong_one() -> None:
    assert [event.id for event in decode_many(b"[" + body() + b"," + body(id="b") + b"]")] == ["abc-1/000001", "b"]
    with pytest.raises(InvalidEvent, match="event 1: an event needs"):
        decode_many(b"[" + body() + b"," + body(id="") + b"]")
    with pytest.raises(InvalidEvent, match="is a JSON array"):
        decode_many(body())


@given(st.binary(max_size=200) | st.dictionaries(st.text(max_size=9), st.text(max_size=9)).map(msgspec.json.encode))
def test_nothing_that_comes_in_is_more_than_a_sentence(sent: bytes) -> None:
    try:
        assert isinstance(decode(sent), Event)
    except InvalidEvent as error:
        assert str(error)


def test_attributes_alone_are_an_event_too() -> None:
    headers = {name: value for name, value in GOOD.items() if name != "data"}
    assert from_attributes(headers, {"percent": 3}) == decode(body())
