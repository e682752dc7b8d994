"""What surrounds Cluster API's core: OpenStack and simulated machines, k3s and MicroK8s, add-ons, and the inventory."""

from __future__ import annotations

from continuo.resources import kinds
from continuo.resources.crds.build import (
    AGE,
    Column,
    anything,
    conditions,
    crd,
    filled,
    flag,
    many,
    named,
    number,
    obj,
    reference,
    selector,
    text,
)
from continuo.resources.crds.cluster_api import BOTH_CONTRACTS, CLUSTER_NAME, object_meta
from continuo.resources.meta import Object

_OLD_CONTRACT = {"cluster.x-k8s.io/v1beta1": "v1beta1"}
_K3S_CONTRACT = {"cluster.x-k8s.io/v1beta1": "v1beta1_v1beta2"}
_CATEGORIES = ("cluster-api",)
_READY = ".status.conditions[?(@.type=='Ready')].{}"
_SCALE = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
          "labelSelectorPath": ".status.selector"}  # fmt: skip
_FIXED_TEMPLATE = {
    "rule": "self.template.spec == oldSelf.template.spec",
    "message": "OpenStackMachineTemplate spec.template.spec is immutable: create another template and refer to it",
}
_MACHINE: Column = ("MACHINE", "string", ".metadata.ownerReferences[?(@.kind=='Machine')].name")


def _endpoint() -> Object:
    return obj(("host", "port"), host=text(), port=number())


def _identity() -> Object:
    return obj(
        ("name", "cloudName"),
        name=text(least=1),
        cloudName=text(least=1),
        region=text(),
        type=text("Secret", "ClusterIdentity"),
    )


def _openstack_cluster() -> Object:
    subnet = obj(("cidr",), cidr=text(least=1), dnsNameservers=many(text()))
    spec = obj(
        ("identityRef",),
        identityRef=_identity(),
        externalNetwork=obj(id=text(), filter=anything()),
        managedSubnets=many(subnet, most=1),
        managedSecurityGroups=obj(allowAllInClusterTraffic=flag()),
        apiServerLoadBalancer=obj(enabled=flag()),
        apiServerFloatingIP=text(),
        apiServerFixedIP=text(),
        apiServerPort=number(),
        disableAPIServerFloatingIP=flag(),
        disableExternalNetwork=flag(),
        controlPlaneEndpoint=_endpoint(),
        controlPlaneAvailabilityZones=many(text()),
        tags=many(text()),
        bastion=anything(),
    )
    status = obj(
        ready=flag(),
        network=anything(),
        externalNetwork=anything(),
        router=anything(),
        apiServerLoadBalancer=anything(),
        failureDomains=anything(),
        bastion=anything(),
        failureReason=text(),
        failureMessage=text(),
        conditions=conditions(ours=False),
    )
    columns: tuple[Column, ...] = (
        ("CLUSTER", "string", CLUSTER_NAME),
        ("READY", "string", ".status.ready"),
        ("NETWORK", "string", ".status.network.id"),
        ("ENDPOINT", "string", ".spec.controlPlaneEndpoint.host"),
        ("BASTION IP", "string", ".status.bastion.floatingIP"),
        AGE,
    )
    return crd(kinds.OPENSTACK_CLUSTER, spec, status, columns, categories=_CATEGORIES, labels=_OLD_CONTRACT)


def _openstack_machine_spec() -> Object:
    one_flavor = {
        "rule": "has(self.flavor) || has(self.flavorID)",
        "message": "at least one of flavor or flavorID must be set",
    }
    return obj(
        ("image",),
        (one_flavor,),
        flavor=text(least=1),
        flavorID=text(least=1),
        image=filled(obj(id=text(), filter=obj(name=text(), tags=many(text())), imageRef=named())),
        sshKeyName=text(),
        identityRef=_identity(),
        rootVolume=obj(sizeGiB=number(1)),
        ports=many(anything()),
        securityGroups=many(anything()),
        floatingIPPoolRef=anything(),
        providerID=text(),
        instanceID=text(),
        trunk=flag(),
        tags=many(text()),
        serverMetadata=many(anything()),
    )


def _openstack_machines() -> list[Object]:
    status = obj(
        ready=flag(),
        instanceID=text(),
        instanceState=text(),
        addresses=many(obj(("type", "address"), type=text(), address=text())),
        failureReason=text(),
        failureMessage=text(),
        conditions=conditions(ours=False),
    )
    columns: tuple[Column, ...] = (
        ("CLUSTER", "string", CLUSTER_NAME),
        ("INSTANCESTATE", "string", ".status.instanceState"),
        ("READY", "string", ".status.ready"),
        ("PROVIDERID", "string", ".spec.providerID"),
        _MACHINE,
        AGE,
    )
    template = obj(("spec",), spec=_openstack_machine_spec())
    return [
        crd(kinds.OPENSTACK_MACHINE, _openstack_machine_spec(), status, columns,
            categories=_CATEGORIES, labels=_OLD_CONTRACT),
        crd(kinds.OPENSTACK_MACHINE_TEMPLATE, obj(("template",), (_FIXED_TEMPLATE,), template=template),
            categories=_CATEGORIES, labels=_OLD_CONTRACT),
    ]  # fmt: skip


def _dev_cluster() -> Object:
    backend = obj(docker=anything(), inMemory=anything())
    spec = obj(("backend",), controlPlaneEndpoint=_endpoint(), backend=backend)
    status = obj(
        initialization=obj(provisioned=flag()),
        failureDomains=many(anything()),
        conditions=conditions(),
    )
    columns: tuple[Column, ...] = (
        ("CLUSTER", "string", CLUSTER_NAME),
        ("PROVISIONED", "boolean", ".status.initialization.provisioned"),
        AGE,
    )
    return crd(kinds.DEV_CLUSTER, spec, status, columns, categories=_CATEGORIES, labels=BOTH_CONTRACTS)


def _dev_machine_spec() -> Object:
    stage = obj(provisioning=obj(("startupDuration",), startupDuration=text(), startupJitter=text()))
    in_memory = obj(vm=stage, node=stage, apiServer=stage, etcd=stage)
    return obj(("backend",), providerID=text(least=1), backend=obj(docker=anything(), inMemory=in_memory))


def _dev_machines() -> list[Object]:
    status = obj(
        initialization=obj(provisioned=flag()),
        addresses=many(obj(("type", "address"), type=text(), address=text())),
        conditions=conditions(),
    )
    columns: tuple[Column, ...] = (
        ("CLUSTER", "string", CLUSTER_NAME),
        _MACHINE,
        ("PROVIDERID", "string", ".spec.providerID"),
        AGE,
    )
    fixed = {**_FIXED_TEMPLATE, "message": _FIXED_TEMPLATE["message"].replace("OpenStack", "Dev")}
    template = obj(("spec",), metadata=object_meta(), spec=_dev_machine_spec())
    return [
        crd(kinds.DEV_MACHINE, _dev_machine_spec(), status, columns, categories=_CATEGORIES, labels=BOTH_CONTRACTS),
        crd(kinds.DEV_MACHINE_TEMPLATE, obj(("template",), (fixed,), template=template),
            categories=_CATEGORIES, labels=BOTH_CONTRACTS),
    ]  # fmt: skip


def _k3s_config() -> Object:
    agent = obj(kubeletArgs=many(text()), nodeLabels=many(text()), nodeTaints=many(text()), nodeName=text())
    server = obj(
        tlsSan=many(text()),
        clusterCidr=text(),
        serviceCidr=text(),
        disableComponents=many(text()),
        cloudProviderName=text(),
        disableCloudController=flag(),
    )
    return obj(
        agentConfig=agent,
        serverConfig=server,
        files=many(obj(("path",), path=text(), content=text())),
        preK3sCommands=many(text()),
        postK3sCommands=many(text()),
        version=text(),
    )


def _old_control_plane_status() -> Object:
    counters = ("replicas", "readyReplicas", "updatedReplicas", "unavailableReplicas")
    return obj(
        selector=text(),
        initialized=flag(),
        ready=flag(),
        version=text(),
        observedGeneration=number(format="int64"),
        conditions=conditions(ours=False),
        **{name: number() for name in counters},
    )


def _old_control_plane_columns() -> tuple[Column, ...]:
    return (
        ("CLUSTER", "string", CLUSTER_NAME),
        ("INITIALIZED", "boolean", ".status.initialized"),
        ("API SERVER AVAILABLE", "boolean", ".status.ready"),
        ("REPLICAS", "integer", ".status.replicas"),
        ("READY", "integer", ".status.readyReplicas"),
        ("UPDATED", "integer", ".status.updatedReplicas"),
        ("UNAVAILABLE", "integer", ".status.unavailableReplicas"),
        AGE,
        ("VERSION", "string", ".spec.version"),
    )


def _bootstrap_status() -> Object:
    return obj(ready=flag(), dataSecretName=text(), conditions=conditions(ours=False))


def _k3s() -> list[Object]:
    spec = obj(
        ("version", "machineTemplate"),
        replicas=number(),
        version=text(),
        machineTemplate=obj(("infrastructureRef",), metadata=object_meta(), infrastructureRef=reference()),
        kthreesConfigSpec=_k3s_config(),
    )
    template = obj(("template",), template=obj(metadata=object_meta(), spec=_k3s_config()))
    return [
        crd(kinds.KTHREES_CONTROL_PLANE, spec, _old_control_plane_status(), _old_control_plane_columns(),
            scale=_SCALE, categories=_CATEGORIES, labels=_K3S_CONTRACT),
        crd(kinds.KTHREES_CONFIG, _k3s_config(), _bootstrap_status(), categories=_CATEGORIES, labels=_K3S_CONTRACT),
        crd(kinds.KTHREES_CONFIG_TEMPLATE, template, categories=_CATEGORIES, labels=_K3S_CONTRACT),
    ]  # fmt: skip


def _microk8s_config() -> Object:
    return obj(
        clusterConfiguration=obj(portCompatibilityRemap=flag()),
        initConfiguration=obj(
            addons=many(text()), joinTokenTTLInSecs=number(1, format="int64"), riskLevel=text(),
            confinement=text("classic", "strict"), IPinIP=flag(), disableDefaultCNI=flag(),
            preRunCommands=many(text()), postRunCommands=many(text()), extraKubeletArgs=many(text()),
        ),
    )  # fmt: skip


def _microk8s() -> list[Object]:
    spec = obj(
        ("version", "machineTemplate"),
        replicas=number(),
        version=text(),
        upgradeStrategy=text("InPlaceUpgrade", "RollingUpgrade", "SmartUpgrade"),
        machineTemplate=obj(("infrastructureTemplate",), infrastructureTemplate=reference()),
        controlPlaneConfig=_microk8s_config(),
    )
    template = obj(("template",), template=obj(spec=_microk8s_config()))
    return [
        crd(kinds.MICROK8S_CONTROL_PLANE, spec, _old_control_plane_status(), _old_control_plane_columns(),
            scale=_SCALE, categories=_CATEGORIES, labels=_OLD_CONTRACT),
        crd(kinds.MICROK8S_CONFIG, _microk8s_config(), _bootstrap_status(),
            categories=_CATEGORIES, labels=_OLD_CONTRACT),
        crd(kinds.MICROK8S_CONFIG_TEMPLATE, template, categories=_CATEGORIES, labels=_OLD_CONTRACT),
    ]  # fmt: skip


def _helm_fields() -> dict[str, Object]:
    return {
        "chartName": text(),
        "repoURL": text(),
        "releaseName": text(),
        "namespace": text(),
        "version": text(),
        "options": anything(),
        "reconcileStrategy": text("", "InstallOnce", "Continuous"),
        "credentials": anything(),
        "tlsConfig": anything(),
    }


def _helm() -> list[Object]:
    proxy = obj(
        ("chartName", "clusterSelector", "repoURL"),
        clusterSelector=selector(),
        valuesTemplate=text(),
        **_helm_fields(),
    )
    proxy_status = obj(
        conditions=conditions(ours=False),
        matchingClusters=many(reference()),
        observedGeneration=number(format="int64"),
    )
    release = obj(
        ("chartName", "clusterRef", "repoURL"),
        clusterRef=reference(),
        values=text(),
        **_helm_fields(),
    )
    release_status = obj(
        conditions=conditions(ours=False), status=text(), revision=number(), observedGeneration=number(format="int64")
    )
    ready: tuple[Column, ...] = (
        ("READY", "string", _READY.format("status")),
        ("REASON", "string", _READY.format("reason")),
    )
    release_columns: tuple[Column, ...] = (
        ("CLUSTER", "string", ".spec.clusterRef.name"),
        *ready,
        ("STATUS", "string", ".status.status"),
        ("REVISION", "string", ".status.revision"),
        ("NAMESPACE", "string", ".spec.namespace"),
    )
    message: Column = ("MESSAGE", "string", _READY.format("message"), 1)
    return [
        crd(kinds.HELM_CHART_PROXY, proxy, proxy_status, (*ready, message, AGE), categories=_CATEGORIES),
        crd(kinds.HELM_RELEASE_PROXY, release, release_status, (*release_columns, message, AGE),
            categories=_CATEGORIES),
    ]  # fmt: skip


def _inventory() -> list[Object]:
    fields = {
        "providerName": text(),
        "type": text(),
        "version": text(),
        "watchedNamespace": text(),
    }
    columns: tuple[Column, ...] = (
        ("TYPE", "string", ".type"),
        ("PROVIDER", "string", ".providerName"),
        ("VERSION", "string", ".version"),
        ("WATCH NAMESPACE", "string", ".watchedNamespace"),
        AGE,
    )
    resource = obj(("kind", "name"), kind=text("Secret", "ConfigMap"), name=text(least=1))
    resource_set = obj(
        ("clusterSelector", "resources"),
        clusterSelector=selector(),
        resources=many(resource, least=1, most=100),
        strategy=text("ApplyOnce", "Reconcile"),
    )
    status = obj(observedGeneration=number(format="int64"), conditions=conditions())
    return [
        crd(kinds.CAPI_PROVIDER, None, None, columns, fields=fields),
        crd(kinds.CLUSTER_RESOURCE_SET, resource_set, status, categories=_CATEGORIES),
    ]


def provider_crds() -> list[Object]:
    """OpenStack, the development provider, k3s, MicroK8s, the Helm add-on provider, and the inventory."""
    return [
        _openstack_cluster(),
        *_openstack_machines(),
        _dev_cluster(),
        *_dev_machines(),
        *_k3s(),
        *_microk8s(),
        *_helm(),
        *_inventory(),
    ]
