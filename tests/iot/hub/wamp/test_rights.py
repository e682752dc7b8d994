"""Who is let in, and what each may do: everything else is refused in a sentence."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from wampproto import auth, messages
from wampproto.auth.cryptosign import generate_cryptosign_keypair
from wampproto.exception import ApplicationError

from continuo.iot.hub.wamp import Limits
from continuo.iot.wire import REALM, REGISTER, Message, Outcome, hub_procedure
from iot.hub.wamp.peer import CallError, Peer, Site, good, site

pytestmark = pytest.mark.anyio

KEY = "ab" * 32


@pytest.fixture
async def here(anyio_backend: str) -> AsyncIterator[Site]:
    async with site() as made:
        yield made


async def registered(peer: Peer, code: str, key: str | None = KEY) -> Message:
    return Message.decode(await peer.call(REGISTER, code=code, session=peer.number, **({"key": key} if key else {})))


async def test_a_board_comes_by_its_code_and_then_by_its_key(here: Site) -> None:
    here.book.codes["c0de"] = "b1"
    public, private = generate_cryptosign_keypair()
    said = await registered(await here.join(), "c0de", public)
    assert said.result is Outcome.SUCCESS
    assert said.message["iotronic"]["board"]["uuid"] == "b1"
    peer = await here.join(auth.CryptoSignAuthenticator("b1", private, {"pubkey": public}))
    await peer.offer("DevicePing", lambda request, params: good(f"{request['action']} {params}"))
    assert (await peer.come("desire", "tap")).result is Outcome.SUCCESS
    assert here.router.session("b1") == peer.number == here.book.sessions["b1"]
    assert here.router.capabilities("b1") == {"desire", "tap"}
    answer = await here.router.call("b1", "DevicePing", {"n": 1})
    assert answer == Message("DevicePing {'n': 1}", Outcome.SUCCESS)


async def test_a_code_is_good_once(here: Site) -> None:
    here.book.codes["c0de"] = "b1"
    assert (await registered(await here.join(), "c0de")).result is Outcome.SUCCESS
    stolen = await registered(await here.join(), "c0de", "cd" * 32)
    assert stolen == Message("this code is unknown, or was used", Outcome.ERROR)
    assert here.book.keys["b1"] == KEY


async def test_a_lost_reply_is_asked_for_again(here: Site) -> None:
    here.book.codes["c0de"] = "b1"
    for _ in range(2):
        assert (await registered(await here.join(), "c0de")).message["iotronic"]["board"]["uuid"] == "b1"


async def test_without_a_key_nobody_is_taken_unless_that_is_allowed(here: Site) -> None:
    here.book.codes["c0de"] = "b1"
    said = await registered(await here.join(), "c0de", None)
    assert said.result is Outcome.ERROR and "--allow-lightning-rod" in said.message
    assert "c0de" in here.book.codes


async def test_after_registering_a_session_may_do_nothing(here: Site) -> None:
    here.book.codes.update(c0de="b1", other="b2")
    peer = await here.join()
    await registered(peer, "c0de")
    with pytest.raises(CallError, match="not_authorized"):
        await registered(peer, "other")
    with pytest.raises(CallError, match="not_authorized"):
        await peer.call(hub_procedure("connection"), "b1", peer.number, {})


def wrong_key(here: Site) -> Any:
    here.book.board("b1")
    public, private = generate_cryptosign_keypair()
    return auth.CryptoSignAuthenticator("b1", private, {"pubkey": public})


def anothers_public_key(here: Site) -> Any:
    """Says to have the board's key, and signs with its own."""
    here.book.board("b1")
    _, private = generate_cryptosign_keypair()
    return auth.CryptoSignAuthenticator("b1", private, {"pubkey": here.book.keys["b1"]})


def unknown_board(here: Site) -> Any:
    public, private = generate_cryptosign_keypair()
    return auth.CryptoSignAuthenticator("nobody", private, {"pubkey": public})


def another_boards_name(here: Site) -> Any:
    mine = here.book.board("b2")
    here.book.board("b1")
    mine._authid = "b1"
    return mine


def no_key(here: Site) -> Any:
    here.book.board("b1")
    _, private = generate_cryptosign_keypair()
    made = auth.CryptoSignAuthenticator("b1", private, {})
    made._auth_extra = {}
    return made


class Replayed:
    """Answers with a challenge that the board signed at another time, as one who listened could."""

    auth_method, authid = "cryptosign", "b1"

    def __init__(self, here: Site) -> None:
        self._board = here.book.board("b1")
        self.auth_extra = {"pubkey": here.book.keys["b1"]}

    def authenticate(self, challenge: Any) -> Any:
        old = messages.Challenge(messages.ChallengeFields("cryptosign", {"challenge": "11" * 32}))
        return self._board.authenticate(old)


class Ticket:
    auth_method, authid, auth_extra = "ticket", "b1", {}

    def __init__(self, here: Site) -> None: ...


@pytest.mark.parametrize(
    "who", [wrong_key, anothers_public_key, unknown_board, another_boards_name, no_key, Replayed, Ticket]
)
async def test_who_is_not_that_board_is_turned_away(here: Site, who: Any) -> None:
    with pytest.raises(ApplicationError, match=r"authentication_failed|no_auth_method"):
        await here.join(who(here))
    assert here.router.sessions == 0


async def test_realms_are_guessed_in_vain(here: Site) -> None:
    here.book.realms["secret-b1"] = "b1"
    for realm in ("secret-b1", "secret-b2", "realm1"):
        with pytest.raises(ApplicationError, match="no_such_realm"):
            await here.join(realm=realm)


async def test_a_lightning_rod_has_a_secret_realm_where_that_is_allowed() -> None:
    async with site(lightning_rod=True) as here:
        here.book.codes["c0de"] = "b1"
        assert (await registered(await here.join(json=True), "c0de", None)).result is Outcome.SUCCESS
        peer = await here.join(realm="secret-b1", json=True)
        assert peer.authid == "b1"
        await peer.come()
        await peer.offer("DevicePing", lambda request: good("pong"))
        assert (await here.router.call("b1", "DevicePing")).message == "pong"
        with pytest.raises(CallError, match="not_authorized"):
            await peer.call(hub_procedure("notify_result"), board_uuid="b2", wampmessage=good("x"))
        with pytest.raises(ApplicationError, match="no_such_realm"):
            await here.join(realm="secret-b2")


NOT_HIS: dict[str, tuple[str, list[Any]]] = {
    "another board's result": ("notify_result", ["b2", good("x")]),
    "another board's report": ("report", ["b2", {}]),
    "another board's connection": ("connection", ["b2", 0, {}]),
    "another board's life": ("wamp_alive", ["b2", "name"]),
    "no such procedure": ("destroy", []),
}


@pytest.mark.parametrize("case", NOT_HIS)
async def test_a_board_speaks_for_itself_only(here: Site, case: str) -> None:
    peer = await here.online("b1")
    await here.online("b2")
    name, args = NOT_HIS[case]
    with pytest.raises(CallError) as refused:
        await peer.call(hub_procedure(name), *args)
    assert refused.value.uri == "wamp.error.not_authorized"
    assert not any(what[0] in ("notified", "reported") for what in here.book.heard)


BAD_ARGUMENTS: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "another session's number": ("connection", ["b1", 7, {}], {}),
    "no info": ("connection", ["b1"], {}),
    "info that is no object": ("connection", ["b1", None, "x"], {}),
    "too many": ("report", ["b1", {}, 1], {}),
    "twice": ("report", ["b1", {}], {"uuid": "b1"}),
    "unknown names": ("report", ["b1"], {"rapport": {}}),
    "a report that is no object": ("report", ["b1", [1]], {}),
    "a result that is no message": ("notify_result", ["b1", "hello"], {}),
    "a result that is no text": ("notify_result", ["b1", {"message": 1, "result": "SUCCESS"}], {}),
    "a result that is none of them": ("notify_result", ["b1", '{"message":"","result":"MAYBE"}'], {}),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
async def test_bad_arguments_get_a_sentence(here: Site, case: str) -> None:
    peer = await here.online("b1")
    name, args, kwargs = BAD_ARGUMENTS[case]
    args = [peer.number if item is None else item for item in args]
    with pytest.raises(CallError) as refused:
        await peer.call(hub_procedure(name), *args, **kwargs)
    assert refused.value.uri == "wamp.error.invalid_argument"
    assert len(refused.value.args) == 2 and " " in refused.value.args[1]


@pytest.mark.parametrize(
    "uri",
    [
        "iotronic.{other}.b1.DevicePing",
        "iotronic.{own}.b2.DevicePing",
        "iotronic.{own}.b1.",
        "iotronic.{own}.b1.a.b",
        "iotronic.{own}.b1.*",
        "iotronic.{own}.b1",
        "hub.stack4things.report",
        "stack4things.register",
        "wamp.session.list",
        "",
    ],
)
async def test_only_own_procedures_are_registered(here: Site, uri: str) -> None:
    peer, other = await here.online("b1"), await here.online("b2")
    with pytest.raises(CallError, match="not_authorized"):
        await peer.register(uri.format(own=peer.number, other=other.number), good)


async def test_no_patterns_no_shares_no_topics(here: Site) -> None:
    peer = await here.online("b1")
    uri = f"iotronic.{peer.number}.b1.X"
    for options in ({"match": "prefix"}, {"match": "wildcard"}, {"invoke": "roundrobin"}):
        with pytest.raises(CallError, match="not_authorized"):
            await peer.register(uri, good, **options)
    await peer.register(uri, good)
    with pytest.raises(CallError, match="procedure_already_exists"):
        await peer.register(uri, good)
    for ask in (peer.subscribe("wamp.session.on_join"), peer.publish("wamp.session.on_leave")):
        with pytest.raises(CallError, match="not_authorized"):
            await ask


async def test_a_board_calls_no_board(here: Site) -> None:
    peer = await here.online("b1")
    other = await here.online("b2", DevicePing=lambda request: good("pong"))
    with pytest.raises(CallError, match="not_authorized"):
        await peer.call(f"iotronic.{other.number}.b2.DevicePing", {})


async def test_a_newcomer_may_spend_a_code_and_nothing_else(here: Site) -> None:
    peer = await here.join()
    with pytest.raises(CallError, match="not_authorized"):
        await peer.register(f"iotronic.{peer.number}.b1.DevicePing", good)
    for name in ("connection", "report", "alive", "echo"):
        with pytest.raises(CallError, match="not_authorized"):
            await peer.call(hub_procedure(name), "b1", peer.number, {})
    for code, key in ((7, KEY), ("x", "short"), ("x", 7)):
        with pytest.raises(CallError, match="invalid_argument"):
            await peer.call(REGISTER, code, peer.number, key)


async def test_codes_are_not_tried_for_ever() -> None:
    async with site(Limits(wrong=3, wrong_rate=0.001)) as here:
        here.book.codes["c0de"] = "b1"
        for _ in range(3):
            assert "unknown" in (await registered(await here.join(), "guess")).message
        with pytest.raises(ApplicationError, match="authentication_failed"):
            await here.join()


async def test_whoever_is_known_gets_in_whatever_others_at_the_same_address_try() -> None:
    async with site(Limits(wrong=3, wrong_rate=0.001), lightning_rod=True) as here:
        here.book.codes["c0de"] = "b1"
        here.book.realms["a secret realm"] = "b3"
        waits = await here.join()
        for _ in range(6):
            with contextlib.suppress(ApplicationError):
                await registered(await here.join(), "guess")
        with pytest.raises(CallError, match="unavailable"):  # no final answer: it is a good code, for later
            await registered(waits, "c0de")
        await here.join(here.book.board("b2"))
        await here.join(realm="a secret realm")
        for who, realm in ((wrong_key(here), REALM), (None, "a guessed realm")):
            with pytest.raises(ApplicationError, match="authentication_failed"):
                await here.join(who, realm=realm)


async def test_what_is_told_is_heard(here: Site) -> None:
    peer = await here.online("b1")
    await peer.call(hub_procedure("report"), "b1", {"plugins": {}})
    done = Message("done", Outcome.SUCCESS, "r1")
    said = await peer.call(hub_procedure("notify_result"), board_uuid="b1", wampmessage=done.encode())
    assert Message.decode(said).message == "notification_received"
    assert here.book.heard[1:] == [("reported", "b1", {"plugins": {}}), ("notified", "b1", done)]
    assert "alive" in await peer.call(hub_procedure("alive"))
    assert "alive" in await peer.call(hub_procedure("wamp_alive"), board_uuid="b1", board_name="n")
    assert "hello" in await peer.call(hub_procedure("echo"), "hello")


async def test_a_session_that_was_replaced_reports_nothing(here: Site) -> None:
    board = here.book.board("b1")
    older, newer = await here.join(board), await here.join(board)
    await older.come()
    with pytest.raises(CallError, match="not_authorized"):
        await newer.call(hub_procedure("report"), "b1", {})
    await newer.come()
    await asyncio.wait_for(older.over.wait(), 10)
    assert older.reason == "iotronic.close.replaced"
    await newer.call(hub_procedure("report"), "b1", {})


async def test_a_new_identity_ends_the_old_one(here: Site) -> None:
    here.book.codes["again"] = "b1"
    peer = await here.online("b1")
    assert (await registered(await here.join(), "again", KEY)).result is Outcome.SUCCESS
    await asyncio.wait_for(peer.over.wait(), 10)
    assert peer.reason == "iotronic.close.removed"
    with pytest.raises(ApplicationError, match="authentication_failed"):
        public, private = generate_cryptosign_keypair()
        await here.join(auth.CryptoSignAuthenticator("b1", private, {"pubkey": public}))
