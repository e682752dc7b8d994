"""Who is there: a newcomer with a code, a board with its key, or a Lightning-rod with its secret realm.

Decided here and not by the library's acceptor, which takes any message that the key ever signed for an answer to the
challenge, and draws challenges and session numbers from a generator that can be predicted.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from continuo.iot.hub.ports import Presence
from continuo.iot.wire import REALM

ANONYMOUS, CRYPTOSIGN = "anonymous", "cryptosign"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who may spend a registration code, and nothing else."""

    name = "newcomer"
    method = ANONYMOUS


@dataclass(frozen=True, slots=True)
class Board:
    """A board that has proved which one it is."""

    uuid: str
    proof: str = field(repr=False)
    """The key or the realm by which it came."""
    method: str = CRYPTOSIGN

    @property
    def name(self) -> str:
        return self.uuid


Who = Newcomer | Board


@dataclass(frozen=True, slots=True)
class Challenged:
    """Who says to be a board has to sign this."""

    board: str
    key: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Not let in. `counts`: it may have been a guess."""

    reason: str
    sentence: str
    counts: bool = False


_FAILED = Refused("wamp.error.authentication_failed", "this is not the key of that board", counts=True)
_REMOVED = Refused("iotronic.close.removed", "the board was deleted, or registered anew, while this agent was away")


@dataclass(frozen=True, slots=True)
class Door:
    """Lets peers in."""

    presence: Presence
    nonce: Callable[[], str]
    lightning_rod: bool = False

    def greet(self, hello: Any) -> Who | Challenged | Refused:
        """What a HELLO is answered with."""
        methods = hello.authmethods or [ANONYMOUS]
        if hello.realm != REALM:
            return self._by_realm(hello.realm)
        if CRYPTOSIGN in methods:
            return self._by_key(hello.authid, (hello.authextra or {}).get("pubkey"))
        if ANONYMOUS in methods:
            return Newcomer()
        return Refused("wamp.error.no_auth_method", f"the hub knows {CRYPTOSIGN} and {ANONYMOUS} only")

    def prove(self, asked: Challenged, signature: str) -> Board | Refused:
        """Whether the challenge was signed by the board's key: the signature and then the challenge, in hex."""
        known = self.presence.key_of(asked.board)
        try:
            signed = bytes.fromhex(signature)
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(asked.key)).verify(signed[:64], bytes.fromhex(asked.nonce))
        except (InvalidSignature, ValueError):
            return _FAILED
        if signed[64:] != bytes.fromhex(asked.nonce):
            return _FAILED
        if known is not None and hmac.compare_digest(known.encode(), asked.key.encode()):
            return Board(asked.board, known)
        return _REMOVED if self.presence.was_key_of(asked.board, asked.key) else _FAILED

    def _by_realm(self, realm: str) -> Board | Refused:
        board = self.presence.board_of_realm(realm) if self.lightning_rod else None
        if board is None:
            return Refused("wamp.error.no_such_realm", f"there is no such realm; boards join {REALM}", counts=True)
        return Board(board, realm, ANONYMOUS)

    def _by_key(self, board: Any, key: Any) -> Challenged | Refused:
        """Unknown boards are challenged like others: who asks learns nothing."""
        if not isinstance(board, str) or not board or not isinstance(key, str) or not _is_key(key):
            return Refused(
                "wamp.error.authentication_failed",
                "authid has to be the board's uuid, and authextra.pubkey its Ed25519 key, 64 hexadecimal digits",
            )
        return Challenged(board, key.lower(), self.nonce())


def _is_key(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == 32 and len(text) == 64
    except ValueError:
        return False
