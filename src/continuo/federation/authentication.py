"""How a consumer gets access to a provider, and the resources it asks for there: one direction of a link."""

from __future__ import annotations

import base64

from continuo.federation import handshake, names, network
from continuo.federation.addresses import remap
from continuo.federation.compare import ensure, settled
from continuo.federation.model import DEFAULT_RESOURCES, LinkSettings
from continuo.federation.state import EndState, secret_bytes
from continuo.federation.steps import Step, has_namespace, in_tenant_namespace, name_of
from continuo.resources import kinds
from continuo.resources.meta import Object, condition


def steps(consumer: EndState, provider: EndState, settings: LinkSettings) -> list[Step]:
    """All steps after which the consumer has a virtual node that stands for the provider."""
    return [
        nonce(provider),
        signed_nonce(consumer, provider),
        tenant(consumer, provider, settings),
        identity(consumer, provider),
        resource_slice(consumer, provider, settings),
        virtual_node(consumer, provider),
    ]


def nonce(provider: EndState) -> Step:
    """The challenge; Liqo in the provider fills it."""
    wait = f"Liqo in {provider.name} to make a nonce"
    if not has_namespace(provider):
        return Step("Authenticating", False, wait)
    wanted = in_tenant_namespace(provider, kinds.SECRET, names.NONCE_SECRET, {names.NONCE: "true"})
    done = settled(provider.nonce, wanted) and secret_bytes(provider.nonce, "nonce") is not None
    return Step("Authenticating", done, wait, ensure(provider, provider.nonce, wanted))


def signed_nonce(consumer: EndState, provider: EndState) -> Step:
    """The answer; Liqo in the consumer signs it with the cluster's key, again when the nonce changes."""
    wait = f"Liqo in {consumer.name} to sign the nonce of {provider.name}"
    challenge = secret_bytes(provider.nonce, "nonce")
    if not has_namespace(consumer) or challenge is None:
        return Step("Authenticating", False, wait)
    wanted = in_tenant_namespace(consumer, kinds.SECRET, names.SIGNED_NONCE_SECRET, {names.SIGNED_NONCE: "true"})
    wanted["data"] = {"nonce": base64.b64encode(challenge).decode()}
    done = settled(consumer.signed_nonce, wanted) and _signature(consumer, provider) is not None
    return Step("Authenticating", done, wait, ensure(consumer, consumer.signed_nonce, wanted))


def _signature(consumer: EndState, provider: EndState) -> bytes | None:
    """The consumer's signature, if it is one over the provider's present nonce."""
    challenge, public = secret_bytes(provider.nonce, "nonce"), secret_bytes(consumer.keys, "publicKey")
    signed = secret_bytes(consumer.signed_nonce, "signedNonce")
    if challenge is None or public is None or signed is None:
        return None
    return signed if handshake.signature_fits(public, challenge, signed) else None


def tenant(consumer: EndState, provider: EndState, settings: LinkSettings) -> Step:
    """The consumer's application for access, at the provider."""
    wait = f"{provider.name} to admit {consumer.name}"
    signature = _signature(consumer, provider)
    private, public = secret_bytes(consumer.keys, "privateKey"), secret_bytes(consumer.keys, "publicKey")
    if not has_namespace(provider) or signature is None or private is None or public is None:
        return Step("Authenticating", False, wait)
    who = consumer.cluster_id or ""
    try:
        csr = _present_request(provider, public, who) or handshake.certificate_request(private, who)
    except handshake.UnusableKey as problem:
        return Step("UnusableKey", False, f"a usable key of {consumer.name}: {problem}", refused=True)
    wanted = in_tenant_namespace(provider, kinds.TENANT, name_of(provider.tenant, who))
    wanted["spec"] = {
        "clusterID": who,
        "authzPolicy": "KeysExchange",
        "publicKey": base64.b64encode(public).decode(),
        "csr": base64.b64encode(csr).decode(),
        "signature": base64.b64encode(signature).decode(),
    }
    if settings.in_band:
        proxy = _proxy(consumer, provider)
        if proxy is None:
            return Step("Authenticating", False, f"{provider.name} to publish its API proxy inside the tunnel")
        wanted["spec"]["proxyURL"] = proxy
    done = settled(provider.tenant, wanted) and bool(_admission(provider).get("authParams"))
    return Step("Authenticating", done, wait, ensure(provider, provider.tenant, wanted))


def _admission(provider: EndState) -> Object:
    return (provider.tenant or {}).get("status") or {}


def _present_request(provider: EndState, public: bytes, who: str) -> bytes | None:
    """The request that the Tenant carries already, if it still fits: a new one means a new certificate."""
    encoded = ((provider.tenant or {}).get("spec") or {}).get("csr")
    present = secret_bytes({"data": {"csr": encoded}}, "csr")
    return present if present and handshake.request_fits(present, public, who) else None


def _proxy(consumer: EndState, provider: EndState) -> str | None:
    cidr = network.remote_cidr(consumer, "external")
    if provider.proxy_ip is None or cidr is None:
        return None
    return f"http://{remap(provider.proxy_ip, cidr)}:{names.PROXY_PORT}"


def identity(consumer: EndState, provider: EndState) -> Step:
    """The credentials that the provider gave, at the consumer; Liqo makes a kubeconfig of them."""
    wait = f"Liqo in {consumer.name} to take over its credentials for {provider.name}"
    admission = _admission(provider)
    if not has_namespace(consumer) or not admission.get("authParams") or not admission.get("tenantNamespace"):
        return Step("Authenticating", False, wait)
    wanted = in_tenant_namespace(consumer, kinds.IDENTITY, names.identity(provider.cluster_id or ""))
    wanted["spec"] = {
        "clusterID": provider.cluster_id,
        "type": "ControlPlane",
        "namespace": admission["tenantNamespace"],
        "authParams": admission["authParams"],
    }
    status = (consumer.identity or {}).get("status") or {}
    done = settled(consumer.identity, wanted) and bool(status.get("kubeconfigSecretRef"))
    return Step("Authenticating", done, wait, ensure(consumer, consumer.identity, wanted))


def resource_slice(consumer: EndState, provider: EndState, settings: LinkSettings) -> Step:
    """The request for resources, which Liqo carries to the provider and answers there."""
    wait = f"{provider.name} to grant resources to {consumer.name}"
    if not has_namespace(consumer):
        return Step("RequestingResources", False, wait)
    name = names.resource_slice(provider.cluster_id or "")
    replicated = {names.REMOTE_ID: provider.cluster_id or "", names.REPLICATION: "true"}
    wanted = in_tenant_namespace(consumer, kinds.RESOURCE_SLICE, name, replicated)
    wanted["metadata"]["annotations"] = {names.CREATE_VIRTUAL_NODE: "true"}
    wanted["spec"] = {
        "providerClusterID": provider.cluster_id,
        "class": settings.resource_class,
        "resources": dict(settings.resources or provider.capacity or DEFAULT_RESOURCES),
    }
    live = next((s for s in consumer.slices if s["metadata"]["name"] == name), None)
    said = [condition(live, kind) if live else None for kind in ("Authentication", "Resources")]
    denied = next((c for c in said if c and c.get("status") == "Denied"), None)
    if denied:
        text = f"{wait}; it was denied ({denied.get('reason')}: {denied.get('message')})"
        return Step("ResourcesDenied", False, text, ensure(consumer, live, wanted), refused=True)
    done = settled(live, wanted) and all(c is not None and c.get("status") == "Accepted" for c in said)
    return Step("RequestingResources", done, wait, ensure(consumer, live, wanted))


def virtual_node(consumer: EndState, provider: EndState) -> Step:
    """Whether the provider can be scheduled on, as a Node of the consumer."""
    wait = f"the virtual node for {provider.name} in {consumer.name} to be ready"
    ready = condition(consumer.node, "Ready") if consumer.node is not None else None
    if ready is not None and ready.get("status") != "True":
        return Step("VirtualNodeNotReady", False, f"{wait} ({ready.get('reason')}: {ready.get('message')})")
    return Step("StartingVirtualNode", ready is not None, wait)
