r"""What lightkube's models do not say about the built-in kinds, as facts per field.

One model per paragraph of the text below: its name, then `field=fact;fact`, then facts of the model itself with `@`.

| fact | meaning |
|---|---|
| `map:a,b` | an associative list found by these keys |
| `set` | a list that is a set |
| `atomic` | a map (as `@atomic`: every value of the model) that has one owner as a whole |
| `merge:key`, `merge`, `retain`, `merge+retain:key` | the patch strategy, with the merge key |
| `struct` | a part that is always there, even when nothing was said about it |
| `default:x` | a default that API documents state |
| `enum:a\|b` | the allowed values |
| `int64`, `byte` | the format; `items:int64` of a list's items |
| `of:x` | what a map's values are: quantity, byte, time, strings, any, or a model |
| `@required:a,b` | the required fields, where the models differ |
"""

from __future__ import annotations

import json
from typing import Any

_STRATEGIES = {
    "merge": "merge",
    "retain": "retainKeys",
    "merge+retain": "merge,retainKeys",
    "replace": "replace",
}
_VALUES: dict[str, dict[str, Any]] = {
    "quantity": {"anyOf": [{"type": "string"}, {"type": "number"}], "x-kubernetes-int-or-string": True},
    "byte": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "strings": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"},
    "any": {"x-kubernetes-preserve-unknown-fields": True},
}


def _fact(text: str) -> dict[str, Any]:
    """One fact as schema keywords."""
    name, _, argument = text.partition(":")
    if name == "map":
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": argument.split(",")}
    if name == "set":
        return {"x-kubernetes-list-type": "set"}
    if name == "atomic":
        return {"x-kubernetes-map-type": "atomic"}
    if name in _STRATEGIES:
        key = {"x-kubernetes-patch-merge-key": argument} if argument else {}
        return {"x-kubernetes-patch-strategy": _STRATEGIES[name], **key}
    if name == "struct":
        return {"default": {}}
    if name == "default":
        return {"default": json.loads(argument)}
    if name == "enum":
        return {"enum": argument.split("|")}
    if name == "required":
        return {"required": [field for field in argument.split(",") if field]}
    if name == "of":
        return {"values": _VALUES.get(argument) or {"model": argument}}
    if name == "items":
        return {"items": {"type": "integer", "format": argument}}
    return {"format": name}


def _parse(text: str) -> dict[str, dict[str, dict[str, Any]]]:
    facts: dict[str, dict[str, dict[str, Any]]] = {}
    model: dict[str, dict[str, Any]] = {}
    for line in text.strip().splitlines():
        words = line.split()
        if not line.startswith(" "):
            model = facts[words.pop(0)] = {}
        for word in words:
            field, _, said = ("", "", word[1:]) if word.startswith("@") else word.partition("=")
            known = model.setdefault(field, {})
            for fact in said.split(";"):
                known.update(_fact(fact))
    return facts


_TABLE = """
admissionregistration_v1.MatchResources @atomic matchPolicy=enum:Equivalent|Exact
admissionregistration_v1.MutatingAdmissionPolicy spec=struct
admissionregistration_v1.MutatingAdmissionPolicyBinding spec=struct
admissionregistration_v1.MutatingAdmissionPolicySpec failurePolicy=enum:Fail|Ignore
    matchConditions=map:name;merge:name reinvocationPolicy=enum:IfNeeded|Never
admissionregistration_v1.MutatingWebhook clientConfig=struct failurePolicy=enum:Fail|Ignore
    matchConditions=map:name;merge:name matchPolicy=enum:Equivalent|Exact
    reinvocationPolicy=enum:IfNeeded|Never sideEffects=enum:None|NoneOnDryRun|Some|Unknown
admissionregistration_v1.MutatingWebhookConfiguration webhooks=map:name;merge:name
admissionregistration_v1.Mutation patchType=enum:ApplyConfiguration|JSONPatch
admissionregistration_v1.NamedRuleWithOperations @atomic scope=enum:*|Cluster|Namespaced
admissionregistration_v1.ParamKind @atomic
admissionregistration_v1.ParamRef @atomic
admissionregistration_v1.RuleWithOperations scope=enum:*|Cluster|Namespaced
admissionregistration_v1.ValidatingAdmissionPolicy spec=struct status=struct
admissionregistration_v1.ValidatingAdmissionPolicyBinding spec=struct
admissionregistration_v1.ValidatingAdmissionPolicyBindingSpec validationActions=set
admissionregistration_v1.ValidatingAdmissionPolicySpec failurePolicy=enum:Fail|Ignore
    matchConditions=map:name;merge:name variables=map:name;merge:name
admissionregistration_v1.ValidatingAdmissionPolicyStatus conditions=map:type observedGeneration=int64
admissionregistration_v1.ValidatingWebhook clientConfig=struct failurePolicy=enum:Fail|Ignore
    matchConditions=map:name;merge:name matchPolicy=enum:Equivalent|Exact
    sideEffects=enum:None|NoneOnDryRun|Some|Unknown
admissionregistration_v1.ValidatingWebhookConfiguration webhooks=map:name;merge:name
admissionregistration_v1.Variable @atomic
admissionregistration_v1.WebhookClientConfig caBundle=byte
apiextensions_v1.CustomResourceDefinition spec=struct status=struct
apiextensions_v1.CustomResourceDefinitionCondition observedGeneration=int64
apiextensions_v1.CustomResourceDefinitionSpec names=struct
apiextensions_v1.CustomResourceDefinitionStatus acceptedNames=struct conditions=map:type
    observedGeneration=int64
apiextensions_v1.JSONSchemaProps definitions=of:apiextensions_v1.JSONSchemaProps dependencies=of:any
    maxItems=int64 maxLength=int64 maxProperties=int64 minItems=int64 minLength=int64 minProperties=int64
    patternProperties=of:apiextensions_v1.JSONSchemaProps properties=of:apiextensions_v1.JSONSchemaProps
    x-kubernetes-validations=map:rule;merge:rule
apiextensions_v1.ValidationRule
    reason=enum:FieldValueDuplicate|FieldValueForbidden|FieldValueInvalid|FieldValueRequired
apiextensions_v1.WebhookClientConfig caBundle=byte
apiregistration_v1.APIService spec=struct status=struct
apiregistration_v1.APIServiceSpec caBundle=byte
apiregistration_v1.APIServiceStatus conditions=map:type;merge:type
apps_v1.ControllerRevision @required:revision revision=int64
apps_v1.DaemonSet @required: spec=struct status=struct
apps_v1.DaemonSetCondition @required:status,type
apps_v1.DaemonSetSpec template=struct updateStrategy=struct
apps_v1.DaemonSetStatus conditions=map:type;merge:type observedGeneration=int64
apps_v1.DaemonSetUpdateStrategy type=enum:OnDelete|RollingUpdate
apps_v1.Deployment @required: spec=struct status=struct
apps_v1.DeploymentCondition @required:status,type
apps_v1.DeploymentSpec strategy=retain;struct template=struct
apps_v1.DeploymentStatus conditions=map:type;merge:type observedGeneration=int64
apps_v1.DeploymentStrategy type=enum:Recreate|RollingUpdate
apps_v1.ReplicaSet @required: spec=struct status=struct
apps_v1.ReplicaSetCondition @required:status,type
apps_v1.ReplicaSetSpec template=struct
apps_v1.ReplicaSetStatus conditions=map:type;merge:type observedGeneration=int64
apps_v1.StatefulSet @required: spec=struct status=struct
apps_v1.StatefulSetCondition @required:status,type
apps_v1.StatefulSetSpec podManagementPolicy=enum:OrderedReady|Parallel template=struct updateStrategy=struct
apps_v1.StatefulSetStatus conditions=map:type;merge:type observedGeneration=int64
apps_v1.StatefulSetUpdateStrategy type=enum:OnDelete|RollingUpdate
authentication_v1.SelfSubjectReview status=struct
authentication_v1.SelfSubjectReviewStatus userInfo=struct
authentication_v1.TokenRequest spec=struct status=struct
authentication_v1.TokenRequestSpec expirationSeconds=int64
authentication_v1.TokenReview spec=struct status=struct
authentication_v1.TokenReviewStatus user=struct
authentication_v1.UserInfo extra=of:strings
authorization_v1.LocalSubjectAccessReview spec=struct status=struct
authorization_v1.SelfSubjectAccessReview spec=struct status=struct
authorization_v1.SelfSubjectRulesReview spec=struct status=struct
authorization_v1.SubjectAccessReview spec=struct status=struct
authorization_v1.SubjectAccessReviewSpec extra=of:strings
autoscaling_v1.CrossVersionObjectReference @atomic
autoscaling_v1.HorizontalPodAutoscaler spec=struct status=struct
autoscaling_v1.HorizontalPodAutoscalerSpec scaleTargetRef=struct
autoscaling_v1.HorizontalPodAutoscalerStatus observedGeneration=int64
autoscaling_v1.Scale spec=struct status=struct
autoscaling_v2.ContainerResourceMetricSource target=struct
autoscaling_v2.ContainerResourceMetricStatus current=struct
autoscaling_v2.ExternalMetricSource metric=struct target=struct
autoscaling_v2.ExternalMetricStatus current=struct metric=struct
autoscaling_v2.HorizontalPodAutoscaler spec=struct status=struct
autoscaling_v2.HorizontalPodAutoscalerSpec scaleTargetRef=struct
autoscaling_v2.HorizontalPodAutoscalerStatus conditions=map:type;merge:type observedGeneration=int64
autoscaling_v2.ObjectMetricSource describedObject=struct metric=struct target=struct
autoscaling_v2.ObjectMetricStatus current=struct describedObject=struct metric=struct
autoscaling_v2.PodsMetricSource metric=struct target=struct
autoscaling_v2.PodsMetricStatus current=struct metric=struct
autoscaling_v2.ResourceMetricSource target=struct
autoscaling_v2.ResourceMetricStatus current=struct
batch_v1.CronJob spec=struct status=struct
batch_v1.CronJobSpec concurrencyPolicy=enum:Allow|Forbid|Replace jobTemplate=struct
    startingDeadlineSeconds=int64
batch_v1.Job spec=struct status=struct
batch_v1.JobSpec activeDeadlineSeconds=int64 completionMode=enum:Indexed|NonIndexed
    podReplacementPolicy=enum:Failed|TerminatingOrFailed template=struct
batch_v1.JobStatus conditions=merge:type
batch_v1.JobTemplateSpec spec=struct
batch_v1.PodFailurePolicyOnExitCodesRequirement operator=enum:In|NotIn values=set
batch_v1.PodFailurePolicyRule action=enum:Count|FailIndex|FailJob|Ignore
batch_v1.UncountedTerminatedPods failed=set succeeded=set
certificates_v1.CertificateSigningRequest spec=struct status=struct
certificates_v1.CertificateSigningRequestSpec extra=of:strings request=byte
certificates_v1.CertificateSigningRequestStatus certificate=byte conditions=map:type
coordination_v1.Lease spec=struct
core_v1.AppArmorProfile type=enum:Localhost|RuntimeDefault|Unconfined
core_v1.AzureDiskVolumeSource cachingMode=enum:None|ReadOnly|ReadWrite;default:"ReadWrite"
    fsType=default:"ext4" kind=enum:Dedicated|Managed|Shared;default:"Shared"
core_v1.Binding target=struct
core_v1.ComponentStatus conditions=map:type;merge:type
core_v1.ConfigMap binaryData=of:byte
core_v1.ConfigMapKeySelector @atomic
core_v1.Container env=map:name;merge:name imagePullPolicy=enum:Always|IfNotPresent|Never
    ports=map:containerPort,protocol;merge:containerPort resources=struct
    terminationMessagePolicy=enum:FallbackToLogsOnError|File volumeDevices=map:devicePath;merge:devicePath
    volumeMounts=map:mountPath;merge:mountPath
core_v1.ContainerImage sizeBytes=int64
core_v1.ContainerPort protocol=enum:SCTP|TCP|UDP;default:"TCP"
core_v1.ContainerRestartRuleOnExitCodes values=set
core_v1.ContainerStatus allocatedResources=of:quantity allocatedResourcesStatus=map:name;merge:name
    lastState=struct state=struct volumeMounts=map:mountPath;merge:mountPath
core_v1.EndpointAddress @atomic
core_v1.EndpointPort @atomic protocol=enum:SCTP|TCP|UDP
core_v1.EphemeralContainer env=map:name;merge:name imagePullPolicy=enum:Always|IfNotPresent|Never
    ports=map:containerPort,protocol;merge:containerPort resources=struct
    terminationMessagePolicy=enum:FallbackToLogsOnError|File volumeDevices=map:devicePath;merge:devicePath
    volumeMounts=map:mountPath;merge:mountPath
core_v1.Event @required:involvedObject,metadata involvedObject=struct source=struct
core_v1.FileKeySelector @atomic
core_v1.HTTPGetAction scheme=enum:HTTP|HTTPS
core_v1.HostPathVolumeSource
    type=enum:|BlockDevice|CharDevice|Directory|DirectoryOrCreate|File|FileOrCreate|Socket
core_v1.ISCSIPersistentVolumeSource iscsiInterface=default:"default"
core_v1.ISCSIVolumeSource iscsiInterface=default:"default"
core_v1.ImageVolumeSource pullPolicy=enum:Always|IfNotPresent|Never
core_v1.LimitRange spec=struct
core_v1.LimitRangeItem default=of:quantity defaultRequest=of:quantity max=of:quantity
    maxLimitRequestRatio=of:quantity min=of:quantity
core_v1.LinuxContainerUser gid=int64 supplementalGroups=items:int64 uid=int64
core_v1.LocalObjectReference @atomic
core_v1.ModifyVolumeStatus status=enum:InProgress|Infeasible|Pending
core_v1.Namespace spec=struct status=struct
core_v1.NamespaceStatus conditions=map:type;merge:type phase=enum:Active|Terminating
core_v1.Node spec=struct status=struct
core_v1.NodeAllocatableResourceClaimStatus @required:resourceClaimName,resources containers=set
core_v1.NodeDaemonEndpoints kubeletEndpoint=struct
core_v1.NodeSelector @atomic
core_v1.NodeSelectorRequirement operator=enum:DoesNotExist|Exists|Gt|In|Lt|NotIn
core_v1.NodeSelectorTerm @atomic
core_v1.NodeSpec podCIDRs=set;merge
core_v1.NodeStatus addresses=map:type;merge:type allocatable=of:quantity capacity=of:quantity
    conditions=map:type;merge:type daemonEndpoints=struct nodeInfo=struct
    phase=enum:Pending|Running|Terminated
core_v1.NodeSwapStatus capacity=int64
core_v1.ObjectFieldSelector @atomic
core_v1.ObjectReference @atomic
core_v1.PersistentVolume spec=struct status=struct
core_v1.PersistentVolumeClaim spec=struct status=struct
core_v1.PersistentVolumeClaimSpec resources=struct volumeMode=enum:Block|Filesystem
core_v1.PersistentVolumeClaimStatus allocatedResources=of:quantity capacity=of:quantity
    conditions=map:type;merge:type phase=enum:Bound|Lost|Pending
core_v1.PersistentVolumeClaimTemplate spec=struct
core_v1.PersistentVolumeSpec capacity=of:quantity persistentVolumeReclaimPolicy=enum:Delete|Recycle|Retain
    volumeMode=enum:Block|Filesystem
core_v1.PersistentVolumeStatus phase=enum:Available|Bound|Failed|Pending|Released
core_v1.Pod spec=struct status=struct
core_v1.PodCondition observedGeneration=int64
core_v1.PodSecurityContext fsGroup=int64 fsGroupChangePolicy=enum:Always|OnRootMismatch runAsGroup=int64
    runAsUser=int64 supplementalGroups=items:int64 supplementalGroupsPolicy=enum:Merge|Strict
core_v1.PodSpec activeDeadlineSeconds=int64 containers=map:name;merge:name
    dnsPolicy=enum:ClusterFirst|ClusterFirstWithHostNet|Default|None ephemeralContainers=map:name;merge:name
    hostAliases=map:ip;merge:ip imagePullSecrets=map:name;merge:name initContainers=map:name;merge:name
    nodeSelector=atomic overhead=of:quantity preemptionPolicy=enum:Never|PreemptLowerPriority
    resourceClaims=map:name;merge+retain:name restartPolicy=enum:Always|Never|OnFailure
    schedulingGates=map:name;merge:name terminationGracePeriodSeconds=int64
    topologySpreadConstraints=map:topologyKey,whenUnsatisfiable;merge:topologyKey
    volumes=map:name;merge+retain:name
core_v1.PodStatus allocatedResources=of:quantity conditions=map:type;merge:type hostIPs=merge:ip
    observedGeneration=int64 phase=enum:Failed|Pending|Running|Succeeded|Unknown podIPs=map:ip;merge:ip
    qosClass=enum:BestEffort|Burstable|Guaranteed resourceClaimStatuses=map:name;merge+retain:name
core_v1.PodTemplate template=struct
core_v1.PodTemplateSpec spec=struct
core_v1.PortStatus protocol=enum:SCTP|TCP|UDP
core_v1.PreferredSchedulingTerm preference=struct
core_v1.Probe terminationGracePeriodSeconds=int64
core_v1.RBDPersistentVolumeSource keyring=default:"/etc/ceph/keyring" pool=default:"rbd"
    user=default:"admin"
core_v1.RBDVolumeSource keyring=default:"/etc/ceph/keyring" pool=default:"rbd" user=default:"admin"
core_v1.ReplicationController spec=struct status=struct
core_v1.ReplicationControllerSpec replicas=default:1 selector=atomic
core_v1.ReplicationControllerStatus conditions=map:type;merge:type observedGeneration=int64
core_v1.ResourceFieldSelector @atomic
core_v1.ResourceQuota spec=struct status=struct
core_v1.ResourceQuotaSpec hard=of:quantity
core_v1.ResourceQuotaStatus hard=of:quantity used=of:quantity
core_v1.ResourceRequirements claims=map:name limits=of:quantity requests=of:quantity
core_v1.ResourceStatus resources=map:resourceID
core_v1.ScaleIOPersistentVolumeSource fsType=default:"xfs" storageMode=default:"ThinProvisioned"
core_v1.ScaleIOVolumeSource fsType=default:"xfs" storageMode=default:"ThinProvisioned"
core_v1.ScopeSelector @atomic
core_v1.ScopedResourceSelectorRequirement operator=enum:DoesNotExist|Exists|In|NotIn
    scopeName=enum:BestEffort|CrossNamespacePodAffinity|NotBestEffort|NotTerminating|PriorityClass|Terminating|VolumeAttributesClass
core_v1.SeccompProfile type=enum:Localhost|RuntimeDefault|Unconfined
core_v1.Secret data=of:byte
core_v1.SecretKeySelector @atomic
core_v1.SecretReference @atomic
core_v1.SecurityContext procMount=enum:Default|Unmasked runAsGroup=int64 runAsUser=int64
core_v1.Service spec=struct status=struct
core_v1.ServiceAccount secrets=map:name;merge:name
core_v1.ServiceAccountTokenProjection expirationSeconds=int64
core_v1.ServicePort protocol=enum:SCTP|TCP|UDP;default:"TCP"
core_v1.ServiceSpec externalTrafficPolicy=enum:Cluster|Local internalTrafficPolicy=enum:Cluster|Local
    ipFamilyPolicy=enum:PreferDualStack|RequireDualStack|SingleStack ports=map:port,protocol;merge:port
    selector=atomic sessionAffinity=enum:ClientIP|None
    type=enum:ClusterIP|ExternalName|LoadBalancer|NodePort
core_v1.ServiceStatus conditions=map:type;merge:type loadBalancer=struct
core_v1.SleepAction seconds=int64
core_v1.Taint effect=enum:NoExecute|NoSchedule|PreferNoSchedule
core_v1.Toleration effect=enum:NoExecute|NoSchedule|PreferNoSchedule operator=enum:Equal|Exists|Gt|Lt
    tolerationSeconds=int64
core_v1.TopologySelectorTerm @atomic
core_v1.TopologySpreadConstraint nodeAffinityPolicy=enum:Honor|Ignore nodeTaintsPolicy=enum:Honor|Ignore
    whenUnsatisfiable=enum:DoNotSchedule|ScheduleAnyway
core_v1.TypedLocalObjectReference @atomic
core_v1.VolumeMount mountPropagation=enum:Bidirectional|HostToContainer|None
core_v1.VolumeResourceRequirements limits=of:quantity requests=of:quantity
core_v1.WeightedPodAffinityTerm podAffinityTerm=struct
discovery_v1.Endpoint addresses=set conditions=struct
discovery_v1.EndpointPort @atomic protocol=enum:SCTP|TCP|UDP
discovery_v1.EndpointSlice addressType=enum:FQDN|IPv4|IPv6
events_v1.Event deprecatedSource=struct regarding=struct
flowcontrol_v1.FlowSchema @required: spec=struct status=struct
flowcontrol_v1.FlowSchemaCondition @required:
flowcontrol_v1.FlowSchemaSpec priorityLevelConfiguration=struct
flowcontrol_v1.FlowSchemaStatus conditions=map:type;merge:type
flowcontrol_v1.LimitedPriorityLevelConfiguration @required: limitResponse=struct
flowcontrol_v1.NonResourcePolicyRule nonResourceURLs=set verbs=set
flowcontrol_v1.PriorityLevelConfiguration @required: spec=struct status=struct
flowcontrol_v1.PriorityLevelConfigurationCondition @required:
flowcontrol_v1.PriorityLevelConfigurationStatus conditions=map:type;merge:type
flowcontrol_v1.ResourcePolicyRule apiGroups=set namespaces=set resources=set verbs=set
meta_v1.Condition observedGeneration=int64
meta_v1.DeleteOptions gracePeriodSeconds=int64
meta_v1.LabelSelector @atomic
meta_v1.ListMeta remainingItemCount=int64
meta_v1.ObjectMeta deletionGracePeriodSeconds=int64 finalizers=set;merge generation=int64
    ownerReferences=map:uid;merge:uid
meta_v1.OwnerReference @atomic
networking_v1.HTTPIngressPath backend=struct pathType=enum:Exact|ImplementationSpecific|Prefix
networking_v1.IPAddress spec=struct
networking_v1.Ingress spec=struct status=struct
networking_v1.IngressClass spec=struct
networking_v1.IngressPortStatus protocol=enum:SCTP|TCP|UDP
networking_v1.IngressServiceBackend port=struct
networking_v1.IngressStatus loadBalancer=struct
networking_v1.NetworkPolicy spec=struct
networking_v1.NetworkPolicyPort protocol=enum:SCTP|TCP|UDP
networking_v1.NetworkPolicySpec podSelector=struct
networking_v1.ServiceBackendPort @atomic
networking_v1.ServiceCIDR spec=struct status=struct
networking_v1.ServiceCIDRStatus conditions=map:type;merge:type
node_v1.Overhead podFixed=of:quantity
node_v1.Scheduling nodeSelector=atomic
policy_v1.PodDisruptionBudget spec=struct status=struct
policy_v1.PodDisruptionBudgetSpec selector=replace
    unhealthyPodEvictionPolicy=enum:AlwaysAllow|IfHealthyBudget
policy_v1.PodDisruptionBudgetStatus conditions=map:type;merge:type disruptedPods=of:time
    observedGeneration=int64
rbac_v1.ClusterRoleBinding roleRef=struct
rbac_v1.RoleBinding roleRef=struct
rbac_v1.RoleRef @atomic
rbac_v1.Subject @atomic
resource_v1.AllocatedDeviceStatus conditions=map:type
resource_v1.AllocationResult devices=struct
resource_v1.CapacityRequirements requests=of:quantity
resource_v1.CounterSet counters=of:resource_v1.Counter
resource_v1.Device attributes=of:resource_v1.DeviceAttribute capacity=of:resource_v1.DeviceCapacity
resource_v1.DeviceAllocationConfiguration source=enum:FromClaim|FromClass
resource_v1.DeviceAttribute int=int64 ints=items:int64
resource_v1.DeviceClass @required:spec spec=struct
resource_v1.DeviceCounterConsumption counters=of:resource_v1.Counter
resource_v1.DeviceRequestAllocationResult consumedCapacity=of:quantity
resource_v1.DeviceSubRequest allocationMode=enum:All|ExactCount count=int64
resource_v1.DeviceTaint effect=enum:NoExecute|NoSchedule|None
resource_v1.DeviceToleration effect=enum:NoExecute|NoSchedule|None
    operator=enum:Equal|Exists;default:"Equal" tolerationSeconds=int64
resource_v1.ExactDeviceRequest allocationMode=enum:All|ExactCount count=int64
resource_v1.ResourceClaim @required:spec spec=struct status=struct
resource_v1.ResourceClaimSpec devices=struct
resource_v1.ResourceClaimStatus devices=map:driver,device,pool,shareID reservedFor=map:uid;merge:uid
resource_v1.ResourceClaimTemplate @required:spec spec=struct
resource_v1.ResourceClaimTemplateSpec @required:spec spec=struct
resource_v1.ResourcePool generation=int64 resourceSliceCount=int64
resource_v1.ResourceSlice spec=struct
resource_v1.ResourceSliceSpec pool=struct
scheduling_v1.PriorityClass preemptionPolicy=enum:Never|PreemptLowerPriority
storage_v1.CSIDriver spec=struct
storage_v1.CSIDriverSpec nodeAllocatableUpdatePeriodSeconds=int64 volumeLifecycleModes=set
storage_v1.CSINode spec=struct
storage_v1.CSINodeSpec drivers=map:name;merge:name
storage_v1.StorageClass reclaimPolicy=enum:Delete|Recycle|Retain
    volumeBindingMode=enum:Immediate|WaitForFirstConsumer
storage_v1.TokenRequest expirationSeconds=int64
storage_v1.VolumeAttachment spec=struct status=struct
storage_v1.VolumeAttachmentSpec source=struct
"""

FACTS = _parse(_TABLE)
"""Model -> field (the model itself: the empty string) -> schema keywords; `values` is the schema of a map's values."""
