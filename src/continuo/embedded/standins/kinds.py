"""The kinds that only the stand-ins touch, beside those of `continuo.resources.kinds`."""

from continuo.resources.meta import Kind

DAEMON_SET = Kind("apps", "v1", "DaemonSet", "daemonsets", short_names=("ds",))
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets", short_names=("sts",))
JOB = Kind("batch", "v1", "Job", "jobs")
PERSISTENT_VOLUME = Kind("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False, short_names=("pv",))
STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False, short_names=("sc",))
ENDPOINTS = Kind("", "v1", "Endpoints", "endpoints", short_names=("ep",))

IP_ADDRESS_POOL = Kind("metallb.io", "v1beta1", "IPAddressPool", "ipaddresspools")

KUBEADM_CONFIG = Kind("bootstrap.cluster.x-k8s.io", "v1beta2", "KubeadmConfig", "kubeadmconfigs")
KTHREES_CONFIG = Kind("bootstrap.cluster.x-k8s.io", "v1beta2", "KThreesConfig", "kthreesconfigs")
MICROK8S_CONFIG = Kind("bootstrap.cluster.x-k8s.io", "v1beta1", "MicroK8sConfig", "microk8sconfigs")
CLUSTER_RESOURCE_SET_BINDING = Kind(
    "addons.cluster.x-k8s.io", "v1beta2", "ClusterResourceSetBinding", "clusterresourcesetbindings"
)
