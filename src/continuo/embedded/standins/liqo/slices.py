"""Resource slices: asked for here, granted there, turned into an Identity and a VirtualNode here."""

from __future__ import annotations

import base64
import hashlib

from continuo.embedded.standins.liqo import crypto, names
from continuo.embedded.standins.liqo.authentication import auth_parameters, decoded
from continuo.embedded.standins.liqo.site import WRITE, Site, labels
from continuo.embedded.standins.objects import cond, conditions, owner_reference
from continuo.resources import kinds
from continuo.resources.meta import Object, annotations_of, condition, deleting, labels_of


class Slices:
    """The slice controllers of one cluster, as consumer and as provider."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def start(self) -> None:
        """Nothing of its own: the site's events suffice."""

    def stop(self) -> None:
        """Nothing to let go of."""

    def peer(self, peer: str) -> None:
        """All slices between us and the peer, in both directions."""
        namespace = self._site.tenants.get(peer)
        if namespace is None:
            return
        for found in self._site.all(kinds.RESOURCE_SLICE, namespace):
            if deleting(found):
                continue
            if labels_of(found).get(names.REPLICATED) == "true":
                self._grant(peer, found)
            else:
                self._ask(peer, found)

    # --- the consumer -------------------------------------------------------------------------------------------------
    def _ask(self, peer: str, asked: Object) -> None:
        spec = asked.get("spec") or {}
        private = decoded(self._site.find(kinds.SECRET, names.AUTH_KEYS, names.NAMESPACE), "privateKey")
        if private is None:
            return
        if not spec.get("csr") or spec.get("consumerClusterID") != self._site.id:
            csr = crypto.request(private, common_name(asked["metadata"]["name"], self._site.id), self._site.id)
            filled = {"consumerClusterID": self._site.id, "csr": base64.b64encode(csr).decode()}
            asked = self._site.api.update({**asked, "spec": {**spec, **filled}}, WRITE)
        status = asked.get("status") or {}
        if not _accepted(asked, "Authentication") or not status.get("authParams"):
            return
        self._identity(peer, asked, status["authParams"])
        if annotations_of(asked).get(names.CREATE_VIRTUAL_NODE) == "true" and _accepted(asked, "Resources"):
            self._virtual_node(peer, asked, status)

    def _identity(self, peer: str, asked: Object, parameters: Object) -> None:
        name, namespace = asked["metadata"]["name"], asked["metadata"]["namespace"]
        metadata = {"labels": labels(peer), "ownerReferences": [owner_reference(asked)]}
        spec = {"clusterID": peer, "type": "ResourceSlice", "authParams": parameters}
        wanted = kinds.IDENTITY.new(f"resourceslice-{name}", namespace, metadata=metadata, spec=spec)
        self._site.ensure(kinds.IDENTITY, wanted)

    def _virtual_node(self, peer: str, asked: Object, status: Object) -> None:
        name, namespace = asked["metadata"]["name"], asked["metadata"]["namespace"]
        spec: Object = {
            "clusterID": peer,
            "createNode": True,
            "disableNetworkCheck": False,
            "kubeconfigSecretRef": {"name": f"kubeconfig-resourceslice-{name}"},
            "resourceQuota": {"hard": status.get("resources") or {}},
            "vkOptionsTemplateRef": {
                "apiVersion": kinds.VK_OPTIONS_TEMPLATE.api_version, "kind": kinds.VK_OPTIONS_TEMPLATE.kind,
                "name": "virtual-kubelet-default", "namespace": names.NAMESPACE,
            },
        }  # fmt: skip
        if status.get("nodeLabels"):
            spec["labels"] = status["nodeLabels"]
        for field in ("storageClasses", "ingressClasses", "loadBalancerClasses"):
            if status.get(field):
                spec[field] = status[field]
        metadata = {"labels": labels(peer), "ownerReferences": [owner_reference(asked)]}
        self._site.ensure(kinds.VIRTUAL_NODE, kinds.VIRTUAL_NODE.new(name, namespace, metadata=metadata, spec=spec))

    # --- the provider -------------------------------------------------------------------------------------------------
    def _grant(self, peer: str, asked: Object) -> None:
        namespace, spec = asked["metadata"]["namespace"], asked.get("spec") or {}
        tenant = next((t for t in self._site.all(kinds.TENANT, namespace) if not deleting(t)), None)
        if tenant is None or not spec.get("csr") or not (tenant.get("status") or {}).get("authParams"):
            return
        status: Object = dict(asked.get("status") or {})
        name = common_name(asked["metadata"]["name"], peer)
        verdicts = self._authenticate(tenant, spec, status, name, peer)
        verdicts += self._resources(asked, tenant, spec, status)
        status["conditions"] = conditions(status.get("conditions"), verdicts, self._site.now())
        self._site.api.set_status(asked, status, names.MANAGER)
        if {entry["type"] for entry in verdicts if entry["status"] == "Accepted"} >= {"Authentication", "Resources"}:
            self._quota(peer, asked, name, status)

    def _authenticate(self, tenant: Object, spec: Object, status: Object, name: str, peer: str) -> list[Object]:
        public, csr = (decoded({"data": body}, key) for body, key in ((tenant["spec"], "publicKey"), (spec, "csr")))
        why = "the request or the tenant's key is missing"
        if csr is not None and public is not None:
            why = crypto.refusal(csr, public, name, peer) or ""
        if why:
            return [cond("Authentication", "Denied", "ResourceSliceAuthenticationDenied", why)]
        private = decoded(self._site.find(kinds.SECRET, names.AUTH_KEYS, names.NAMESPACE), "privateKey")
        before = status.get("authParams") or {}
        status["authParams"] = auth_parameters(
            self._site, private, spec["csr"], before, (tenant.get("spec") or {}).get("proxyURL")
        )
        text = "the request is signed by the tenant's key"
        return [cond("Authentication", "Accepted", "ResourceSliceAuthenticationAccepted", text)]

    def _resources(self, asked: Object, tenant: Object, spec: Object, status: Object) -> list[Object]:
        """The class `default` grants what is asked; any other is left to its own controller."""
        before = condition(asked, "Resources")
        mood = (tenant.get("spec") or {}).get("tenantCondition") or "Active"
        undecided = before is None or before.get("status") != "Accepted"
        if mood == "Drained" or (mood == "Cordoned" and undecided):
            return [cond("Resources", "Denied", f"Tenant{mood}", f"the tenant is {mood.lower()}")]
        if spec.get("class") not in (None, "", "default"):
            return [before] if before is not None else []
        status["resources"] = dict(spec.get("resources") or {})
        return [cond("Resources", "Accepted", "ResourceSliceResourcesAccepted", "the resources are granted")]

    def _quota(self, peer: str, asked: Object, name: str, status: Object) -> None:
        metadata = {"labels": labels(peer), "ownerReferences": [owner_reference(asked)]}
        spec = {
            "user": name, "limitsEnforcement": "None", "resources": status.get("resources") or {},
            "cordoned": annotations_of(asked).get(names.CORDON) == "true",
        }  # fmt: skip
        wanted = kinds.QUOTA.new(name, asked["metadata"]["namespace"], metadata=metadata, spec=spec)
        self._site.ensure(kinds.QUOTA, wanted)


def common_name(name: str, consumer: str) -> str:
    """The user that a slice's credentials stand for."""
    return f"{name}-{hashlib.sha256(consumer.encode()).digest()[:6].hex()}"


def _accepted(found: Object, kind: str) -> bool:
    entry = condition(found, kind)
    return entry is not None and entry.get("status") == "Accepted"
