"""When a worker's template makes other machines necessary, and which machines are of the newest one."""

from __future__ import annotations

from continuo.embedded.standins.capi.world import World
from continuo.embedded.standins.objects import controller_of, short_hash
from continuo.resources.kinds import MACHINE_DEPLOYMENT, MACHINE_SET
from continuo.resources.meta import Object, labels_of

HASH_LABEL = "machine-template-hash"
_IN_PLACE = ("deletion", "readinessGates", "minReadySeconds", "taints")


def template_hash(deployment: Object) -> str:
    """Of a MachineDeployment: another one means other machines."""
    spec = deployment["spec"]
    rolled = {name: value for name, value in spec["template"]["spec"].items() if name not in _IN_PLACE}
    return short_hash([rolled, (spec.get("rollout") or {}).get("after", "")])


def outdated(world: World, machine: Object) -> bool:
    """Whether a worker is of an older template than its MachineDeployment has."""
    namespace, owner = machine["metadata"]["namespace"], controller_of(machine)
    if owner is None or owner["kind"] != MACHINE_SET.kind:
        return False
    machine_set = world.find(MACHINE_SET, (namespace, owner["name"]))
    above = controller_of(machine_set) if machine_set is not None else None
    deployment = world.find(MACHINE_DEPLOYMENT, (namespace, above["name"])) if above is not None else None
    return deployment is not None and labels_of(machine).get(HASH_LABEL) != template_hash(deployment)
