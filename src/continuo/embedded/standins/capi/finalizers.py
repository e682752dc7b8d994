"""The finalizers that hold Cluster API's objects until what they stand for is gone.

Several real ones have no `/` in their names; the embedded API takes only qualified names, so those get a suffix here.
"""

CLUSTER = "cluster.cluster.x-k8s.io/finalizer"
MACHINE = "machine.cluster.x-k8s.io/finalizer"
MACHINE_DEPLOYMENT = "cluster.x-k8s.io/machinedeployment"
MACHINE_SET = "cluster.x-k8s.io/machineset"
OPENSTACK_CLUSTER = "openstackcluster.infrastructure.cluster.x-k8s.io/finalizer"
OPENSTACK_MACHINE = "openstackmachine.infrastructure.cluster.x-k8s.io/finalizer"
KUBEADM = "kubeadm.controlplane.cluster.x-k8s.io/finalizer"
KTHREES = "kthrees.controlplane.cluster.x-k8s.io/finalizer"
MICROK8S = "microk8s.controlplane.cluster.x-k8s.io/finalizer"
