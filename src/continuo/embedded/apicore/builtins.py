"""Bring the built-in kinds into a cluster, each with its behaviour."""

from __future__ import annotations

from typing import Final

from continuo.embedded.apicore import crds, events
from continuo.embedded.apicore.kinds import plain, pods, services, workloads
from continuo.embedded.apicore.served import Served
from continuo.embedded.apicore.state import State
from continuo.embedded.apicore.strategies import PLAIN, Strategy
from continuo.embedded.registry import EVENT_TABLE, builtin_types

_STRATEGIES: Final[dict[tuple[str, str], Strategy]] = {
    ("", "namespaces"): plain.NAMESPACE,
    ("", "nodes"): plain.NODE,
    ("", "pods"): pods.STRATEGY,
    ("", "services"): services.STRATEGY,
    ("", "secrets"): plain.SECRET,
    ("", "configmaps"): plain.CONFIG_MAP,
    ("", "persistentvolumeclaims"): plain.CLAIM,
    ("", "persistentvolumes"): plain.VOLUME,
    ("", "resourcequotas"): plain.REQUEST,
    ("", "limitranges"): plain.LIMIT_RANGE,
    ("apps", "deployments"): workloads.DEPLOYMENT,
    ("apps", "replicasets"): workloads.REPLICA_SET,
    ("apps", "statefulsets"): workloads.STATEFUL_SET,
    ("apps", "daemonsets"): workloads.DAEMON_SET,
    ("batch", "jobs"): workloads.JOB,
    ("batch", "cronjobs"): workloads.CRON_JOB,
    ("coordination.k8s.io", "leases"): plain.LEASE,
    ("discovery.k8s.io", "endpointslices"): plain.ENDPOINT_SLICE,
    ("networking.k8s.io", "ingresses"): plain.INGRESS,
    ("networking.k8s.io", "ingressclasses"): plain.WITH_GENERATION,
    ("networking.k8s.io", "networkpolicies"): plain.NETWORK_POLICY,
    ("policy", "poddisruptionbudgets"): plain.WITH_STATUS,
    ("rbac.authorization.k8s.io", "rolebindings"): plain.BINDING,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): plain.BINDING,
    ("scheduling.k8s.io", "priorityclasses"): plain.PRIORITY_CLASS,
    ("storage.k8s.io", "storageclasses"): plain.STORAGE_CLASS,
    ("certificates.k8s.io", "certificatesigningrequests"): plain.REQUEST,
    crds.TABLE: crds.STRATEGY,
}


def serve(state: State) -> None:
    """Serve every built-in kind."""
    for type_ in builtin_types():
        kind = type_.kind
        key = EVENT_TABLE if kind.kind == "Event" else (kind.group, kind.plural)
        served = Served(type_, state.table(*key, kind.namespaced), strategy=_STRATEGIES.get(key, PLAIN))
        if kind.group == "events.k8s.io":
            served.to_view, served.from_view = events.from_core, events.to_core
            served.storage_served = state.served["", "v1", "events"]
        state.serve(served)
