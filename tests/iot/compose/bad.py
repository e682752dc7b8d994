"""Claims that are refused at once, by the schema: what is wrong, and what the answer names."""

from __future__ import annotations

from typing import Any

ROOF = {"matchLabels": {"site": "roof"}}
_CLUSTER = {"name": "a", "provider": "existing", "kubeconfig": "k"}


def _plugin(**fields: Any) -> dict[str, Any]:
    return {"boards": ROOF, "plugins": [{"name": "a", "code": "x", **fields}]}


def _workload(**fields: Any) -> dict[str, Any]:
    return {"boards": ROOF, "workloads": [{"name": "a", "command": ["x"], **fields}]}


def _network(**fields: Any) -> dict[str, Any]:
    return {"boards": ROOF, "network": {"cidr": "10.9.0.0/24", **fields}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no boards": ({"network": {"cidr": "10.9.0.0/24"}}, "spec.boards: Required value"),
    "no labels": ({"boards": {"matchLabels": {}}}, "spec.boards.matchLabels"),
    "boards without labels": ({"boards": {}}, "spec.boards.matchLabels"),
    "less than none": ({"boards": {**ROOF, "minReady": -1}}, "spec.boards.minReady"),
    "no address": (_network(cidr="10.9.0.300/24"), "spec.network.cidr"),
    "no gateway": (_network(gateway="ten"), "spec.network.gateway"),
    "a tiny packet": (_network(mtu=100), "spec.network.mtu"),
    "another encryption": (_network(encryption="none"), "spec.network.encryption"),
    "a rule of ports without protocol": (
        _network(securityGroups=[{"name": "g", "rules": [{"portMin": 80}]}]), "needs protocol tcp or udp",
    ),
    "twice the same name": (
        {"boards": ROOF, "expose": [{"name": "x", "port": 1}, {"name": "x", "port": 2}]}, "spec.expose[1]",
    ),
    "a port too high": ({"boards": ROOF, "expose": [{"name": "x", "port": 70000}]}, "spec.expose[0].port"),
    "a name in capitals": (_plugin(name="Up"), "spec.plugins[0].name"),
    "no code": ({"boards": ROOF, "plugins": [{"name": "a"}]}, "one of both"),
    "code from two places": (_plugin(codeFrom={"configMapKeyRef": {"name": "c", "key": "k"}}), "one of both"),
    "code without digest": (
        {"boards": ROOF, "plugins": [{"name": "a", "codeFrom": {"url": "https://x/y"}}]}, "url needs it",
    ),
    "an unknown state": (_plugin(state="Walking"), "spec.plugins[0].state"),
    "a container without image": (_workload(runtime="container"), "is needed with runtime container"),
    "a job for ever": (_workload(job={}, restart="Always"), "which ends"),
    "a variable with a space": (_workload(endpoints=[{"env": "A B", "app": "s", "component": "c"}]), "endpoints[0].env"),
    "names too long together": (
        {"orchestration": {"clusters": [{**_CLUSTER, "name": "c" * 38}]}}, "shorten one of them",
    ),
    "a cluster without version": ({"orchestration": {"clusters": [{"name": "a"}]}}, "spec.orchestration.clusters"),
    "a link to nowhere": ({"orchestration": {"links": [["a", "b"]]}}, "spec.orchestration"),
    "an unknown kind of configuration": ({"providerConfigRef": {"kind": "Secret", "name": "x"}}, "spec.providerConfigRef"),
}  # fmt: skip
