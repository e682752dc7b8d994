"""`continuo mapper` as a gateway, and what it and `continuo relay` refuse to be started with."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from cli.command import continuo
from continuo.edge.mqtt.address import Address
from continuo.edge.mqtt.embedded import EmbeddedBroker
from continuo.edge.relay.model import Flow, Source
from continuo.trust.delegation import DeviceKey, Level
from continuo.trust.issuer.entries import Entry
from continuo.trust.issuer.serving import Serving
from continuo.trust.issuer.store import Store
from edge.relay import bed, proofs
from edge.relay.proofs import GATEWAY, RELAY, Domain

PLAIN, KEYED = "spiffe://edge.example/led/plain-00aabbccdd01", "spiffe://edge.example/led/keyed-00aabbccdd02"


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> bytes:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def write(folder: Path, key: bytes) -> Path:
    board = {"board": "STWINKT1B", "sensors": ["hts221"], "overrides": {"hts221": {"rate": 50}}}
    devices = [
        {"name": "plain", "macAddress": "00:AA:BB:CC:DD:01", **board},
        {"name": "keyed", "macAddress": "00:AA:BB:CC:DD:02", "deviceKey": "board.key", **board},
        {"name": "nobody", **board},
    ]
    (folder / "board.key").write_bytes(key)
    file = folder / "mapper.yaml"
    file.write_text(yaml.safe_dump({"devices": devices}), encoding="utf-8")
    return file


def flow(name: str, mac: str, device: str) -> Flow:
    topic = f"sensor/{mac}/00140000-0001-11e1-ac36-0002a5d5c51b/hts221" if mac else f"sensor/{name}/hts221"
    return Flow(sensor=name, source=Source(namespace="default", node="edge-a", topic=topic), device=device)


@pytest.mark.anyio
async def test_its_readings_pass_with_the_names_of_board_and_gateway(tmp_path: Path) -> None:
    key, domain, store = ec.generate_private_key(ec.SECP256R1()), Domain(), Store(tmp_path / "issuer")
    devices = [
        Entry(spiffe_id=PLAIN, gateway=GATEWAY),
        Entry(spiffe_id=KEYED, gateway=GATEWAY, level=Level.L1, device_key=DeviceKey(key).public_pem),
    ]
    store.save_entries([Entry(spiffe_id=GATEWAY, uid=os.getuid()), *devices])
    socket, flows = tmp_path / "api.sock", (
        flow("plain", "00AABBCCDD01", PLAIN), flow("keyed", "00AABBCCDD02", KEYED), flow("nobody", "", ""),
    )  # fmt: skip
    async with (
        EmbeddedBroker() as broker, Serving(domain.issuer, store, socket, mode=0o600), bed.target() as buyer,
        proofs.proving(domain, tmp_path / "relay", mqtt=[("edge-a", broker.address)]) as (service, _),
    ):  # fmt: skip
        await service.relay.put(bed.route("a", buyer, flows=flows))
        text = await mapper(write(tmp_path, pem(key)), broker.address, service.control_url, socket, buyer)
        status = service.relay.status("a")
        assert status is not None and [bool(each.trouble) for each in status.flows] == [False, False, True]
        assert status.flows[2].received == status.unproven > 0
    assert set(proofs.claims(buyer)) == {(PLAIN, GATEWAY, "L0"), (KEYED, GATEWAY, "L1")}
    assert f"plain: {PLAIN}\n" in text and "nobody: nobody speaks for it" in text and "eyJ" not in text


async def mapper(file: Path, broker: Address, relay: str, socket: Path, buyer: bed.Target_) -> str:
    """Run it until the buyer has readings of both boards; what it said."""
    arguments = ["-f", str(file), "--mqtt", str(broker), "--data", str(file.parent / "kept"), "-v"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from continuo.cli.main import main; main()", "mapper", *arguments,
        "--delegations", relay, "--relay-id", RELAY, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "SPIFFE_ENDPOINT_SOCKET": f"unix://{socket}"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            while len({headers["ce-device"] for headers, _ in buyer.taken}) < 2:
                await buyer.until(len(buyer.taken) + 1)
    finally:
        process.terminate()
        _, said = await process.communicate()
    return said.decode()


BASE = ("--delegations", "https://127.0.0.1:1")
BAD_MAPPERS: list[tuple[tuple[str, ...], str]] = [
    (BASE, "belong together"),
    (("--relay-id", RELAY), "belong together"),
    (("--delegations", "http://127.0.0.1:1", "--relay-id", RELAY), "begins with https://"),
    ((*BASE, "--relay-id", "relay"), "--relay-id: 'relay' is no SPIFFE ID"),
    (("--mqtt-id", RELAY), "--mqtt-id needs TLS, and mqtt://127.0.0.1:1883 has none"),
    (("--mqtt", "mqtts://127.0.0.1", "--mqtt-id", "x"), "--mqtt-id: 'x' is no SPIFFE ID"),
    ((*BASE, "--relay-id", RELAY), "SPIFFE_ENDPOINT_SOCKET is not set"),
]
BAD_RELAYS: list[tuple[tuple[str, ...], str]] = [
    (("--insecure", "--require-delegation"), "nobody can prove anything"),
    (("--insecure", "--mqtt-id", RELAY), "there are no identities"),
    (("--allow", RELAY, "--mqtt", "mqtt://127.0.0.1", "--mqtt-id", RELAY), "--mqtt-id needs TLS"),
    (("--insecure", "--deny-device", "board"), "--deny-device: 'board' is no SPIFFE ID"),
]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("SPIFFE_ENDPOINT_SOCKET", raising=False)
    yield


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(("options", "wanted"), BAD_MAPPERS)
def test_a_mapper_that_cannot_be(options: tuple[str, ...], wanted: str, tmp_path: Path) -> None:
    file = write(tmp_path, pem(ec.generate_private_key(ec.SECP256R1())))
    answer = continuo("mapper", "-f", str(file), "--data", str(tmp_path / "kept"), *options)
    assert answer.code in (1, 2) and wanted in answer.sentence and not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        (b"", "Unable to load PEM file"),
        (pem(ec.generate_private_key(ec.SECP256R1()), b"x"), "has a password"),
        (pem(rsa.generate_private_key(65537, 2048)), "no key on an elliptic curve"),
    ],
)
def test_a_key_that_is_none(key: bytes, wanted: str, tmp_path: Path) -> None:
    answer = continuo("mapper", "-f", str(write(tmp_path, key)))
    assert answer.code == 2 and "keyed: " in answer.sentence and wanted in answer.sentence


@pytest.mark.parametrize(("options", "wanted"), BAD_RELAYS)
def test_a_relay_that_cannot_be(options: tuple[str, ...], wanted: str, tmp_path: Path) -> None:
    answer = continuo("relay", "--data", str(tmp_path / "relay"), *options)
    assert answer.code == 2 and wanted in answer.sentence
