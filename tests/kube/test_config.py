from __future__ import annotations

import base64
import datetime
import json
import os
import ssl
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kube_stub import serving

from continuo.kube.access import Identity, TokenFile
from continuo.kube.config import access_from, connect, in_cluster
from continuo.kube.execplugin import ExecPlugin
from continuo.kube.kubeconfig import EnvEntry, ExecEntry
from continuo.resources.errors import BadRequest, Unauthorized, Unreachable
from continuo.resources.kinds import NAMESPACE

pytestmark = pytest.mark.anyio
SERVER = "https://203.0.113.7:6443"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def config(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    return {
        "current-context": "green",
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "green", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        **top,
    }


class Pki:
    """A certificate authority with one server and one client certificate."""

    def __init__(self) -> None:
        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self._ca = self._certificate("ca", self._ca_key, None, True)
        self.ca = self._pem(self._ca)

    def pair(self, name: str, dns: str | None = None) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._pem(self._certificate(name, key, dns, False)), pem.decode()

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, dns: str | None, ca: bool) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if ca else self._ca.subject
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca, None), True)
        )
        if dns:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), False)
        return builder.sign(self._ca_key, hashes.SHA256())

    @staticmethod
    def _pem(certificate: x509.Certificate) -> str:
        return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


BAD = [
    pytest.param([], "must be a mapping with clusters, users and contexts", id="a-list"),
    pytest.param({"clusters": "x"}, "clusters must be a list", id="clusters-no-list"),
    pytest.param({"clusters": [{}]}, r"clusters\[0\] has no name", id="nameless"),
    pytest.param({}, r"has no current-context: name one of its contexts \(none\)", id="empty"),
    pytest.param(config(**{"current-context": "rose"}), "no context 'rose': its contexts are green", id="context"),
    pytest.param(config(clusters=[]), "context 'green' .*names the cluster 'c': its clusters are none", id="cluster"),
    pytest.param(config(users=[]), "context 'green' .*names the user 'u': its users are none", id="user"),
    pytest.param(config({"server": ""}), "server of cluster 'c' is '': it must be an http or https", id="no-server"),
    pytest.param(config({"server": "ftp://x"}), "must be an http or https address", id="ftp"),
    pytest.param(config({"server": 7}), r"clusters\[0\] \(c\): Expected `str`", id="server-number"),
    pytest.param(config({"certificate-authority-data": "%%"}), "cluster CA data is not base64", id="ca-base64"),
    pytest.param(config({"certificate-authority-data": b64("x")}), "not a PEM certificate", id="ca-pem"),
    pytest.param(config({"proxy-url": "socks5://x"}), "only http and https proxies", id="socks"),
    pytest.param(config(user={"client-certificate-data": b64("x")}), "has no client-key", id="no-key"),
    pytest.param(config(user={"client-key-data": b64("x")}), "has no client-certificate", id="no-certificate"),
    pytest.param(config(user={"auth-provider": {"name": "gcp"}}), "uses auth-provider, .*exec plugin", id="provider"),
    pytest.param(config(user={"exec": {"command": "rm"}}), "runs the program rm: .*may not run programs", id="exec"),
    pytest.param(
        config(user={"tokenFile": "/etc/passwd"}), "tokenFile names the local file /etc/passwd", id="token-file"
    ),
    pytest.param(
        config({"certificate-authority": "/etc/x"}), "certificate-authority names the local file", id="ca-file"
    ),
    pytest.param(config(user={"client-key": "/k", "client-certificate": "/c"}), "names the local file", id="key-file"),
]


@pytest.mark.parametrize(("document", "sentence"), BAD)
def test_a_kubeconfig_that_does_not_fit_is_told_in_one_sentence(document: Any, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        access_from(json.dumps(document))


def test_text_that_is_no_yaml_is_told_with_its_line() -> None:
    with pytest.raises(BadRequest, match="not valid YAML at line 2"):
        access_from("clusters: []\nusers: x: y\n")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r"cannot read the kubeconfig .*/nowhere: No such file"):
        access_from(tmp_path / "nowhere")
    with pytest.raises(BadRequest, match="KUBECONFIG names /nowhere, and there is no such file"):
        access_from(environ={"KUBECONFIG": "/nowhere"})


def test_without_any_configuration_the_ways_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BadRequest, match="pass --kubeconfig FILE, set KUBECONFIG, or start one with `continuo up`"):
        access_from(environ={})


async def test_token_password_and_impersonation() -> None:
    token = await access_from(config(user={"token": "t"})).credentials.current()
    password = await access_from(config(user={"username": "u", "password": "p"})).credentials.current()
    other = await access_from(config(user={"token": "t", "as": "jane"})).credentials.current()
    assert token.authorization == "Bearer t"
    assert password.authorization == f"Basic {b64('u:p')}"
    assert other.headers == (("Impersonate-User", "jane"),)


def test_several_files_merge_and_the_first_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(yaml.safe_dump({**config(), "current-context": ""}))
    other = config({"server": "https://other"})
    other["contexts"].append({"name": "rose", "context": {"cluster": "c"}})
    second.write_text(yaml.safe_dump({**other, "current-context": "rose"}))
    environ = {"KUBECONFIG": f"{first}{os.pathsep}{tmp_path / 'missing'}{os.pathsep}{second}"}
    access = access_from(environ=environ)
    assert (access.context, access.server) == ("rose", SERVER)
    assert access_from(environ=environ, context="green").namespace == "shop"


async def test_relative_files_start_at_the_kubeconfig(tmp_path: Path, pki: Pki) -> None:
    certificate, key = pki.pair("jane")
    for name, text in {"ca.crt": pki.ca, "jane.crt": certificate, "jane.key": key, "token": "t1\n"}.items():
        (tmp_path / name).write_text(text)
    path = tmp_path / "config"
    user = {"client-certificate": "jane.crt", "client-key": "jane.key", "tokenFile": "token"}
    path.write_text(yaml.safe_dump(config({"certificate-authority": "ca.crt"}, user)))
    access = access_from(path)
    identity = await access.credentials.current()
    assert (access.tls.ca, identity.certificate, identity.key) == (pki.ca, certificate, key)
    assert identity.authorization == "Bearer t1"


async def test_a_rotated_token_file_is_read_again(tmp_path: Path) -> None:
    path, now = tmp_path / "token", [0.0]
    path.write_text("one")
    credentials = TokenFile(path, Identity(), clock=lambda: now[0])
    first = await credentials.current()
    path.write_text("two")
    assert await credentials.current() is first
    now[0] = 61.0
    assert (await credentials.current()).authorization == "Bearer two"
    path.write_text("three")
    assert credentials.invalidate()
    assert not credentials.invalidate()
    assert (await credentials.current()).authorization == "Bearer three"


async def test_in_a_pod_the_service_account_is_used(tmp_path: Path, pki: Pki) -> None:
    for name, text in {"ca.crt": pki.ca, "token": "pod", "namespace": "continuo"}.items():
        (tmp_path / name).write_text(text)
    access = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)
    assert (access.server, access.namespace) == ("https://[fd00::1]:443", "continuo")
    assert (await access.credentials.current()).authorization == "Bearer pod"


def test_proxies_come_from_the_kubeconfig_then_the_environment() -> None:
    environ = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".internal"}
    assert access_from(config({"proxy-url": "http://own:1"}), environ=environ).proxy == "http://own:1"
    assert access_from(config(), environ=environ).proxy == "http://proxy:3128"
    assert access_from(config({"server": "https://api.internal"}), environ=environ).proxy is None
    assert access_from(config({"server": "https://127.0.0.1:1"}), environ=environ).proxy is None


# --- TLS, against a real socket ---
async def test_certificates_on_both_sides(pki: Pki, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / "server.pem").write_text("\n".join(pki.pair("server", "kubernetes.default")))
    context.load_cert_chain(tmp_path / "server.pem")
    context.load_verify_locations(cadata=pki.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    certificate, key = pki.pair("jane")
    user = {"client-certificate-data": b64(certificate), "client-key-data": b64(key)}
    ca = {"certificate-authority-data": b64(pki.ca)}
    async with serving(context) as stub:
        stub.json({"metadata": {"name": "a"}})

        async def answers(cluster_part: dict[str, Any], user_part: dict[str, Any]) -> str:
            client = connect(config({"server": stub.url, **cluster_part}, user_part), name="green")
            try:
                return (await client.get(NAMESPACE, "a"))["metadata"]["name"]
            except Unreachable as error:
                return str(error)
            finally:
                await client.close()

        assert await answers({**ca, "tls-server-name": "kubernetes.default"}, user) == "a"
        assert await answers({"insecure-skip-tls-verify": True}, user) == "a"
        assert "certificate is not trusted" in await answers({"tls-server-name": "kubernetes.default"}, user)
        assert "certificate is not trusted" in await answers(ca, user), "the address is not in the certificate"
        assert "cannot be reached" in await answers({**ca, "tls-server-name": "kubernetes.default"}, {})


# --- exec plugins ---
def plugin(tmp_path: Path, body: str, **fields: Any) -> ExecEntry:
    script = tmp_path / "plugin"
    script.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{body}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return ExecEntry(command=str(script), **fields)


PRINT = 'print(json.dumps({"kind": "ExecCredential", "status": %s}))'


async def test_an_exec_plugin_is_asked_once_until_it_expires(tmp_path: Path) -> None:
    count = tmp_path / "count"
    body = f'open({str(count)!r}, "a").write("x")\n' + PRINT % (
        '{"token": os.environ["WHO"] + sys.argv[1], "expirationTimestamp": "2026-01-01T00:10:00Z"}'
    )
    now = [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()]
    entry = plugin(tmp_path, body, args=["-1"], env=[EnvEntry("WHO", "jane")])
    credentials = ExecPlugin(entry, Identity(), now=lambda: now[0])
    assert (await credentials.current()).authorization == "Bearer jane-1"
    assert await credentials.current() is await credentials.current()
    now[0] += 575  # within the margin before the end
    await credentials.current()
    credentials.invalidate()
    await credentials.current()
    assert count.read_text() == "xxx"


async def test_an_exec_plugin_runs_for_a_local_kubeconfig_and_learns_of_the_cluster(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    body = f'open({str(seen)!r}, "w").write(os.environ["KUBERNETES_EXEC_INFO"])\n' + PRINT % '{"token": "t"}'
    plugin(tmp_path, body)
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config(user={"exec": {"command": "./plugin", "provideClusterInfo": True}})))
    identity = await access_from(path).credentials.current()
    assert identity.authorization == "Bearer t"
    info = json.loads(seen.read_text())
    assert info["spec"]["cluster"]["server"] == SERVER
    assert info["spec"]["interactive"] is False


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        pytest.param('sys.stderr.write("no session"); sys.exit(3)', "failed with exit code 3: no session", id="exit"),
        pytest.param('print("hello")', "printed no ExecCredential", id="no-json"),
        pytest.param(PRINT % "{}", "printed neither a token nor a certificate", id="empty"),
        pytest.param(PRINT % '{"token": "t", "expirationTimestamp": "soon"}', "'soon' is no RFC 3339", id="expiry"),
        pytest.param("time.sleep(60)", "gave no answer in 0.2 s", id="slow"),
    ],
)
async def test_an_exec_plugin_that_fails_is_told(tmp_path: Path, body: str, sentence: str) -> None:
    with pytest.raises(Unauthorized, match=sentence):
        await ExecPlugin(plugin(tmp_path, body), Identity(), timeout=0.2 if "sleep" in body else 30.0).current()


async def test_an_exec_plugin_that_is_missing_says_how_to_get_it() -> None:
    entry = ExecEntry("no-such-plugin", install_hint="install it from the shop")
    with pytest.raises(Unauthorized, match=r"cannot run the exec plugin no-such-plugin.*install it from the shop"):
        await ExecPlugin(entry, Identity()).current()
