"""Machines: one server and one node each, from bootstrap data to a Ready node, and back."""

from __future__ import annotations

import base64

from continuo.embedded.port import Api
from continuo.embedded.standins.capi import finalizers
from continuo.embedded.standins.capi.boot import new_workload_cluster
from continuo.embedded.standins.capi.flavors import BY_CONFIG, BY_CONTROL_PLANE, Distribution
from continuo.embedded.standins.capi.infrastructure import BY_MACHINE, BY_TEMPLATE, Provider, provisioned
from continuo.embedded.standins.capi.servers import clone_server, internal_address
from continuo.embedded.standins.capi.templates import outdated
from continuo.embedded.standins.capi.world import World, initialization, paused, paused_condition
from continuo.embedded.standins.objects import cond, controller_of, owner_reference
from continuo.embedded.standins.settings import Flavor
from continuo.embedded.standins.workload import NewNode, register
from continuo.embedded.standins.workload.nodes import BUILTIN_NETWORK
from continuo.resources.errors import Conflict
from continuo.resources.kinds import MACHINE, NODE, POD, SECRET
from continuo.resources.meta import Key, Object, deleting, is_true, key_of, labels_of

FINALIZER = finalizers.MACHINE
CONTROL_PLANE = "cluster.x-k8s.io/control-plane"
TEMPLATE = "embedded.continuo.dev/infrastructure-template"
"""On a Machine: the name of the machine template that its server is made from."""
BOOTSTRAP_TEMPLATE = "embedded.continuo.dev/bootstrap-template"
"""On a Machine: the name of the template that its bootstrap configuration is made from."""


def distribution_of(machine: Object) -> Distribution:
    """The provider that makes a node out of this machine."""
    return BY_CONFIG[machine["spec"]["bootstrap"]["configRef"]["kind"]]


def provider_of(machine: Object) -> Provider:
    """The provider of this machine's server."""
    return BY_MACHINE[machine["spec"]["infrastructureRef"]["kind"]]


def is_control_plane(machine: Object) -> bool:
    """Whether the machine belongs to the control plane."""
    return CONTROL_PLANE in labels_of(machine)


def has_node(machine: Object) -> bool:
    """Whether the machine's node joined."""
    return bool((machine.get("status") or {}).get("nodeRef"))


def reconcile(world: World, key: Key) -> None:
    """One step for a Machine."""
    machine = world.find(MACHINE, key)
    if machine is None:
        return
    cluster = world.cluster_of(machine)
    if paused(cluster, machine):
        _report(world, machine, cluster, None, is_paused=True)
        return
    if deleting(machine):
        _delete(world, key, machine, cluster)
        return
    if cluster is None:
        return
    machine = world.hold(machine, FINALIZER)
    server = _ensure_parts(world, key, machine)
    if initialization(cluster, "infrastructureProvisioned"):
        machine = _bootstrap(world, key, machine, cluster)
        node = _join(world, machine, cluster, server)
    else:
        node = None
    _report(world, world.api.get(MACHINE, key[1], key[0]), cluster, node)


# --- parts ------------------------------------------------------------------------------------------------------------


def _ensure_parts(world: World, key: Key, machine: Object) -> Object | None:
    """The machine's bootstrap configuration and server object; made here, so that a restart makes them up."""
    distribution = distribution_of(machine)
    if world.find(distribution.config, key) is None:
        metadata = {"labels": labels_of(machine), "ownerReferences": [owner_reference(machine)]}
        world.create(distribution.config.new(key[1], key[0], metadata=metadata, spec=_configuration(world, machine)))
    provider = provider_of(machine)
    server = world.find(provider.machine, key)
    if server is None:
        wanted = (key[0], machine["metadata"]["annotations"][TEMPLATE])
        template = world.find(provider.template, wanted)
        if template is None:
            world.missing_templates.setdefault(wanted, set()).add((MACHINE.kind, *key))
            return None
        server = world.create(clone_server(template, machine))
    elif (machine["spec"].get("bootstrap") or {}).get("dataSecretName"):
        world.enqueue(server)
    return server


def _configuration(world: World, machine: Object) -> Object:
    owner, distribution = controller_of(machine), distribution_of(machine)
    namespace = machine["metadata"]["namespace"]
    if owner is not None and owner["kind"] in BY_CONTROL_PLANE:
        plane = world.find(BY_CONTROL_PLANE[owner["kind"]].control_plane, (namespace, owner["name"]))
        made: Object = ((plane or {}).get("spec") or {}).get(distribution.config_field) or {}
        return made
    name = machine["metadata"]["annotations"].get(BOOTSTRAP_TEMPLATE, "")
    template = world.find(distribution.template, (namespace, name))
    spec: Object = (((template or {}).get("spec") or {}).get("template") or {}).get("spec") or {}
    return spec


def _bootstrap(world: World, key: Key, machine: Object, cluster: Object) -> Object:
    """Bootstrap data: for the first control plane machine at once, for the others when there is a cluster to join."""
    if machine["spec"]["bootstrap"].get("dataSecretName"):
        return machine
    first = is_control_plane(machine) and not initialization(cluster, "controlPlaneInitialized")
    if not first and not initialization(cluster, "controlPlaneInitialized"):
        return machine
    if not world.waited(machine, "data", world.settings.bootstrap_data):
        return machine
    distribution = distribution_of(machine)
    config = world.find(distribution.config, key)
    if config is None:
        return machine
    if world.find(SECRET, key) is None:
        script = (
            f"## template: jinja\n#cloud-config\n# {distribution.name} {'init' if first else 'join'} for {key[1]}\n"
        )
        data = {
            "value": base64.b64encode(script.encode()).decode(),
            "format": base64.b64encode(b"cloud-config").decode(),
        }
        metadata = {"labels": labels_of(machine), "ownerReferences": [owner_reference(config)]}
        world.create(SECRET.new(key[1], key[0], metadata=metadata, type="cluster.x-k8s.io/secret", data=data))
    _config_status(world, config, distribution, key[1])
    spec = {**machine["spec"], "bootstrap": {**machine["spec"]["bootstrap"], "dataSecretName": key[1]}}
    return world.save({**machine, "spec": spec}, machine)


def _config_status(world: World, config: Object, distribution: Distribution, name: str) -> None:
    if distribution.current_contract:
        status: Object = {"initialization": {"dataSecretCreated": True}, "dataSecretName": name}
        fresh = [
            cond("Ready", True, "Ready"),
            cond("DataSecretAvailable", True, "Available"),
            cond("CertificatesAvailable", True, "Available"),
        ]
    else:
        status, fresh = (
            {"ready": True, "dataSecretName": name},
            [cond("Ready", True), cond("DataSecretAvailable", True)],
        )
    world.report(config, status, fresh)


# --- the node ---------------------------------------------------------------------------------------------------------


def _join(world: World, machine: Object, cluster: Object, server: Object | None) -> Object | None:
    """The machine's node, registered once the server ran long enough."""
    provider = ((server or {}).get("spec") or {}).get("providerID")
    if server is None or not provider or not provisioned(server):
        return None
    name = machine["metadata"]["name"]
    if machine["spec"].get("providerID") != provider:
        machine = world.save({**machine, "spec": {**machine["spec"], "providerID": provider}}, machine)
    api = world.remote(cluster)
    node = api.find(NODE, name) if api is not None else None
    if node is not None or has_node(machine):
        return node
    distribution = distribution_of(machine)
    if not distribution.joins and not _may_be_first(world, machine, cluster):
        return None
    if not world.waited(machine, "join", world.settings.bootstrap, machine, cluster):
        return None
    if api is None:
        api = new_workload_cluster(world, cluster, machine["spec"].get("version", "v1.34.0"), distribution)
    return register(api, _new_node(world, machine, cluster, server, distribution))


def _may_be_first(world: World, machine: Object, cluster: Object) -> bool:
    others = [entry for entry in world.machines.of_cluster(key_of(cluster)) if has_node(entry) and not deleting(entry)]
    return is_control_plane(machine) and not others


def _new_node(world: World, machine: Object, cluster: Object, server: Object, distribution: Distribution) -> NewNode:
    network = (cluster["spec"].get("clusterNetwork") or {}).get("pods") or {}
    labels = {"node.kubernetes.io/instance-type": str(server["spec"].get("flavor", ""))}
    control_plane = is_control_plane(machine)
    if distribution.name == "microk8s":
        labels["microk8s.io/cluster"] = "true"
    if provider_of(machine).networked:
        labels[BUILTIN_NETWORK] = "builtin"
    return NewNode(
        machine["metadata"]["name"], machine["spec"].get("version", "v1.34.0"), internal_address(server),
        _flavor(world, server), world.settings.pods_per_node,
        next(iter(network.get("cidrBlocks") or ()), "10.244.0.0/16"), server["spec"]["providerID"],
        control_plane, control_plane and distribution.name == "kubeadm", labels,
    )  # fmt: skip


def _flavor(world: World, server: Object) -> Flavor:
    name = server["spec"].get("flavor")
    if isinstance(name, dict):
        name = (name.get("filter") or {}).get("name")
    return world.settings.flavors.get(str(name), world.settings.default_flavor)


# --- the end ----------------------------------------------------------------------------------------------------------


def _delete(world: World, key: Key, machine: Object, cluster: Object | None) -> None:
    api = world.remote(cluster)
    if api is not None and cluster is not None and not deleting(cluster):
        _drain(api, key[1])
    server = world.find(provider_of(machine).machine, key)
    _report(world, machine, cluster, None)
    if server is not None:
        world.delete(provider_of(machine).machine, [server])
        return  # its end brings us back
    config = world.find(distribution_of(machine).config, key)
    if config is not None:
        world.delete(distribution_of(machine).config, [config])
    if api is not None and api.find(NODE, key[1]) is not None:
        api.delete(NODE, key[1])
    current = world.find(MACHINE, key)
    if current is not None:
        world.release(current, FINALIZER)
    world.forget(machine, "data", "join")


def _drain(api: Api, node: str) -> None:
    """Cordon the node and evict its pods, all but those of DaemonSets."""
    found = api.find(NODE, node)
    if found is None or (found.get("spec") or {}).get("unschedulable"):
        return
    api.patch(NODE, node, "", "merge", {"spec": {"unschedulable": True}})
    for pod in api.list(POD):
        if pod["spec"].get("nodeName") != node or deleting(pod):
            continue
        owner = controller_of(pod)
        if owner is None or owner["kind"] != "DaemonSet":
            api.delete(POD, pod["metadata"]["name"], pod["metadata"]["namespace"])


# --- status -----------------------------------------------------------------------------------------------------------


def _report(
    world: World, machine: Object, cluster: Object | None, node: Object | None, *, is_paused: bool = False
) -> None:
    key, before = key_of(machine), machine.get("status") or {}
    server = world.find(provider_of(machine).machine, key)
    data = bool(machine["spec"]["bootstrap"].get("dataSecretName"))
    up = provisioned(server)
    status: Object = {"phase": _phase(machine, data, up, node)}
    status["initialization"] = {
        name: True for name, good in (("bootstrapDataSecretCreated", data), ("infrastructureProvisioned", up)) if good
    }
    if up and server is not None:
        status["addresses"] = server["status"].get("addresses") or []
    if node is not None:
        status["nodeRef"] = {"name": node["metadata"]["name"]}
        status["nodeInfo"] = node["status"]["nodeInfo"]
    elif "nodeRef" in before:
        status["nodeRef"] = before["nodeRef"]
    if not status["initialization"]:
        del status["initialization"]
    if deleting(machine):
        status["deletion"] = {"nodeDrainStartTime": machine["metadata"]["deletionTimestamp"]}
    fresh = _conditions(machine, cluster, server, node, is_paused)
    old = outdated(world, machine)
    fresh.append(cond("UpToDate", not old, "NotUpToDate" if old else "UpToDate"))
    world.report(machine, status, fresh)


def _phase(machine: Object, data: bool, up: bool, node: Object | None) -> str:
    if deleting(machine):
        return "Deleting"
    if node is not None:
        return "Running"
    return "Provisioned" if up else "Provisioning" if data else "Pending"


def _conditions(
    machine: Object, cluster: Object | None, server: Object | None, node: Object | None, is_paused: bool
) -> list[Object]:
    name = machine["metadata"]["name"]
    data = bool(machine["spec"]["bootstrap"].get("dataSecretName"))
    bootstrap = (
        cond("BootstrapConfigReady", True, "Ready")
        if data
        else cond("BootstrapConfigReady", False, "NotReady", "Bootstrap data secret is not available yet")
    )
    made = [bootstrap, _infrastructure(machine, server), *_node_conditions(machine, cluster, node)]
    going = deleting(machine)
    made.append(
        cond(
            "Deleting",
            going,
            "DeletionInProgress" if going else "NotDeleting",
            "Machine deletion in progress" if going else "",
        )
    )
    bad = [entry for entry in made[:3] if entry["status"] != "True"]
    if going:
        ready = cond("Ready", False, "Deleting", f"* Deleting: Machine {name} is being deleted")
    elif bad:
        ready = cond("Ready", False, "NotReady", "\n".join(f"* {entry['type']}: {entry['message']}" for entry in bad))
    else:
        ready = cond("Ready", True, "Ready")
    available = cond("Available", ready["status"] == "True", "Available" if ready["status"] == "True" else "NotReady")
    steady = [cond("Updating", False, "NotUpdating"), paused_condition(is_paused)]
    return [*made, *_control_plane_conditions(machine), ready, available, *steady]


_STATIC_PODS = ("APIServerPodHealthy", "ControllerManagerPodHealthy", "SchedulerPodHealthy", "EtcdPodHealthy")


def _control_plane_conditions(machine: Object) -> list[Object]:
    """What the kubeadm control plane provider says about its machines once their nodes joined."""
    if not is_control_plane(machine) or distribution_of(machine).name != "kubeadm" or not has_node(machine):
        return []
    return [
        *(cond(name, True, "Running") for name in _STATIC_PODS),
        cond("EtcdMemberHealthy", True, "Healthy"),
        cond("NodeKubeadmLabelsAndTaintsSet", True, "Set"),
    ]


def _infrastructure(machine: Object, server: Object | None) -> Object:
    provider = provider_of(machine)
    if server is None:
        template = machine["metadata"]["annotations"].get(TEMPLATE, "")
        return cond(
            "InfrastructureReady",
            False,
            "DoesNotExist",
            f"{provider.machine.kind} is not there: {provider.template.kind} {template} does not exist",
        )
    if provisioned(server):
        return cond("InfrastructureReady", True, "Ready")
    entries = (server.get("status") or {}).get("conditions") or ()
    message = next((entry["message"] for entry in entries if entry["type"] == "Ready"), "it is not ready")
    return cond("InfrastructureReady", False, "NotReady", message)


def _node_conditions(machine: Object, cluster: Object | None, node: Object | None) -> list[Object]:
    if node is None:
        up = bool(machine["spec"].get("providerID"))
        message = "Waiting for a Node with the machine's providerID to exist"
        reason = "NodeDoesNotExist" if up else "InspectionFailed"
        if has_node(machine):
            message = f"Node {machine['status']['nodeRef']['name']} has been deleted while the Machine still exists"
            reason = "NodeDeleted"
        elif up and not distribution_of(machine).joins and initialization(cluster, "controlPlaneInitialized"):
            message = (
                "The node does not join: MicroK8s refuses a node whose hostname does not resolve to its address; "
                "use one node only"
            )
        return [cond(name, "Unknown" if not up else False, reason, message) for name in ("NodeHealthy", "NodeReady")]
    if is_true(node, "Ready"):
        return [cond("NodeHealthy", True, "NodeHealthy"), cond("NodeReady", True, "NodeReady")]
    entries = (node.get("status") or {}).get("conditions") or ()
    message = next((entry["message"] for entry in entries if entry["type"] == "Ready"), "Node has no conditions yet")
    return [
        cond("NodeHealthy", False, "NodeNotHealthy", f"* Node.Ready: {message}"),
        cond("NodeReady", False, "NodeNotReady", message),
    ]


def new_machine(
    world: World, name: str, owner: Object, cluster: Object, *, version: str, distribution: Distribution,
    template: Object, deletion: Object | None, labels: dict[str, str], bootstrap: str = "",
    annotations: dict[str, str] | None = None,
) -> Object:  # fmt: skip
    """Create a Machine; its parts are made when it is looked at."""
    namespace = cluster["metadata"]["namespace"]
    if world.find(MACHINE, (namespace, name)) is not None:
        raise Conflict(f"Machine {namespace}/{name} exists already; another name is tried.")
    server = BY_TEMPLATE[template["kind"]].machine
    spec = {
        "clusterName": cluster["metadata"]["name"],
        "version": version,
        "bootstrap": {
            "configRef": {
                "apiGroup": distribution.config.group,
                "kind": distribution.config.kind,
                "name": name,
            }
        },
        "infrastructureRef": {
            "apiGroup": server.group,
            "kind": server.kind,
            "name": name,
        },
    }
    if deletion:
        spec["deletion"] = deletion
    notes = {**(annotations or {}), TEMPLATE: template["name"]}
    if bootstrap:
        notes[BOOTSTRAP_TEMPLATE] = bootstrap
    metadata = {
        "labels": {**labels, "cluster.x-k8s.io/cluster-name": cluster["metadata"]["name"]}, "annotations": notes,
        "ownerReferences": [owner_reference(owner)], "finalizers": [FINALIZER],
    }  # fmt: skip
    return world.create(MACHINE.new(name, namespace, metadata=metadata, spec=spec))


def node_changed(world: World, engine_name: str, node: str) -> None:
    """A node of a workload cluster changed: its machine looks."""
    key = world.engine_names.get(engine_name)
    if key is not None and world.find(MACHINE, (key[0], node)) is not None:
        world.work.add(("Machine", key[0], node))
