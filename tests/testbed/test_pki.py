from __future__ import annotations

import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from continuo.kube.config import access_from
from continuo.testbed.credentials import ADMIN, Credentials, kubelet
from continuo.testbed.pki import Authority, Subject

NOW = datetime.datetime.now(datetime.UTC)


def verified(authority: Authority, certificate: str, host: str) -> None:
    store = Store([x509.load_pem_x509_certificate(authority.certificate.encode())])
    server = PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName(host))
    server.verify(x509.load_pem_x509_certificate(certificate.encode()), [])


def test_a_certificate_is_good_for_its_hosts_only(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "one", "one", NOW)
    pair = authority.issue(Subject("kube-apiserver", hosts=("kubernetes", "127.0.0.1")))
    ssl.create_default_context(cadata=authority.certificate)
    with pytest.raises(VerificationError):
        verified(authority, pair.certificate, "elsewhere")
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_an_authority_survives_a_restart_and_is_renewed_before_it_ends(tmp_path: Path) -> None:
    first = Authority(tmp_path, "one", NOW).certificate
    assert Authority(tmp_path, "one", NOW).certificate == first
    later = NOW + datetime.timedelta(days=10 * 365 - 10)
    assert Authority(tmp_path, "one", later).certificate != first


def test_keys_are_private(tmp_path: Path) -> None:
    credentials = Credentials.open("a", tmp_path, "https://127.0.0.1:1")
    credentials.service_accounts()
    credentials.kubeconfig_file("admin", ADMIN)
    secret = [path for path in tmp_path.iterdir() if path.suffix in (".key", ".kubeconfig")]
    assert len(secret) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_a_kubeconfig_holds_all_that_a_client_needs(tmp_path: Path) -> None:
    credentials = Credentials.open("a", tmp_path, "https://127.0.0.1:1234")
    access = access_from(credentials.kubeconfig(kubelet("a-node-1")))
    assert (access.server, access.context, access.namespace) == ("https://127.0.0.1:1234", "a", "default")
    assert access.tls.ca == credentials.authority.certificate
    issued = x509.load_pem_x509_certificate(credentials.authority.issue(kubelet("a-node-1")).certificate.encode())
    assert issued.subject.rfc4514_string() == "CN=system:node:a-node-1,O=system:nodes"
