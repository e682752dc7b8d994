"""Where readings may be sent: tables of what buyers may name, and of what names may mean."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuo.edge.router.egress import Policy, Refused, networks, parse, pin, shown, why_not

pytestmark = pytest.mark.anyio
PLAIN = Policy()
CUSTOMER = Policy(allowed=networks(["10.2.0.0/16", "fd12::/64"]), denied=networks(["10.2.9.0/24"]))

GOOD = [
    "https://sink.example.org/in", "http://sink.example.org:4487/telegraf", "https://203.0.113.7/in?key=1",
    "https://[2606:4700::1]:8443/in", "https://sink.example.org:1024",
]  # fmt: skip


@pytest.mark.parametrize("url", GOOD)
def test_good_urls_are_read(url: str) -> None:
    assert parse(url, PLAIN).url == url


BAD = {
    "": "must be a URL",
    "ftp://sink.example.org/": "not http or https",
    "file:///etc/passwd": "not http or https",
    "sink.example.org/in": "not http or https",
    "javascript:alert(1)": "not http or https",
    "http://": "names no host",
    "http://:80/": "names no host",
    "http://.example.org/": "names no host",
    "http://a..b/": "names no host",
    "http://user:pw@sink.example.org/": "a user or a password",
    "http://user@sink.example.org/": "a user or a password",
    "http://sink.example.org/a,http://other/": "a comma",
    "http://sink.example.org/#here": "a fragment",
    "http://sink.example.org:22/": "leads to port 22",
    "http://sink.example.org:0x50/": "no URL",
    "http://sink.example.org:99999/": "no URL",
    "http://sink.example.org/a b": "a space or a control character",
    "http://sink.example.org/\r\nHost: x": "a space or a control character",
    "http://[::1/": "no URL",
    "http://sink.example.org/" + "a" * 2048: "at most 2048",
}


@pytest.mark.parametrize(("url", "says"), BAD.items(), ids=range(len(BAD)))
def test_each_bad_url_gets_its_sentence(url: str, says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        parse(url, PLAIN)
    assert "pw" not in str(refused.value) and len(str(refused.value)) < 400


@pytest.mark.parametrize("value", [None, 7, ["http://a"], {"url": "x"}])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(Refused, match="must be a URL"):
        parse(value, PLAIN)


def test_a_provider_may_want_encryption() -> None:
    with pytest.raises(Refused, match="by https only"):
        parse("http://sink.example.org/", Policy(tls=True))


ADDRESSES = {
    "203.0.113.7": "private",  # documentation: nobody's
    "8.8.8.8": None,
    "2606:4700::1111": None,
    "127.0.0.1": "loopback",
    "127.8.9.1": "loopback",
    "::1": "loopback",
    "::ffff:127.0.0.1": "loopback",
    "169.254.1.1": "link-local",
    "fe80::1": "link-local",
    "169.254.169.254": "metadata",
    "::ffff:169.254.169.254": "metadata",
    "100.100.100.200": "metadata",
    "fd00:ec2::254": "metadata",
    "10.1.2.3": "private",
    "192.168.0.1": "private",
    "172.16.0.1": "private",
    "fc00::1": "private",
    "100.64.0.1": "carrier",
    "64:ff9b::7f00:1": "NAT64",
    "2002:7f00:1::": "6to4",
    "2001:0:7f00:1::": "Teredo",
    "::7f00:1": "disguise",
    "224.0.0.1": "no address of one machine",
    "255.255.255.255": "no address of one machine",
    "0.0.0.0": "no address of one machine",
    "::": "no address of one machine",
}


@pytest.mark.parametrize(("text", "says"), ADDRESSES.items(), ids=ADDRESSES)
def test_addresses_that_lead_back_are_refused(text: str, says: str | None) -> None:
    found = why_not(ip_address(text), PLAIN)
    assert found is None if says is None else says in (found or "")


def test_a_provider_may_allow_a_customers_network_but_never_a_metadata_service() -> None:
    assert why_not(ip_address("10.2.0.1"), CUSTOMER) is None
    assert why_not(ip_address("fd12::1"), CUSTOMER) is None
    assert "own networks" in (why_not(ip_address("10.2.9.1"), CUSTOMER) or "")
    assert "private" in (why_not(ip_address("10.3.0.1"), CUSTOMER) or "")
    everything = Policy(allowed=networks(["0.0.0.0/0", "::/0"]))
    assert why_not(ip_address("127.0.0.1"), everything) is None
    assert "metadata" in (why_not(ip_address("169.254.169.254"), everything) or "")
    assert "metadata" in (why_not(ip_address("::ffff:169.254.169.254"), everything) or "")


async def test_a_name_is_pinned_to_what_it_means_now() -> None:
    async def means(*addresses: str) -> tuple[str, ...]:
        async def resolve(host: str, port: int) -> list[str]:
            assert (host, port) == ("sink.example.org", 443)
            return list(addresses)

        return (await pin("https://sink.example.org/in", PLAIN, resolve))[1]

    assert await means("8.8.8.8", "8.8.4.4", "8.8.8.8") == ("8.8.8.8", "8.8.4.4")
    with pytest.raises(Refused, match=r"127\.0\.0\.1, which is what sink\.example\.org means, is loopback"):
        await means("8.8.8.8", "127.0.0.1")
    with pytest.raises(OSError, match="has no address"):
        await means()


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "localhost", "localhost."])
async def test_disguises_are_seen_through_by_what_they_resolve_to(host: str) -> None:
    from continuo.edge.router.egress import resolve

    with pytest.raises((Refused, OSError)):
        await pin(f"http://{host}:8080/", PLAIN, resolve)


def test_what_is_shown_has_no_secrets_in_it() -> None:
    assert shown("https://u:secret@h:8443/p?token=secret#secret") == "https://h:8443/p"
    assert shown("http://[fd12::1]:80/in") == "http://[fd12::1]:80/in"
    assert shown("http://[") == "an endpoint that is no URL"


def test_networks_that_are_none_are_refused_with_what_would_be_right() -> None:
    with pytest.raises(Refused, match=r"'10\.2\.0\.0/40' is no network"):
        networks(["10.2.0.0/40"])


@given(st.text(max_size=200) | st.from_regex(r"https?://[^/]{0,40}(/.*)?", fullmatch=True))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    try:
        found = parse(text, PLAIN)
    except Refused as refused:
        assert str(refused)
    else:
        assert found.host and 0 < found.port < 65536
