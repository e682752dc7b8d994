"""What is wrong gets a status and a sentence that names the thing and what would be right; nothing of it is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from broker.catalog import errors_page
from broker.catalog.bench import OPERATOR, Bench, Client, offer

pytestmark = pytest.mark.anyio
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Bad:
    """One wrong request, and the answer that it deserves."""

    who: str
    method: str
    path: str
    body: Any
    status: int
    says: str
    headers: dict[str, str] = field(default_factory=dict)


def changed(**more: Any) -> Any:
    return {**offer(), **more}


def planned(**more: Any) -> Any:
    return offer() | {"plans": {"basic": {"cost": "1", "resources": {"cpu": "1"}, **more}}}


def publishing(body: Any, status: int, says: str, id: str = "a") -> Bad:
    return Bad("green", "POST", f"/offer/{id}", body, status, says)


def listing(query: str, says: str) -> Bad:
    return Bad("anybody", "GET", f"/api/v1/offers?{query}", None, 400, says)


def account(body: Any, says: str, id: str = "x") -> Bad:
    return Bad("operator", "PUT", f"/api/v1/accounts/{id}", body, 422, says)


BAD = [
    publishing(b"", 400, "not JSON"),
    publishing(b"{", 400, "not JSON"),
    publishing(b"\xff\xfe{}", 400, "not JSON"),
    publishing(b"[" * 50 + b"]" * 50, 400, "nests deeper than 16"),
    publishing(b'{"name": NaN}', 400, "not JSON"),
    publishing(b"[]", 422, "an offer must be a JSON object, not a list"),
    publishing(b"null", 422, "an offer must be a JSON object, not null"),
    publishing({"name": "x"}, 422, "type: is missing"),
    publishing(changed(name=7), 422, "name: must be text, not 7"),
    publishing(changed(name=" "), 422, "name: must be text, not ' '"),
    publishing(changed(name="x" * 300), 422, "name: has 300 characters; at most 255"),
    publishing(changed(name="a\x00b"), 422, "name: has control characters"),
    publishing(changed(colour="red"), 422, "colour: is not known; known are claims, currency"),
    publishing(changed(id="b"), 422, "id: must be a as in the address"),
    publishing(changed(currency="euro"), 422, "currency: must be three capital letters such as EUR, not 'euro'"),
    publishing(changed(unit="year"), 422, "unit: must be one of hour, day, month, not 'year'"),
    publishing(changed(labels=["a"]), 422, "labels: must be an object with entries, not a list"),
    publishing(changed(labels={"a": 1}), 422, "labels.a: must be text, not 1"),
    publishing(changed(labels={"a b": "c"}), 422, "key 'a b' must be a Kubernetes name"),
    publishing(changed(labels={f"k{n}": "v" for n in range(65)}), 422, "labels: has 65 entries; at most 64"),
    publishing(changed(claims=[1]), 422, "claims: must be an object with entries, not a list"),
    publishing(changed(claims={"latency": "5 ms"}), 422, "claims.latency: must be a number, not '5 ms'"),
    publishing(changed(claims={"up-time": 1}), 422, "claims.up-time: must be named with letters, digits and underscores"),
    publishing(changed(plans={}), 422, "plans: must be an object with entries"),
    publishing(changed(plans="basic"), 422, "plans: must be an object with entries, not 'basic'"),
    publishing(changed(plans={"basic": 5}), 422, "plans.basic: must be an object, not 5"),
    publishing(changed(plans=[{"cost": "1"}]), 422, "plans[0].id: must be text of its own"),
    publishing(changed(plans=[]), 422, "plans: must be an object with entries, not an empty one"),
    publishing(planned(cost="-1"), 422, "plans.basic.cost: must be a decimal from 0"),
    publishing(planned(cost="1,5"), 422, "not '1,5'"),
    publishing(planned(cost="1e9"), 422, "not '1e9'"),
    publishing(planned(cost=True), 422, "plans.basic.cost: must be a decimal from 0"),
    publishing(offer() | {"plans": {"b": {"resources": {"cpu": "1"}}}}, 422, "plans.b.cost: is missing; a free plan says"),
    publishing(planned(price="1"), 422, "plans.basic.price: is not known"),
    publishing(planned(resources={}), 422, "plans.basic.resources: must be an object with entries"),
    publishing(planned(resources={"cpu": "many"}), 422, "plans.basic.resources.cpu: must be a Kubernetes quantity"),
    publishing(planned(resources={"cpu": "-1"}), 422, "not '-1'"),
    publishing(planned(resources={"memory": "2GB"}), 422, "such as 500m, 4 or 16Gi, not '2GB'"),
    publishing(planned(resources={"cpu": False}), 422, "not false"),
    publishing(planned(planName="x", name="y"), 422, "planName and name are the same thing but differ"),
    publishing(planned(planID="not an id"), 422, "plans.basic.planID: must be letters"),
    publishing(
        changed(plans={"a": {"planID": "c", "cost": "1", "resources": {"cpu": "1"}},
                       "b": {"planID": "c", "cost": "1", "resources": {"cpu": "1"}}}),
        422, "two plans have the id c",
    ),
    publishing(offer(), 422, "offer id '-a': must be 1 to 128 letters", id="-a"),
    publishing(offer(), 422, "must be 1 to 128 letters", id="a" * 129),
    Bad("green", "POST", "/offer/a", b"{}", 415, "send application/json, not text/plain", {"Content-Type": "text/plain"}),
    Bad("green", "POST", "/offer/a", b'"' + b"x" * (1 << 20) + b'"', 413, "more than 1048576 bytes"),
    Bad("green", "PATCH", "/offer/a", {}, 405, "Method Not Allowed"),
    Bad("green", "DELETE", "/offer/never", None, 404, "there is no offer never of yours"),
    Bad("green", "PUT", "/api/v1/offers/a", offer(), 428, "say which version you mean"),
    Bad("green", "PUT", "/api/v1/offers/a", offer(), 400, "only * makes sense", {"If-None-Match": '"a-1"'}),
    Bad("green", "PUT", "/api/v1/offers/a", offer(), 412, 'the offer is not at "a-1" but absent', {"If-Match": '"a-1"'}),
    listing("where=", "where: the expression is empty"),
    listing("where=price+%3C", "no CEL at column 8"),
    listing("where=cost+%3C+1", "undeclared reference to 'cost'; there are claimed, currency, effective, kind"),
    listing("where=price+%3C+%27a%27", "a number cannot be compared with text"),
    listing("where=price", "price is not a condition; compare it with something"),
    listing("where=labels.exists(l,true)", "a macro such as exists or all"),
    listing("where=region.matches(%27(a%2B)%2B%27)", "`matches` cannot be used here"),
    listing("where=quantity(%272GB%27)%3C1", "quantity: must be a Kubernetes quantity"),
    listing("where=" + "!" * 2050 + "true", "at most 2048"),
    listing("where=" + "%26%26".join(["true"] * 300), "the expression is too large"),
    listing("where=" + "(" * 300 + "true" + ")" * 300, "where:"),
    listing("order=cheap", "order: 'cheap' is none; there are id, name"),
    listing("order=-name", "order: '-name' is none"),
    listing("limit=0", "limit: must be a whole number from 1 to 1000, not '0'"),
    listing("limit=1001", "not '1001'"),
    listing("limit=ten", "not 'ten'"),
    listing("limit=%C2%B2", "limit: must be a whole number"),
    listing("cursor=xyz", "cursor: is not one of this catalog's"),
    listing("cursor=WyJ4IiwxXQ", "cursor: belongs to another where or order"),
    listing("page=2", "page: is no parameter; there are where, order, limit, cursor"),
    listing("limit=1&limit=2", "limit: is given more than once"),
    Bad("anybody", "POST", "/api/v1/offers:search", {"where": ["x"]}, 422, "where, order and cursor must be text"),
    Bad("anybody", "POST", "/api/v1/offers:search", {"sort": "x"}, 422, "must be an object with some of where, order"),
    Bad("anybody", "GET", "/api/v1/events?since=-1", None, 400, "since: must be a revision"),
    Bad("anybody", "GET", "/api/v1/events?since=9999", None, 410, "changes after revision 9999 are not kept"),
    Bad("anybody", "GET", "/api/v1/events?where=x", None, 400, "undeclared reference"),
    Bad("anybody", "POST", "/authenticate", {"clusterID": "x"}, 422, "send clusterID, authToken and authURL"),
    Bad("anybody", "POST", "/authenticate", {"clusterID": 5}, 422, "clusterID: must be text"),
    Bad("anybody", "POST", "/authenticate", {"clusterID": "x", "authToken": "y"}, 401, "do not belong together"),
    Bad("anybody", "POST", "/authenticate", {"clusterID": "x", "clusterId": "y", "authToken": "z"}, 422, "but differ"),
    Bad("anybody", "POST", "/authenticate",
        {"clusterID": "green", "authToken": "green-and-a-secret", "authURL": "http://x"}, 422, "must be an https address"),
    Bad("anybody", "POST", "/api/v1/tokens", {"account": "green"}, 422, "secret: is missing"),
    Bad("anybody", "POST", "/api/v1/tokens", {"account": "green", "secret": ""}, 422, "secret: must be text"),
    Bad("anybody", "POST", "/api/v1/tokens", [], 422, "the body must be a JSON object"),
    Bad("anybody", "POST", "/api/v1/tokens:refresh", {"refresh_token": "x.y"}, 401, "the refresh token is not known"),
    Bad("anybody", "GET", "/offers", None, 401, "Authorization must be: Bearer TOKEN", {"Authorization": "Basic eDp5"}),
    Bad("anybody", "GET", "/offers", None, 401, "the token is not known", {"Authorization": "Bearer x"}),
    account({"role": "king"}, "role: must be provider or consumer, not 'king'"),
    account({}, "missing required field `role`"),
    account({"role": "provider", "power": 1}, "unknown field `power`"),
    account({"role": "provider", "scopes": ["contracts:write"]}, "'contracts:write' is none for a provider; there are"),
    account({"role": "provider", "secret": "short"}, "secret: must have 12 to 1024 characters"),
    account({"role": "provider", "auth_url": "ftp://x"}, "auth_url: must be an https address"),
    account({"role": "provider"}, "an account's id must be", id="a%20c"),
    Bad("operator", "PUT", "/api/v1/accounts/green", {"role": "consumer"}, 409, "green is a provider; delete it first"),
    Bad("operator", "GET", "/api/v1/accounts/nobody", None, 404, "there is no account nobody"),
    Bad("lab", "POST", "/api/v1/contracts", {"offer": "there"}, 422, "plan: is missing"),
    Bad("lab", "POST", "/api/v1/contracts", {"offer": "no", "plan": "basic"}, 404, "there is no offer no"),
    Bad("lab", "POST", "/api/v1/contracts", {"offer": "there", "plan": "huge"}, 404, "has no plan huge; there are basic"),
    Bad("lab", "POST", "/api/v1/contracts", {"offer": "there", "plan": "basic", "cost": "x"}, 422, "cost: must be a decimal"),
    Bad("lab", "POST", "/api/v1/contracts", {"offer": "there", "plan": "basic", "cost": "9"}, 409, "costs 1.0 EUR now"),
    Bad("lab", "POST", "/api/v1/contracts", {"offer": "there", "plan": "basic"}, 400, "1 to 255 printable",
        {"Idempotency-Key": "k" * 256}),
    Bad("lab", "DELETE", "/api/v1/contracts/none", None, 404, "there is no contract none of yours"),
    *(
        Bad("lab", "GET", f"/api/v1/contracts/none?wait={wait}", None, 400, "wait: must be a number of seconds from 0 to 30")
        for wait in ("soon", "31", "nan")
    ),
    Bad("lab", "POST", "/api/v1/contracts/none/credentials?rotate=maybe", None, 400, "rotate: must be true or false"),
    Bad("lab", "GET", "/api/v1/usage?format=pdf", None, 400, "format: must be jsonl or csv, not 'pdf'"),
    Bad("green", "POST", "/api/v1/tokenreviews", {"spec": {}}, 422, "spec.token: is missing"),
    Bad("anybody", "GET", "/api/v2/offers", None, 404, "Not Found"),
]  # fmt: skip


async def test_bad_requests(bench: Bench) -> None:
    green, lab = await bench.provider(), await bench.consumer()
    await green.publish("there", offer())
    callers = {
        "green": green,
        "lab": lab,
        "anybody": bench.anybody,
        "operator": Client(bench.http, bench.url, OPERATOR),
    }
    before = bench.parts.catalog.index.revision
    assert len(BAD) >= 40
    wrong, told_all = [], []
    for bad in BAD:
        answer = await _send(callers[bad.who], bad)
        told = json.loads(answer[1])
        told_all.append((bad.method, bad.path, bad.body, told))
        if answer[0] != bad.status or bad.says not in " ".join([told["detail"], *told.get("problems", ())]):
            wrong.append(f"{bad.method} {bad.path[:60]} {str(bad.body)[:60]}: {answer[0]} {told['detail']}")
        assert told["status"] == answer[0] and told["code"] and answer[2] == "application/problem+json"
    assert not wrong, "\n".join(wrong)
    assert bench.parts.catalog.index.revision == before, "nothing of it is kept"
    assert bench.parts.contracts.concerning(None) == []
    expected = errors_page.page(told_all, await _refused_frames(bench))
    if errors_page.REWRITE:
        errors_page.PAGE.write_text(expected, encoding="utf-8")
    assert errors_page.PAGE.read_text(encoding="utf-8") == expected, errors_page.HOW


async def _refused_frames(bench: Bench) -> list[tuple[str, str]]:
    """What is said to each bad first frame; afterwards the socket is closed."""
    said = []
    for text, says in FRAMES:
        async with bench.anybody.stream() as socket:
            await socket.send_str(text)
            told = json.loads((await socket.receive()).data)
            assert told["op"] == "error" and says in told["detail"], text
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code in (4400, 4401)
        said.append((text, told["detail"]))
    return said


async def _send(caller: Client, bad: Bad) -> tuple[int, str, str]:
    body = bad.body if bad.body is None or isinstance(bad.body, bytes) else json.dumps(bad.body).encode()
    headers = caller.headers({**(JSON if body is not None else {}), **bad.headers})
    import yarl

    address = yarl.URL(caller.url + bad.path, encoded=True)
    async with caller.http.request(bad.method, address, data=body, headers=headers) as answer:
        return answer.status, await answer.text(), answer.headers["Content-Type"]


FRAMES = [
    ("{", "the first frame is no subscription"),
    ("[]", "the first frame is no subscription"),
    ('{"op":"publish"}', "op: must be subscribe, not 'publish'"),
    ('{"op":"subscribe","since":-1}', "since: must be a revision, from 0, not -1"),
    ('{"op":"subscribe","since":"1"}', "the first frame is no subscription"),
    ('{"op":"subscribe","where":"price"}', "where: price is not a condition"),
    ('{"op":"subscribe","filter":"x"}', "unknown field `filter`"),
    ('{"op":"subscribe","ticket":"x"}', "the ticket is not known"),
]
