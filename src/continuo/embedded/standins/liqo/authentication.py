"""The handshake: nonces, their signatures, tenants with their certificates and rights, identities."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import yaml

from continuo.embedded.standins.liqo import crypto, names
from continuo.embedded.standins.liqo.site import WRITE, Site, labels
from continuo.embedded.standins.objects import owner_reference, with_finalizer, without_finalizer
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, deleting, labels_of

CONTROL_PLANE = "ControlPlane"
RESOURCE_SLICE = "ResourceSlice"


class Authentication:
    """The authentication controllers of one cluster (slices apart)."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def start(self) -> None:
        """Nothing of its own: the site's events suffice."""

    def stop(self) -> None:
        """Nothing to let go of."""

    def peer(self, peer: str) -> None:
        """Nonces, the peer's Tenant here, our Identities there."""
        namespace = self._site.tenants.get(peer)
        if namespace is None:
            return
        for secret in self._site.all(kinds.SECRET, namespace):
            marks = labels_of(secret)
            if names.NONCE in marks:
                self._fill_nonce(secret)
            elif names.SIGNED_NONCE in marks:
                self._sign_nonce(secret)
        for tenant in self._site.all(kinds.TENANT, namespace):
            self._tenant(peer, namespace, tenant)
        for identity in self._site.all(kinds.IDENTITY, namespace):
            if not deleting(identity):
                self._identity(peer, identity)

    def _fill_nonce(self, secret: Object) -> None:
        if deleting(secret) or (secret.get("data") or {}).get("nonce"):
            return
        text = base64.b64encode(self._site.world.rng.randbytes(64))
        data = {**(secret.get("data") or {}), "nonce": base64.b64encode(text).decode()}
        self._site.api.update({**secret, "data": data}, WRITE)

    def _sign_nonce(self, secret: Object) -> None:
        nonce, private = decoded(secret, "nonce"), self._key("privateKey")
        if deleting(secret) or nonce is None or private is None:
            return
        signed = base64.b64encode(crypto.sign(private, nonce)).decode()
        if secret["data"].get("signedNonce") != signed:
            self._site.api.update({**secret, "data": {**secret["data"], "signedNonce": signed}}, WRITE)

    def _key(self, part: str) -> bytes | None:
        return decoded(self._site.find(kinds.SECRET, names.AUTH_KEYS, names.NAMESPACE), part)

    # --- the provider's side ------------------------------------------------------------------------------------------
    def _tenant(self, peer: str, namespace: str, tenant: Object) -> None:
        site = self._site
        if deleting(tenant):
            self._farewell(peer, namespace, tenant)
            return
        held = with_finalizer(tenant, names.TENANT_FINALIZER)
        if held is not tenant:
            tenant = site.api.update(held, WRITE)
        spec = tenant.get("spec") or {}
        if spec.get("authzPolicy", "KeysExchange") != "TolerateNoHandshake":
            why = self._refusal(namespace, spec)
            if why is not None:
                site.api.set_status(tenant, {"tenantNamespace": namespace}, names.MANAGER)
                return
        status = {"tenantNamespace": namespace, "authParams": self._parameters(tenant, spec)}
        site.api.set_status(tenant, status, names.MANAGER)
        self._bind(peer, namespace, tenant)

    def _refusal(self, namespace: str, spec: Object) -> str | None:
        """Why the consumer is not admitted: its signature or its request does not hold."""
        secrets = self._site.all(kinds.SECRET, namespace)
        nonce = decoded(next((s for s in secrets if names.NONCE in labels_of(s)), None), "nonce")
        public, signature, csr = (_bytes(spec.get(name)) for name in ("publicKey", "signature", "csr"))
        if nonce is None or public is None or signature is None or csr is None:
            return "the nonce, the public key, the signature or the request is missing"
        if not crypto.verified(public, nonce, signature):
            return "the signature does not fit the nonce"
        return crypto.refusal(csr, public, str(spec.get("clusterID")), "liqo.io")

    def _parameters(self, owner: Object, spec: Object) -> Object:
        before = (owner.get("status") or {}).get("authParams") or {}
        return auth_parameters(self._site, self._key("privateKey"), spec.get("csr"), before, spec.get("proxyURL"))

    def _bind(self, peer: str, namespace: str, tenant: Object) -> None:
        """The rights that the consumer has from now on."""
        metadata = {"labels": labels(peer), "ownerReferences": [owner_reference(tenant, controller=False, block=False)]}
        self._site.ensure(
            kinds.ROLE_BINDING,
            kinds.ROLE_BINDING.new(
                "liqo-binding-liqo-remote-controlplane", namespace, metadata=metadata,
                subjects=[{"kind": "User", "name": peer, "apiGroup": "rbac.authorization.k8s.io"}],
                roleRef=_role("liqo-remote-controlplane"),
            ),
        )  # fmt: skip
        self._site.ensure(
            kinds.CLUSTER_ROLE_BINDING,
            kinds.CLUSTER_ROLE_BINDING.new(
                _cluster_wide(peer), metadata={"labels": labels(peer)},
                subjects=[{"kind": "Group", "name": peer, "apiGroup": "rbac.authorization.k8s.io"}],
                roleRef=_role("liqo-virtual-kubelet-remote-clusterwide"),
            ),
        )  # fmt: skip

    def _farewell(self, peer: str, namespace: str, tenant: Object) -> None:
        """Take the rights back and everything that was replicated with them."""
        site = self._site
        for kind in (kinds.RESOURCE_SLICE, kinds.NAMESPACE_MAP):
            for copy in site.all(kind, namespace):
                if labels_of(copy).get(names.REPLICATED) == "true" and not deleting(copy):
                    site.drop(kind, copy["metadata"]["name"], namespace)
        site.drop(kinds.ROLE_BINDING, "liqo-binding-liqo-remote-controlplane", namespace)
        site.drop(kinds.CLUSTER_ROLE_BINDING, _cluster_wide(peer))
        site.api.update(without_finalizer(tenant, names.TENANT_FINALIZER), WRITE)

    # --- the consumer's side ------------------------------------------------------------------------------------------
    def _identity(self, peer: str, identity: Object) -> None:
        """A kubeconfig Secret of the parameters that the provider gave."""
        spec, (namespace, name) = identity.get("spec") or {}, _key_of(identity)
        other = self._site.other(peer)
        if other is None or not (spec.get("authParams") or {}).get("apiServer"):
            return
        kind = str(spec.get("type") or CONTROL_PLANE)
        annotations = {}
        if kind == CONTROL_PLANE:
            user, group = self._site.id, "liqo.io"
            annotations = {names.REMOTE_TENANT_NAMESPACE: str(spec.get("namespace") or "")}
        else:
            user, group = name.removeprefix("resourceslice-"), self._site.id
        secret = f"kubeconfig-{name}"
        known = self._site.find(kinds.SECRET, secret, namespace)
        if known is None or annotations_of(known).get(names.REMOTE_TENANT_NAMESPACE, "") != annotations.get(
            names.REMOTE_TENANT_NAMESPACE, ""
        ):
            text = self._site.engine.kubeconfig(other.api.name, user=user, groups=(group,))
            metadata = {
                "labels": labels(peer, **{names.IDENTITY_TYPE: kind}),
                "annotations": annotations,
                "ownerReferences": [owner_reference(identity)],
            }
            data = {"kubeconfig": base64.b64encode(_through(text, spec["authParams"].get("proxyURL"))).decode()}
            self._site.ensure(kinds.SECRET, kinds.SECRET.new(secret, namespace, metadata=metadata, data=data))
        self._site.api.set_status(identity, {"kubeconfigSecretRef": {"name": secret}}, names.MANAGER)


def auth_parameters(site: Site, private: bytes | None, csr: str | None, before: Object, proxy: str | None) -> Object:
    """Where our API is, its CA, and a certificate for the request; an old one that fits is kept."""
    parameters: Object = dict(before)
    if not before.get("apiServer"):
        parameters["apiServer"] = site.engine.url(site.api.name)
        clusters = (yaml.load(site.engine.kubeconfig(site.api.name), yaml.CSafeLoader) or {}).get("clusters") or ()
        authority = clusters[0]["cluster"].get("certificate-authority-data") if clusters else None
        if authority:
            parameters["ca"] = authority
    asked, held = _bytes(csr), _bytes(before.get("signedCRT"))
    if private is not None and asked is not None and (held is None or not crypto.certifies(held, asked)):
        serial = site.world.rng.getrandbits(120) | 1
        made = crypto.certificate(private, site.id, asked, site.engine.now(), serial)
        parameters["signedCRT"] = base64.b64encode(made).decode()
    if proxy:
        parameters["proxyURL"] = proxy
    else:
        parameters.pop("proxyURL", None)
    return parameters


def has_credentials(site: Site, peer: str) -> str | None:
    """The tenant namespace at the peer that our control-plane kubeconfig is for; None without credentials."""
    namespace = site.tenants.get(peer)
    if namespace is None:
        return None
    for secret in site.all(kinds.SECRET, namespace):
        if labels_of(secret).get(names.IDENTITY_TYPE) == CONTROL_PLANE and not deleting(secret):
            return annotations_of(secret).get(names.REMOTE_TENANT_NAMESPACE) or None
    return None


def decoded(secret: Object | None, key: str) -> bytes | None:
    """One value of a Secret, or None."""
    return _bytes(((secret or {}).get("data") or {}).get(key))


def _bytes(text: Any) -> bytes | None:
    if not text:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None


def _key_of(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _role(name: str) -> Object:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}


def _cluster_wide(peer: str) -> str:
    return f"liqo-binding-liqo-virtual-kubelet-remote-clusterwide-{peer}"


def _through(kubeconfig: str, proxy: str | None) -> bytes:
    if not proxy:
        return kubeconfig.encode()
    parsed = yaml.load(kubeconfig, yaml.CSafeLoader)
    parsed["clusters"][0]["cluster"]["proxy-url"] = proxy
    return yaml.dump(parsed, Dumper=yaml.CSafeDumper).encode()
