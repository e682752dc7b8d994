"""What a hub and a board say to each other over WAMP (IoTronic's protocol, as Lightning-rod 0.5.0 speaks it).

A call's first argument is the request; its answer is a message: JSON as text, with exactly these keys, since both ends
of the original refuse any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

REALM = "s4t"

HUB = "hub"
"""The name of the hub as an agent in IoTronic's sense: what its procedures begin with."""

REGISTER = "stack4things.register"
"""What a board calls that has nothing but its registration code."""


class Outcome(StrEnum):
    """How a call went at a board."""

    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    ERROR = "ERROR"
    RUNNING = "RUNNING"
    """It goes on; `notify_result` tells the end."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a board answers or notifies."""

    message: Any
    result: Outcome
    req_id: str | None = None

    def encode(self) -> str:
        """As it is sent."""
        said: dict[str, Any] = {"message": self.message, "result": self.result.value}
        if self.req_id is not None:
            said["req_id"] = self.req_id
        return msgspec.json.encode(said).decode()

    @classmethod
    def decode(cls, text: str) -> Message:
        """Read it; raises ValueError with a sentence where it is no such message."""
        try:
            said = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise ValueError(f"a message is a JSON object with message and result: {error}") from None
        if not isinstance(said, dict) or not {"message", "result"} <= said.keys() <= {"message", "result", "req_id"}:
            raise ValueError("a message is a JSON object with message, result and perhaps req_id, and nothing else")
        if said["result"] not in Outcome.__members__:
            raise ValueError(f"result {said['result']!r} is none of {', '.join(Outcome)}")
        return cls(said["message"], Outcome(said["result"]), said.get("req_id"))


def procedure(session: int | str, board: str, method: str) -> str:
    """The URI by which a board's method is called; it holds while that session does."""
    return f"iotronic.{session}.{board}.{method}"


def hub_procedure(name: str) -> str:
    """The URI by which a board calls the hub: `connection`, `wamp_alive`, `notify_result`, `report`, ..."""
    return f"{HUB}.stack4things.{name}"
