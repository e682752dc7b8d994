"""What the servers of every infrastructure provider have in common."""

from __future__ import annotations

import uuid

from continuo.embedded.standins.capi.infrastructure import BY_TEMPLATE
from continuo.embedded.standins.capi.world import World
from continuo.embedded.standins.faults import NEVER_UP, fault
from continuo.embedded.standins.objects import owner_reference
from continuo.resources.kinds import MACHINE_DEPLOYMENT
from continuo.resources.meta import Object, key_of


def deployment_of(world: World, machine: Object) -> Object | None:
    """The MachineDeployment of a worker."""
    name = (machine["metadata"].get("labels") or {}).get("cluster.x-k8s.io/deployment-name")
    return world.find(MACHINE_DEPLOYMENT, (machine["metadata"]["namespace"], name)) if name else None


def never_up(machine: Object, *others: Object | None) -> bool:
    """Whether a fault keeps the machine's server from starting."""
    for place in (machine, *others):
        argument = fault(place, NEVER_UP)
        if argument is not None and argument in ("", "true", machine["metadata"]["name"]):
            return True
    return False


def internal_address(found: Object) -> str:
    """A stable address in the cluster's subnet, from the machine's identity."""
    number = uuid.UUID(found["metadata"]["uid"]).int
    return f"10.6.{number % 254}.{number // 254 % 253 + 2}"


def clone_server(template: Object, machine: Object) -> Object:
    """The infrastructure machine of a Machine, from the template."""
    provider = BY_TEMPLATE[template["kind"]]
    kind = provider.template
    metadata = {
        "labels": machine["metadata"].get("labels") or {},
        "annotations": {
            "cluster.x-k8s.io/cloned-from-name": template["metadata"]["name"],
            "cluster.x-k8s.io/cloned-from-groupkind": f"{kind.kind}.{kind.group}",
        },
        "ownerReferences": [owner_reference(machine)],
        "finalizers": [provider.machine_finalizer],
    }
    namespace, name = key_of(machine)
    return provider.machine.new(name, namespace, metadata=metadata, spec=template["spec"]["template"]["spec"])
