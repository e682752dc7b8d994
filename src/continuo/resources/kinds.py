"""The kinds that Continuo speaks to and does not own: of Kubernetes, Cluster API, Liqo, Gateway API, KubeEdge, FLUIDOS."""

from continuo.resources.meta import Kind

# --- Kubernetes -------------------------------------------------------------------------------------------------------
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False, short_names=("ns",))
NODE = Kind("", "v1", "Node", "nodes", namespaced=False, short_names=("no",))
POD = Kind("", "v1", "Pod", "pods", short_names=("po",))
POD_METRICS = Kind("metrics.k8s.io", "v1beta1", "PodMetrics", "pods")
NODE_METRICS = Kind("metrics.k8s.io", "v1beta1", "NodeMetrics", "nodes", namespaced=False)
SERVICE = Kind("", "v1", "Service", "services", short_names=("svc",))
RESOURCE_QUOTA = Kind("", "v1", "ResourceQuota", "resourcequotas", short_names=("quota",))
LIMIT_RANGE = Kind("", "v1", "LimitRange", "limitranges", short_names=("limits",))
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts", short_names=("sa",))
SECRET = Kind("", "v1", "Secret", "secrets")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps", short_names=("cm",))
CORE_EVENT = Kind("", "v1", "Event", "events", short_names=("ev",))
EVENT = Kind("events.k8s.io", "v1", "Event", "events", short_names=("ev",))
PERSISTENT_VOLUME_CLAIM = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", short_names=("pvc",))
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", short_names=("deploy",))
CONTROLLER_REVISION = Kind("apps", "v1", "ControllerRevision", "controllerrevisions")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets", short_names=("rs",))
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
INGRESS = Kind("networking.k8s.io", "v1", "Ingress", "ingresses", short_names=("ing",))
INGRESS_CLASS = Kind("networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False)
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING = Kind(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
CUSTOM_RESOURCE_DEFINITION = Kind(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
    namespaced=False, short_names=("crd", "crds"),
)  # fmt: skip
VALIDATING_ADMISSION_POLICY = Kind(
    "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False
)
VALIDATING_ADMISSION_POLICY_BINDING = Kind(
    "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings",
    namespaced=False,
)  # fmt: skip

# --- Gateway API ------------------------------------------------------------------------------------------------------
GATEWAY_CLASS = Kind(
    "gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", namespaced=False, short_names=("gc",)
)
GATEWAY = Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways", short_names=("gtw",))
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")

# --- Cluster API ------------------------------------------------------------------------------------------------------
CLUSTER = Kind("cluster.x-k8s.io", "v1beta2", "Cluster", "clusters", short_names=("cl",))
MACHINE = Kind("cluster.x-k8s.io", "v1beta2", "Machine", "machines", short_names=("ma",))
MACHINE_SET = Kind("cluster.x-k8s.io", "v1beta2", "MachineSet", "machinesets", short_names=("ms",))
MACHINE_DEPLOYMENT = Kind("cluster.x-k8s.io", "v1beta2", "MachineDeployment", "machinedeployments", short_names=("md",))
MACHINE_HEALTH_CHECK = Kind(
    "cluster.x-k8s.io", "v1beta2", "MachineHealthCheck", "machinehealthchecks", short_names=("mhc",)
)
KUBEADM_CONTROL_PLANE = Kind(
    "controlplane.cluster.x-k8s.io", "v1beta2", "KubeadmControlPlane", "kubeadmcontrolplanes", short_names=("kcp",)
)
KTHREES_CONTROL_PLANE = Kind("controlplane.cluster.x-k8s.io", "v1beta2", "KThreesControlPlane", "kthreescontrolplanes")
MICROK8S_CONTROL_PLANE = Kind(
    "controlplane.cluster.x-k8s.io", "v1beta1", "MicroK8sControlPlane", "microk8scontrolplanes", short_names=("mcp",)
)
KUBEADM_CONFIG = Kind("bootstrap.cluster.x-k8s.io", "v1beta2", "KubeadmConfig", "kubeadmconfigs")
KUBEADM_CONFIG_TEMPLATE = Kind(
    "bootstrap.cluster.x-k8s.io", "v1beta2", "KubeadmConfigTemplate", "kubeadmconfigtemplates"
)
KTHREES_CONFIG = Kind("bootstrap.cluster.x-k8s.io", "v1beta2", "KThreesConfig", "kthreesconfigs")
KTHREES_CONFIG_TEMPLATE = Kind(
    "bootstrap.cluster.x-k8s.io", "v1beta2", "KThreesConfigTemplate", "kthreesconfigtemplates"
)
MICROK8S_CONFIG = Kind("bootstrap.cluster.x-k8s.io", "v1beta1", "MicroK8sConfig", "microk8sconfigs")
MICROK8S_CONFIG_TEMPLATE = Kind(
    "bootstrap.cluster.x-k8s.io", "v1beta1", "MicroK8sConfigTemplate", "microk8sconfigtemplates"
)
OPENSTACK_CLUSTER = Kind(
    "infrastructure.cluster.x-k8s.io", "v1beta1", "OpenStackCluster", "openstackclusters", short_names=("osc",)
)
OPENSTACK_MACHINE = Kind(
    "infrastructure.cluster.x-k8s.io", "v1beta1", "OpenStackMachine", "openstackmachines", short_names=("osm",)
)
OPENSTACK_MACHINE_TEMPLATE = Kind(
    "infrastructure.cluster.x-k8s.io", "v1beta1", "OpenStackMachineTemplate", "openstackmachinetemplates",
    short_names=("osmt",),
)  # fmt: skip
DEV_CLUSTER = Kind("infrastructure.cluster.x-k8s.io", "v1beta2", "DevCluster", "devclusters")
DEV_MACHINE = Kind("infrastructure.cluster.x-k8s.io", "v1beta2", "DevMachine", "devmachines")
DEV_MACHINE_TEMPLATE = Kind("infrastructure.cluster.x-k8s.io", "v1beta2", "DevMachineTemplate", "devmachinetemplates")
CAPI_PROVIDER = Kind("clusterctl.cluster.x-k8s.io", "v1alpha3", "Provider", "providers")
HELM_CHART_PROXY = Kind(
    "addons.cluster.x-k8s.io", "v1alpha1", "HelmChartProxy", "helmchartproxies", short_names=("hcp",)
)
HELM_RELEASE_PROXY = Kind(
    "addons.cluster.x-k8s.io", "v1alpha1", "HelmReleaseProxy", "helmreleaseproxies", short_names=("hrp",)
)
CLUSTER_RESOURCE_SET = Kind("addons.cluster.x-k8s.io", "v1beta2", "ClusterResourceSet", "clusterresourcesets")

IP_ADDRESS_POOL = Kind("metallb.io", "v1beta1", "IPAddressPool", "ipaddresspools")
L2_ADVERTISEMENT = Kind("metallb.io", "v1beta1", "L2Advertisement", "l2advertisements")

# --- Liqo -------------------------------------------------------------------------------------------------------------
FOREIGN_CLUSTER = Kind(
    "core.liqo.io", "v1beta1", "ForeignCluster", "foreignclusters", namespaced=False, short_names=("fc",)
)
TENANT = Kind("authentication.liqo.io", "v1beta1", "Tenant", "tenants", short_names=("tn",))
IDENTITY = Kind("authentication.liqo.io", "v1beta1", "Identity", "identities", short_names=("id",))
RENEW = Kind("authentication.liqo.io", "v1beta1", "Renew", "renews")
RESOURCE_SLICE = Kind("authentication.liqo.io", "v1beta1", "ResourceSlice", "resourceslices", short_names=("rslice",))
VIRTUAL_NODE = Kind("offloading.liqo.io", "v1beta1", "VirtualNode", "virtualnodes", short_names=("vn", "vnode"))
VK_OPTIONS_TEMPLATE = Kind(
    "offloading.liqo.io", "v1beta1", "VkOptionsTemplate", "vkoptionstemplates", short_names=("vkot",)
)
NAMESPACE_OFFLOADING = Kind(
    "offloading.liqo.io", "v1beta1", "NamespaceOffloading", "namespaceoffloadings", short_names=("nso", "nsoff")
)
NAMESPACE_MAP = Kind("offloading.liqo.io", "v1beta1", "NamespaceMap", "namespacemaps", short_names=("nm", "nsmap"))
SHADOW_POD = Kind("offloading.liqo.io", "v1beta1", "ShadowPod", "shadowpods", short_names=("shp",))
SHADOW_ENDPOINT_SLICE = Kind(
    "offloading.liqo.io", "v1beta1", "ShadowEndpointSlice", "shadowendpointslices", short_names=("shes",)
)
QUOTA = Kind("offloading.liqo.io", "v1beta1", "Quota", "quotas", short_names=("qt",))
CONFIGURATION = Kind("networking.liqo.io", "v1beta1", "Configuration", "configurations", short_names=("conf",))
GATEWAY_SERVER = Kind("networking.liqo.io", "v1beta1", "GatewayServer", "gatewayservers", short_names=("gws",))
GATEWAY_CLIENT = Kind("networking.liqo.io", "v1beta1", "GatewayClient", "gatewayclients", short_names=("gwc",))
WG_GATEWAY_SERVER = Kind("networking.liqo.io", "v1beta1", "WgGatewayServer", "wggatewayservers", short_names=("wgs",))
WG_GATEWAY_CLIENT = Kind("networking.liqo.io", "v1beta1", "WgGatewayClient", "wggatewayclients", short_names=("wgc",))
WG_GATEWAY_SERVER_TEMPLATE = Kind(
    "networking.liqo.io", "v1beta1", "WgGatewayServerTemplate", "wggatewayservertemplates", short_names=("wgst",)
)
WG_GATEWAY_CLIENT_TEMPLATE = Kind(
    "networking.liqo.io", "v1beta1", "WgGatewayClientTemplate", "wggatewayclienttemplates", short_names=("wgct",)
)
PUBLIC_KEY = Kind("networking.liqo.io", "v1beta1", "PublicKey", "publickeies", short_names=("pk",))
CONNECTION = Kind("networking.liqo.io", "v1beta1", "Connection", "connections", short_names=("conn",))
NETWORK = Kind("ipam.liqo.io", "v1alpha1", "Network", "networks", short_names=("net",))
IP = Kind("ipam.liqo.io", "v1alpha1", "IP", "ips")

# --- KubeEdge ---------------------------------------------------------------------------------------------------------
DEVICE = Kind("devices.kubeedge.io", "v1beta1", "Device", "devices")
DEVICE_V1ALPHA2 = Kind("devices.kubeedge.io", "v1alpha2", "Device", "devices")
DEVICE_MODEL = Kind("devices.kubeedge.io", "v1beta1", "DeviceModel", "devicemodels")
DEVICE_STATUS = Kind("devices.kubeedge.io", "v1beta1", "DeviceStatus", "devicestatuses")
KUBEEDGE_RULE = Kind("rules.kubeedge.io", "v1", "Rule", "rules")
RULE_ENDPOINT = Kind("rules.kubeedge.io", "v1", "RuleEndpoint", "ruleendpoints", short_names=("re",))

# --- FLUIDOS ----------------------------------------------------------------------------------------------------------
FLAVOR = Kind("nodecore.fluidos.eu", "v1alpha1", "Flavor", "flavors", short_names=("fl",))
SOLVER = Kind("nodecore.fluidos.eu", "v1alpha1", "Solver", "solvers", short_names=("sol",))
ALLOCATION = Kind("nodecore.fluidos.eu", "v1alpha1", "Allocation", "allocations", short_names=("alloc", "allocs"))
DISCOVERY = Kind("advertisement.fluidos.eu", "v1alpha1", "Discovery", "discoveries", short_names=("dis",))
PEERING_CANDIDATE = Kind("advertisement.fluidos.eu", "v1alpha1", "PeeringCandidate", "peeringcandidates")
RESERVATION = Kind("reservation.fluidos.eu", "v1alpha1", "Reservation", "reservations", short_names=("res",))
TRANSACTION = Kind("reservation.fluidos.eu", "v1alpha1", "Transaction", "transactions", short_names=("tr",))
FLUIDOS_CONTRACT = Kind("reservation.fluidos.eu", "v1alpha1", "Contract", "contracts", short_names=("contr",))
KNOWN_CLUSTER = Kind(
    "network.fluidos.eu", "v1alpha1", "KnownCluster", "knownclusters", short_names=("kclust", "kclusts")
)

POD_MONITOR = Kind("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", short_names=("pmon",))
SERVICE_MONITOR = Kind("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors", short_names=("smon",))
PROMETHEUS_RULE = Kind("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules", short_names=("promrule",))
SCRAPE_CONFIG = Kind("monitoring.coreos.com", "v1alpha1", "ScrapeConfig", "scrapeconfigs", short_names=("scfg",))
