"""The pods of probes, at a provider or at the end of a link: they may do nothing but answer and ask. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from continuo.resources.meta import Kind, Object
from continuo.resources.probing import PORT

NETWORK_POLICY: Final = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
RESTRICTED: Final = {"pod-security.kubernetes.io/enforce": "restricted"}
"""On their namespaces."""
_USER = 65532


def pod(name: str, image: str, arguments: list[str], env: Sequence[Object], account: str | None = None) -> Object:
    """The spec of a probe's pod; its agent listens at the port `probe`. Without an account it cannot ask the API server."""
    healthz = {"httpGet": {"path": "/healthz", "port": "probe"}, "periodSeconds": 10}
    container = {
        "name": name,
        "image": image,
        "args": arguments,
        "env": list(env),
        "ports": [{"name": "probe", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": healthz,
        "livenessProbe": healthz,
        "resources": {
            "requests": {"cpu": "20m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        **({"serviceAccountName": account} if account is not None else {}),
        "automountServiceAccountToken": account is not None,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }  # fmt: skip


def only_the_agent(name: str, namespace: str, metadata: Object, *, asks: bool) -> Object:
    """Nothing comes in but to the agent; `asks`: whether anything goes out."""
    spec: Object = {
        "podSelector": {}, "policyTypes": ["Ingress"] if asks else ["Ingress", "Egress"],
        "ingress": [{"ports": [{"port": PORT, "protocol": "TCP"}]}],
    }  # fmt: skip
    return NETWORK_POLICY.new(name, namespace, metadata=metadata, spec=spec if asks else {**spec, "egress": []})
