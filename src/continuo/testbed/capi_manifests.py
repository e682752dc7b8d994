"""Cluster API's own manifests, made to fit managers that run as plain processes.

Upstream prepares them with kustomize for Deployments behind Services, with certificates from cert-manager. Here webhooks are
called by URL, with the testbed's authority, and the labels that kustomize would add are added: without them Cluster API
does not know which version of a kind speaks which contract.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from continuo.resources.meta import Kind, Object
from continuo.testbed.errors import Missing

MUTATING = Kind(
    "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations",
    namespaced=False,
)  # fmt: skip
VALIDATING = Kind(
    "admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations",
    namespaced=False,
)  # fmt: skip
_CONTRACTS = {"cluster.x-k8s.io/v1beta1": "v1beta1", "cluster.x-k8s.io/v1beta2": "v1beta2"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a manager answers the API server's webhooks."""

    port: int
    authority: str
    """The PEM that its certificate is checked with, in base64."""

    def client(self, path: str) -> Object:
        """The `clientConfig` of a webhook."""
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.authority}


def read(folder: Path) -> list[Object]:
    """All objects in the YAML files of one provider; raises Missing where there are none."""
    files = sorted(folder.glob("*/*.yaml"))
    if not files:
        raise Missing(f"{folder} holds no manifests of Cluster API; get them with: continuo testbed build cluster-api")
    return [obj for file in files for obj in _documents(file.read_text(encoding="utf-8")) if obj]


def _documents(text: str) -> Iterable[Object]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load_all(text, Loader=loader)


def definitions(objects: Iterable[Object], provider: str, endpoint: Endpoint) -> list[Object]:
    """The CustomResourceDefinitions of one provider, converted by its manager."""
    return [_definition(obj, provider, endpoint) for obj in objects if obj["kind"] == "CustomResourceDefinition"]


def _definition(obj: Object, provider: str, endpoint: Endpoint) -> Object:
    metadata = {**obj["metadata"], "labels": {**_CONTRACTS, "cluster.x-k8s.io/provider": provider}}
    spec = obj["spec"]
    if sum(version["served"] for version in spec["versions"]) > 1:
        webhook = {"conversionReviewVersions": ["v1"], "clientConfig": endpoint.client("/convert")}
        spec = {**spec, "conversion": {"strategy": "Webhook", "webhook": webhook}}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, "spec": spec}


def webhooks(objects: Iterable[Object], provider: str, endpoint: Endpoint) -> list[Object]:
    """The webhook configurations of one provider; upstream all are called the same."""
    return [_webhooks(obj, provider, endpoint) for obj in objects if obj["kind"] in (MUTATING.kind, VALIDATING.kind)]


def _webhooks(obj: Object, provider: str, endpoint: Endpoint) -> Object:
    called = [
        {**entry, "clientConfig": endpoint.client(entry["clientConfig"]["service"]["path"])}
        for entry in obj["webhooks"]
    ]
    kind = MUTATING if obj["kind"] == MUTATING.kind else VALIDATING
    name = f"{provider}-{kind.kind.removesuffix('WebhookConfiguration').lower()}"
    return {**kind.new(name, metadata={"labels": {"cluster.x-k8s.io/provider": provider}}), "webhooks": called}
