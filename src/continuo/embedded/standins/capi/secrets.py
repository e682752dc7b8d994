"""The Secrets of a cluster: its certificate authorities and its kubeconfig."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from continuo.embedded.standins.capi.admission import CLUSTER_NAME
from continuo.embedded.standins.capi.world import ENGINE_CLUSTER, World
from continuo.embedded.standins.objects import owner_reference
from continuo.resources.kinds import SECRET
from continuo.resources.meta import Object, annotations_of

TYPE = "cluster.x-k8s.io/secret"
AUTHORITIES = {"ca": "kubernetes", "etcd": "etcd", "proxy": "front-proxy"}


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _authority(name: str, now: float) -> dict[str, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.fromtimestamp(now, UTC) - timedelta(minutes=5)
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return {"tls.crt": certificate.public_bytes(serialization.Encoding.PEM), "tls.key": _pem_key(key)}


def _account_keys() -> dict[str, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"tls.crt": public, "tls.key": _pem_key(key)}


def _put(world: World, cluster: Object, owner: Object, suffix: str, data: dict[str, bytes]) -> None:
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    metadata = {"labels": {CLUSTER_NAME: name}, "ownerReferences": [owner_reference(owner)]}
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    world.create(SECRET.new(f"{name}-{suffix}", namespace, metadata=metadata, type=TYPE, data=encoded))


def ensure_certificates(world: World, cluster: Object, owner: Object) -> None:
    """`<cluster>-ca`, `-etcd`, `-proxy`, `-sa`; users may bring their own."""
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    for suffix, subject in AUTHORITIES.items():
        if world.api.find(SECRET, f"{name}-{suffix}", namespace) is None:
            _put(world, cluster, owner, suffix, _authority(subject, world.engine.now()))
    if world.api.find(SECRET, f"{name}-sa", namespace) is None:
        _put(world, cluster, owner, "sa", _account_keys())


def ensure_kubeconfig(world: World, cluster: Object, owner: Object) -> None:
    """`<cluster>-kubeconfig`, as soon as the endpoint is known; the API answers later."""
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    served = annotations_of(cluster).get(ENGINE_CLUSTER)
    endpoint = (cluster["spec"].get("controlPlaneEndpoint") or {}).get("host")
    if not served or not endpoint or world.api.find(SECRET, f"{name}-kubeconfig", namespace) is not None:
        return
    _put(world, cluster, owner, "kubeconfig", {"value": world.engine.kubeconfig(served).encode()})
