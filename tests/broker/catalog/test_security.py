"""Who may do what: stolen, expired, replayed and forged tokens; offers of others; what must never be seen."""

from __future__ import annotations

import json
import logging
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.catalog.bench import OPERATOR, Bench, Client, offer
from continuo.broker.catalog.schema import SCHEMA
from continuo.storage.database import Session
from continuo.storage.schema import META

pytestmark = pytest.mark.anyio


async def test_another_providers_offer_cannot_be_touched_nor_seen(closed: Bench) -> None:
    green, blue = await closed.provider("green"), await closed.provider("blue")
    assert (await green.publish("a", offer())).status == 201
    tag = (await green.get("/api/v1/offers/a")).headers["ETag"]
    for method, path, body in (
        ("GET", "/offer/a", None), ("POST", "/offer/a", offer(cost="9")), ("DELETE", "/offer/a", None),
        ("GET", "/api/v1/offers/a", None), ("PUT", "/api/v1/offers/a", offer(cost="9")), ("DELETE", "/api/v1/offers/a", None),
    ):  # fmt: skip
        answer = await blue.ask(method, path, body, {"If-Match": tag} if "v1" in path and method != "GET" else None)
        assert answer.status == 404, (method, path, answer.body)
    assert (await blue.get("/offers")).json == []
    assert (await blue.get("/api/v1/offers", where="price > 0")).json["items"] == []
    assert (await blue.get("/api/v1/offers", where="provider == 'green' || true")).json["items"] == []
    assert (await green.get("/offer/a")).json["plans"]["basic"]["cost"] == "1.0"


def forged(token: str, **changes: Any) -> str:
    """The token's claims, changed, signed by somebody else."""
    claims = jwt.decode(token, options={"verify_signature": False}, audience="catalog")
    header = jwt.get_unverified_header(token)
    return jwt.encode({**claims, **changes}, Ed25519PrivateKey.generate(), "EdDSA", {"kid": header["kid"]})


def signed(bench: Bench, token: str, **changes: Any) -> str:
    """The token's claims, changed, signed with the catalog's own key: what a bug elsewhere could make."""
    claims = jwt.decode(token, options={"verify_signature": False}, audience="catalog")
    key = bench.parts.signer._newest()
    kept = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return jwt.encode(kept, key.private, "EdDSA", {"kid": key.id})


async def test_forged_tokens_prove_nothing(closed: Bench) -> None:
    green = await closed.provider()
    head, body, signature = green.token.split(".")
    public = closed.parts.signer.public_keys()["keys"][0]["x"]
    claims = jwt.decode(green.token, options={"verify_signature": False}, audience="catalog")
    attempts = {
        "another key": forged(green.token),
        "another account": forged(green.token, sub="blue"),
        "no signature": jwt.encode(claims, None, "none"),
        "the public key as a shared secret": jwt.encode(
            claims, public * 2, "HS256", {"kid": closed.parts.signer.public_keys()["keys"][0]["kid"]}
        ),
        "cut off": f"{head}.{body}.",
        "a swapped body": f"{head}.{body[:-4]}AAAA.{signature}",
        "an unknown key": jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", {"kid": "nobody"}),
        "a kid that is no text": f"eyJhbGciOiJFZERTQSIsImtpZCI6W119.{body}.{signature}",
        "another audience": signed(closed, green.token, aud="another"),
        "another issuer": signed(closed, green.token, iss="somebody"),
        "an unknown login": signed(closed, green.token, sid="0" * 32),
        "another role": signed(closed, green.token, role="consumer"),
        "no expiry": signed(closed, green.token, exp=None),
        "no id": signed(closed, green.token, jti=None),
        "not even a token": "x",
        "three dots": "a.b.c",
    }
    for name, token in attempts.items():
        answer = await Client(closed.http, closed.url, token).get("/offers")
        assert answer.status == 401, name
        assert answer.headers["WWW-Authenticate"].startswith("Bearer"), name
    assert (await green.get("/offers")).status == 200


async def test_tokens_expire(closed: Bench) -> None:
    green = await closed.provider()
    closed.clock.now += 15 * 60 - 1
    assert (await green.get("/offers")).status == 200
    closed.clock.now += 1
    answer = await green.get("/offers")
    assert answer.status == 401 and "expired" in answer.json["detail"]


async def test_a_replayed_refresh_token_ends_the_thief_and_the_victim(bench: Bench) -> None:
    green = await bench.provider()
    path = "/api/v1/tokens:refresh"
    first = await bench.anybody.ask("POST", path, {"refresh_token": green.refresh})
    assert first.status == 200
    again = await bench.anybody.ask("POST", path, {"refresh_token": green.refresh})
    assert again.status == 401 and "used before" in again.json["detail"]
    assert (await bench.anybody.ask("POST", path, {"refresh_token": first.json["refresh_token"]})).status == 401
    assert (await Client(bench.http, bench.url, first.json["access_token"]).publish("a", offer())).status == 401
    assert (await (await bench.login("green")).publish("a", offer())).status == 201


async def test_a_refresh_token_expires_too(bench: Bench) -> None:
    green = await bench.provider()
    bench.clock.now += 31 * 24 * 3600
    assert (await bench.anybody.ask("POST", "/api/v1/tokens:refresh", {"refresh_token": green.refresh})).status == 401


async def test_what_ends_a_login(closed: Bench) -> None:
    green = await closed.provider()
    assert (await green.ask("POST", "/api/v1/tokens:revoke")).status == 204
    assert (await green.get("/offers")).status == 401

    green = await closed.login("green")
    secret = (await closed.operator.ask("POST", "/api/v1/accounts/green/secret")).json["secret"]
    assert (await green.get("/offers")).status == 401
    assert (
        await closed.anybody.ask("POST", "/api/v1/tokens", {"account": "green", "secret": green.secret})
    ).status == 401
    closed.passwords["green"] = secret

    green = await closed.login("green")
    await closed.operator.ask("PUT", "/api/v1/accounts/green", {"role": "provider", "disabled": True})
    assert (await green.get("/offers")).status == 401
    assert (await closed.anybody.ask("POST", "/api/v1/tokens", {"account": "green", "secret": secret})).status == 401

    await closed.operator.ask("PUT", "/api/v1/accounts/green", {"role": "provider"})
    green = await closed.login("green")
    assert (await closed.operator.ask("DELETE", "/api/v1/accounts/green")).status == 204
    assert (await green.get("/offers")).status == 401


async def test_signing_keys_rotate_and_the_last_one_still_verifies(bench: Bench) -> None:
    green = await bench.provider()
    assert (await bench.operator.ask("POST", "/api/v1/keys:rotate")).status == 200
    assert (await green.publish("a", offer())).status == 201
    assert len((await bench.anybody.get("/api/v1/keys")).json["keys"]) == 2
    await bench.operator.ask("POST", "/api/v1/keys:rotate")
    assert (await green.publish("a", offer())).status == 200, "however often they rotate while it lives"
    assert (await bench.operator.ask("POST", "/api/v1/keys:rotate?drop=true")).status == 200
    assert len((await bench.anybody.get("/api/v1/keys")).json["keys"]) == 1
    assert (await green.publish("a", offer())).status == 401, "whatever was believed before"
    given = {"refresh_token": green.refresh}
    assert (await bench.anybody.ask("POST", "/api/v1/tokens:refresh", given)).status == 200, "the login itself stays"


async def test_keys_that_sign_for_long_are_changed_and_old_ones_go(bench: Bench) -> None:
    signer, records, clock = bench.parts.signer, bench.parts.measured.measurements, bench.clock
    assert not await signer.rotate_after(86400) and not await records.rotate_after(86400)
    clock.now += 86400
    assert await signer.rotate_after(86400) and await records.rotate_after(86400)
    assert len(signer.public_keys()["keys"]) == 2, "tokens that were just made are of the last one"
    clock.now += 86400
    assert await signer.rotate_after(86400)
    assert len(signer.public_keys()["keys"]) == 2, "of the first one no token lives"
    assert not await signer.rotate_after(86400)
    assert not await records.rotate_after(float("inf"))


async def test_scopes_bound_what_an_account_and_a_login_may(closed: Bench) -> None:
    reader = await closed.provider("green", scopes=["offers:read"])
    assert (await reader.get("/offers")).status == 200
    refused = await reader.publish("a", offer())
    assert refused.status == 403 and "offers:write" in refused.json["detail"]
    given = {"account": "green", "secret": reader.secret, "scope": "offers:write"}
    assert (await closed.anybody.ask("POST", "/api/v1/tokens", given)).status == 401
    lab = await closed.consumer()
    assert (await lab.publish("a", offer())).status == 403
    assert (await lab.get("/api/v1/accounts")).status == 403
    assert (await reader.ask("POST", "/api/v1/contracts", {"offer": "a", "plan": "b"})).status == 403


@pytest.mark.parametrize(
    "path", ["/offers", "/offer/a", "/api/v1/offers", "/api/v1/offers/a", "/api/v1/events", "/api/v1/contracts"]
)
async def test_nothing_is_read_without_a_token_unless_the_operator_allows_it(closed: Bench, path: str) -> None:
    assert (await closed.anybody.get(path)).status == 401


async def test_guessing_secrets_is_slowed_down(bench: Bench) -> None:
    await bench.provider()
    wrong = {"account": "green", "secret": "a-wrong-secret"}
    for _ in range(10):
        assert (await bench.anybody.ask("POST", "/api/v1/tokens", wrong)).status == 401
    slowed = await bench.anybody.ask("POST", "/api/v1/tokens", {**wrong, "secret": bench.passwords["green"]})
    assert slowed.status == 429 and slowed.headers["Retry-After"] == "60"
    bench.clock.now += 61
    assert (await bench.login("green")).token


async def test_an_account_that_is_not_there_answers_as_a_wrong_secret_does(bench: Bench) -> None:
    await bench.provider()
    wrong = await bench.anybody.ask("POST", "/api/v1/tokens", {"account": "green", "secret": "a-wrong-secret"})
    nobody = await bench.anybody.ask("POST", "/api/v1/tokens", {"account": "nobody", "secret": "a-wrong-secret"})
    assert (wrong.status, wrong.body) == (nobody.status, nobody.body)


def everything(session: Session) -> str:
    """All that is stored, as text."""
    tables = [statement.split()[5] for statement in (META, *SCHEMA.tables)]
    rows = [row for table in tables for row in session.all(f"SELECT * FROM {table}")]
    return "\n".join(
        bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)
        for row in rows for value in row
    )  # fmt: skip


async def test_secrets_are_in_no_answer_no_log_and_not_in_the_storage(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for server in ("uvicorn", "uvicorn.error"):  # a command that ran in this process may have made it say less
        caplog.set_level(logging.DEBUG, server)
    green, lab = await bench.provider("green", auth_url="https://192.0.2.1"), await bench.consumer()
    peering = {"clusterID": "green", "authToken": green.secret, "authURL": "https://192.0.2.2"}
    assert (await bench.anybody.ask("POST", "/authenticate", peering)).status == 200
    await green.publish("a", offer())
    contract = (await lab.ask("POST", "/api/v1/contracts", {"offer": "a", "plan": "basic"})).json
    handed = (await lab.ask("POST", f"/api/v1/contracts/{contract['id']}/credentials")).json
    assert handed["authURL"] == "https://192.0.2.2"
    async with bench.http.ws_connect(bench.url + "/offers") as socket:
        seen = (await socket.receive()).data
    for caller, path in (
        (bench.anybody, "/offers"), (bench.anybody, "/api/v1/offers"), (green, "/offers"), (lab, "/api/v1/contracts"),
        (green, "/api/v1/contracts"), (bench.operator, "/api/v1/accounts"), (bench.operator, "/api/v1/contracts"),
        (lab, f"/api/v1/contracts/{contract['id']}"), (lab, "/api/v1/usage"), (bench.operator, "/api/v1/accounts/green"),
        (bench.anybody, "/healthz"), (bench.anybody, "/readyz"), (bench.anybody, "/openapi.json"),
    ):  # fmt: skip
        answer = await caller.get(path)
        assert answer.status == 200, path
        seen += answer.body.decode()
    await bench.operator.ask("PUT", "/api/v1/accounts/green", {"role": "provider", "secret": 7})
    stored = await bench.parts.database.do(everything)
    assert '"auth_url":"https://192.0.2.2"' in stored
    secrets = [green.secret, lab.secret, handed["token"], handed["token"].partition(".")[2], green.refresh, OPERATOR]
    for place in (seen, caplog.text, stored):
        assert place
        for secret in secrets:
            assert secret not in place
    assert green.token not in stored and "192.0.2.2" not in json.dumps((await bench.anybody.get("/offers")).json)
