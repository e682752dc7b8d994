"""Messages of WAMP on a WebSocket: which serialisation was agreed, and that what came is plain data of bounded size.

The library's parsers know each message's shape. What they do not ask is asked here: CBOR can carry dates, patterns and
references to itself, which nothing behind this module expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wampproto import messages, serializers

_DEPTH = 64

SUBPROTOCOLS: Mapping[str, Any] = {
    "wamp.2.cbor": serializers.CBORSerializer,
    "wamp.2.json": serializers.JSONSerializer,
    "wamp.2.msgpack": serializers.MsgPackSerializer,
}
"""What can be agreed, by the name of the WebSocket subprotocol."""


class Malformed(Exception):
    """What came is no message of WAMP."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One connection's serialisation."""

    serializer: Any
    text: bool

    @classmethod
    def of(cls, subprotocol: str) -> Codec:
        return cls(SUBPROTOCOLS[subprotocol](), subprotocol == "wamp.2.json")

    def encode(self, message: Any) -> str | bytes:
        data: str | bytes = self.serializer.serialize(message)
        return data

    def decode(self, data: str | bytes) -> Any:
        """The message; raises Malformed with a sentence."""
        if isinstance(data, str) is not self.text:
            raise Malformed("text where binary frames were agreed, or the other way round")
        try:
            message = self.serializer.deserialize(data)
        except RecursionError:
            raise Malformed("a message that is nested too deeply") from None
        except Exception as error:  # whatever a parser raises for bytes of strangers; it is the peer that is wrong
            raise Malformed(f"no message of WAMP: {type(error).__name__}: {str(error)[:200]}") from None
        for part in (getattr(message, "args", None), getattr(message, "kwargs", None)):
            if part is not None:
                plain(part)
        return message


def plain(value: Any, depth: int = 0) -> None:
    """Raise Malformed unless it is what JSON can say too (and bytes)."""
    if depth > _DEPTH:
        raise Malformed("a message that is nested too deeply")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Malformed(f"a key that is no text but {type(key).__name__}")
            plain(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            plain(item, depth + 1)
    elif value is not None and not isinstance(value, str | int | float | bool | bytes):
        raise Malformed(f"a value that is no plain data but {type(value).__name__}")


def welcome(session: int, identity: str, role: str, method: str) -> Any:
    roles: dict[str, Any] = {"dealer": {"features": {}}, "broker": {"features": {}}}
    return messages.Welcome(messages.WelcomeFields(session, roles, identity, role, method))


def challenge(text: str) -> Any:
    return messages.Challenge(messages.ChallengeFields("cryptosign", {"challenge": text}))


def abort(reason: str, sentence: str) -> Any:
    return messages.Abort(messages.AbortFields({"message": sentence}, reason))


def goodbye(reason: str) -> Any:
    return messages.Goodbye(messages.GoodbyeFields({}, reason))


def error(message: Any, uri: str, sentence: str) -> Any:
    """The answer to a request that failed."""
    return messages.Error(messages.ErrorFields(message.TYPE, message.request_id, uri, [sentence], None, {}))


def result(request: int, value: Any) -> Any:
    return messages.Result(messages.ResultFields(request, [value]))


def registered(request: int, registration: int) -> Any:
    return messages.Registered(messages.RegisteredFields(request, registration))


def unregistered(request: int) -> Any:
    return messages.Unregistered(messages.UnregisteredFields(request))


def invocation(request: int, registration: int, arguments: list[Any]) -> Any:
    return messages.Invocation(messages.InvocationFields(request, registration, arguments))
