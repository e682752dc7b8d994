"""Wrong LowLevelOrchestrations and the sentence that each must get: one table for every layer that answers.

A case is a good object with a few changes. `old` cases are updates of the good object; the others are creations.
Every fragment in `says` must occur in the answer of an API server (real or embedded) to that request; the
first one is the path of the field. `strict` cases are only seen with strict field validation, as kubectl asks for.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

DELETE: Any = object()
Path = tuple[str | int, ...]

GOOD: dict[str, Any] = {
    "apiVersion": "charity-project.eu/v1",
    "kind": "LowLevelOrchestration",
    "metadata": {"name": "kubeadm-based-orchestration", "namespace": "default"},
    "spec": {
        "clusters": [
            {
                "name": "green",
                "provider": "kubeadm",
                "kubernetes-version": "v1.32.4",
                "control-plane-count": 1,
                "control-plane-flavor": "m1.medium",
                "worker-machine-count": 2,
                "worker-machine-flavor": "m1.medium",
                "image": "ubuntu-2204-kube-v1.32.4",
                "public-ip": "203.0.113.7",
                "pod-cidr": "10.244.0.0/16",
                "tier": "cloud",
            },
            {"name": "rose", "kubernetes-type": "k3s", "kubernetes-version": "1.32.4", "tier": "edge"},
            {"name": "blue", "provider": "existing", "kubeconfig": "blue-kubeconfig"},
        ],
        "links": [["green", "rose"], ["blue", "green"]],
        "apps": [
            {
                "name": "dotes",
                "owner": "cyango-xr-developer",
                "cluster": "green",
                "components": [
                    {
                        "name": "story",
                        "cluster-selector": "green",
                        "image": "repository.charity-project.eu/dotes/story:beta",
                        "expose": [
                            {"is-public": True, "containerPort": 443, "clusterPort": 443},
                            {"containerPort": 5353, "clusterPort": 53, "protocol": "UDP"},
                            {"containerPort": 5353, "clusterPort": 53},
                        ],
                        "env": {"variables": [{"name": "NODE_ENV", "value": "beta"}]},
                        "tls": {"name": "story-certificate"},
                        "resources": {"requests": {"cpu": 1, "memory": "512Mi"}},
                    },
                    {
                        "name": "database",
                        "cluster-selector": "rose",
                        "image": "mongo:7",
                        "expose": [{"containerPort": 27017, "clusterPort": 27017}],
                        "env": {
                            "is-secret": True,
                            "variables": [
                                {"name": "USER", "value": "admin"},
                                {"name": "PASSWORD", "secret": {"name": "database", "key": "password"}},
                            ],
                        },
                        "storage": [
                            {"name": "data", "kind": "persistent", "size": "5Gi", "mountPath": "/data/db"},
                            {"name": "scratch", "kind": "local", "size": "1G", "mountPath": "/scratch"},
                        ],
                    },
                    {"name": "worker", "image": "worker", "placement-hint": "EDGE"},
                ],
                "link-requirements": [{"name": "db", "members": ["story", "database"], "latencyMs": 20.5}],
            }
        ],
    },
}


@dataclass(frozen=True)
class Case:
    """One wrong object: `changes` to the good one, and what the answer must say."""

    name: str
    changes: tuple[tuple[Path, Any], ...]
    says: tuple[str, ...]
    old: bool = False
    strict: bool = False

    def build(self) -> dict[str, Any]:
        """The wrong object."""
        obj = copy.deepcopy(GOOD)
        for path, value in self.changes:
            _put(obj, path, value)
        return obj


def _put(target: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        target = target[step]
    last = path[-1]
    if value is DELETE:
        del target[last]
    elif isinstance(target, list) and last == len(target):
        target.append(value)
    else:
        target[last] = value


GREEN: Path = ("spec", "clusters", 0)
ROSE: Path = ("spec", "clusters", 1)
BLUE: Path = ("spec", "clusters", 2)
APP: Path = ("spec", "apps", 0)
STORY: Path = (*APP, "components", 0)
DATABASE: Path = (*APP, "components", 1)
WORKER: Path = (*APP, "components", 2)


def _case(name: str, path: Path, value: Any, *says: str, old: bool = False, strict: bool = False) -> Case:
    return Case(name, ((path, value),), says, old, strict)


_CLUSTERS = (
    _case("cluster without name", (*GREEN, "name"), DELETE, "spec.clusters[0].name", "Required value"),
    _case("cluster name in capitals", (*BLUE, "name"), "Blue", "spec.clusters[2].name", "must be a cluster name"),
    _case("cluster name too long", (*BLUE, "name"), "b" * 41, "spec.clusters[2].name", "40"),
    _case("cluster name with a dot", (*BLUE, "name"), "blue.eu", "spec.clusters[2].name", "must be a cluster name"),
    _case("cluster declared twice", (*BLUE, "name"), "green", "spec.clusters[2]", "Duplicate value"),
    _case("unknown provider", (*GREEN, "provider"), "aws",
          "spec.clusters[0].provider", "Unsupported value", "openstack"),
    _case("version missing", (*GREEN, "kubernetes-version"), DELETE,
          "spec.clusters[0].kubernetes-version", "is required unless provider is existing"),
    _case("version of two parts", (*GREEN, "kubernetes-version"), "1.32",
          "spec.clusters[0].kubernetes-version", "must be a full version such as v1.32.4"),
    _case("version as number", (*GREEN, "kubernetes-version"), 1.32,
          "spec.clusters[0].kubernetes-version", "must be of type string"),
    _case("version latest", (*GREEN, "kubernetes-version"), "latest",
          "spec.clusters[0].kubernetes-version", "must be a full version such as v1.32.4"),
    _case("even control planes", (*GREEN, "control-plane-count"), 2,
          "spec.clusters[0].control-plane-count", "must be odd", "etcd"),
    _case("no control plane", (*GREEN, "control-plane-count"), 0,
          "spec.clusters[0].control-plane-count", "greater than or equal to 1"),
    _case("eleven control planes", (*GREEN, "control-plane-count"), 11,
          "spec.clusters[0].control-plane-count", "less than or equal to 9"),
    _case("control planes as text", (*GREEN, "control-plane-count"), "three",
          "spec.clusters[0].control-plane-count", "must be of type integer"),
    _case("half a worker", (*GREEN, "worker-machine-count"), 1.5,
          "spec.clusters[0].worker-machine-count", "must be of type integer"),
    _case("negative workers", (*GREEN, "worker-machine-count"), -1,
          "spec.clusters[0].worker-machine-count", "greater than or equal to 0"),
    _case("too many workers", (*GREEN, "worker-machine-count"), 1001,
          "spec.clusters[0].worker-machine-count", "less than or equal to 1000"),
    _case("empty flavor", (*GREEN, "worker-machine-flavor"), "",
          "spec.clusters[0].worker-machine-flavor", "at least 1 chars"),
    Case("microk8s with workers",
         (((*ROSE, "kubernetes-type"), "microk8s"), ((*ROSE, "worker-machine-count"), 1)),
         ("spec.clusters[1].worker-machine-count", "one node in total", "resolve its name")),
    Case("microk8s with three control planes",
         (((*ROSE, "kubernetes-type"), DELETE), ((*ROSE, "provider"), "microk8s"),
          ((*ROSE, "control-plane-count"), 3)),
         ("spec.clusters[1].worker-machine-count", "one node in total", "or use kubeadm or k3s")),
    _case("unknown bootstrap", (*ROSE, "kubernetes-type"), "kind",
          "spec.clusters[1].kubernetes-type", "Unsupported value", "k3s"),
    _case("two bootstraps", (*GREEN, "kubernetes-type"), "k3s",
          "spec.clusters[0].kubernetes-type", "contradicts provider"),
    _case("existing without kubeconfig", (*BLUE, "kubeconfig"), DELETE,
          "spec.clusters[2].kubeconfig", "is required with provider existing"),
    _case("kubeconfig of a cluster to create", (*GREEN, "kubeconfig"), "green-kubeconfig",
          "spec.clusters[0].kubeconfig", "is only for clusters that exist already"),
    _case("kubeconfig pasted in", (*BLUE, "kubeconfig"), "apiVersion: v1\nkind: Config\n",
          "spec.clusters[2].kubeconfig", "should match"),
    _case("unknown package", (*GREEN, "packages"), ["liqo", "istio"],
          "spec.clusters[0].packages[1]", "Unsupported value", "prometheus"),
    _case("package twice", (*GREEN, "packages"), ["liqo", "liqo"],
          "spec.clusters[0].packages[1]", "Duplicate value"),
    _case("packages as text", (*GREEN, "packages"), "liqo",
          "spec.clusters[0].packages", "must be of type array"),
    _case("public address out of range", (*GREEN, "public-ip"), "203.0.113.300",
          "spec.clusters[0].public-ip", "must be an IPv4 address such as"),
    _case("public address is a name", (*GREEN, "public-ip"), "green.eu",
          "spec.clusters[0].public-ip", "must be an IPv4 address such as"),
    _case("pod network without length", (*GREEN, "pod-cidr"), "10.244.0.0",
          "spec.clusters[0].pod-cidr", "must be an IPv4 network such as"),
    _case("unknown tier", (*GREEN, "tier"), "fog", "spec.clusters[0].tier", "Unsupported value", "edge"),
    _case("unknown network plugin", (*GREEN, "cni"), "weave",
          "spec.clusters[0].cni", "Unsupported value", "flannel"),
    Case("too many clusters",
         ((("spec", "clusters"), [{"name": f"c{i}", "kubernetes-version": "v1.32.4"} for i in range(65)]),),
         ("spec.clusters", "must have at most 64 items")),
    _case("misspelt field", (*GREEN, "kubernetes-versoin"), "v1.32.4",
          'unknown field "spec.clusters[0].kubernetes-versoin"', strict=True),
    _case("provider changes", (*GREEN, "provider"), "k3s",
          "spec.clusters[0].provider", "cannot change once the cluster is declared", old=True),
    _case("bootstrap changes", (*ROSE, "kubernetes-type"), "kubeadm",
          "spec.clusters[1].kubernetes-type", "cannot change once the cluster is declared", old=True),
    _case("pod network changes", (*GREEN, "pod-cidr"), "10.200.0.0/16",
          "spec.clusters[0].pod-cidr", "cannot change once the cluster is declared", old=True),
    _case("service network appears", (*GREEN, "service-cidr"), "10.96.0.0/16",
          "spec.clusters[0].service-cidr", "cannot change once the cluster is declared", old=True),
    _case("network plugin changes", (*GREEN, "cni"), "calico",
          "spec.clusters[0].cni", "cannot change once the cluster is declared", old=True),
)  # fmt: skip

_LINKS = (
    _case("link with itself", ("spec", "links", 0), ["green", "green"],
          "spec.links[0]", "must join two different clusters"),
    _case("link twice, turned round", ("spec", "links", 2), ["rose", "green"],
          "spec.links", "joins two clusters twice"),
    _case("link with a stranger", ("spec", "links", 0), ["green", "violet"],
          "spec.links", "names a cluster that is not declared"),
    _case("link of three", ("spec", "links", 0), ["green", "rose", "blue"],
          "spec.links[0]", "must have at most 2 items"),
    _case("link of one", ("spec", "links", 0), ["green"], "spec.links[0]", "should have at least 2 items"),
    _case("link as text", ("spec", "links", 0), "green-rose", "spec.links[0]", "must be of type array"),
    _case("linked cluster disappears", BLUE, DELETE,
          "spec.links", "names a cluster that is not declared", old=True),
)  # fmt: skip

_APPS = (
    _case("application without owner", (*APP, "owner"), DELETE, "spec.apps[0].owner", "Required value"),
    _case("application without cluster", (*APP, "cluster"), DELETE, "spec.apps[0].cluster", "Required value"),
    _case("application with an undeclared cluster", (*APP, "cluster"), "violet",
          "spec.apps", "has a cluster that is not declared"),
    _case("application name with a space", (*APP, "name"), "my app", "spec.apps[0].name", "must be a DNS label"),
    _case("application name too long", (*APP, "name"), "a" * 54, "spec.apps[0].name", "53"),
    _case("application without components", (*APP, "components"), [],
          "spec.apps[0].components", "should have at least 1 items"),
    _case("owner changes", (*APP, "owner"), "someone-else",
          "spec.apps[0].owner", "cannot change: delete the application", old=True),
    _case("requirement of a stranger", (*APP, "link-requirements", 0, "members"), ["story", "nobody"],
          "spec.apps[0].link-requirements", "has a member that is no component"),
    _case("negative latency", (*APP, "link-requirements", 0, "latencyMs"), -5,
          "spec.apps[0].link-requirements[0].latencyMs", "greater than or equal to 0"),
)  # fmt: skip

_COMPONENTS = (
    _case("component without image", (*WORKER, "image"), DELETE,
          "spec.apps[0].components[2].image", "Required value"),
    _case("image with a space", (*WORKER, "image"), "my image",
          "spec.apps[0].components[2].image", "must be an image reference"),
    _case("image read as boolean", (*WORKER, "image"), True,
          "spec.apps[0].components[2].image", "must be of type string"),
    _case("component name with an underscore", (*WORKER, "name"), "my_worker",
          "spec.apps[0].components[2].name", "must be a service name"),
    _case("component name begins with a digit", (*WORKER, "name"), "360-viewer",
          "spec.apps[0].components[2].name", "beginning with a letter"),
    _case("component twice", (*WORKER, "name"), "story", "spec.apps[0].components[2]", "Duplicate value"),
    _case("component on an undeclared cluster", (*WORKER, "cluster-selector"), "violet",
          "spec.apps", "has a cluster-selector that is not declared"),
    _case("too many replicas", (*WORKER, "replicas"), 101,
          "spec.apps[0].components[2].replicas", "less than or equal to 100"),
    _case("unknown hint", (*WORKER, "placement-hint"), "edge",
          "spec.apps[0].components[2].placement-hint", "Unsupported value", "EDGE"),
    _case("exposure without container port", (*DATABASE, "expose", 0, "containerPort"), DELETE,
          "spec.apps[0].components[1].expose[0].containerPort", "Required value"),
    _case("exposure without cluster port", (*DATABASE, "expose", 0, "clusterPort"), DELETE,
          "spec.apps[0].components[1].expose[0].clusterPort", "Required value"),
    _case("port zero", (*DATABASE, "expose", 0, "clusterPort"), 0,
          "spec.apps[0].components[1].expose[0].clusterPort", "greater than or equal to 1"),
    _case("port out of range", (*DATABASE, "expose", 0, "containerPort"), 70000,
          "spec.apps[0].components[1].expose[0].containerPort", "less than or equal to 65535"),
    _case("port as text", (*DATABASE, "expose", 0, "clusterPort"), "27017",
          "spec.apps[0].components[1].expose[0].clusterPort", "must be of type integer"),
    _case("port twice", (*STORY, "expose", 3), {"containerPort": 8443, "clusterPort": 443, "protocol": "HTTPS"},
          "spec.apps[0].components[0].expose", "exposes one clusterPort twice"),
    _case("unknown protocol", (*DATABASE, "expose", 0, "protocol"), "SCTP",
          "spec.apps[0].components[1].expose[0].protocol", "Unsupported value", "UDP"),
    _case("public without service", (*STORY, "expose", 0, "is-peered"), False,
          "spec.apps[0].components[0].expose[0].is-peered", "must be true where is-public is true"),
    _case("public as text", (*STORY, "expose", 0, "is-public"), "yes",
          "spec.apps[0].components[0].expose[0].is-public", "must be of type boolean"),
    _case("host of a private port", (*DATABASE, "expose", 0, "host"), "db.example.org",
          "spec.apps[0].components[1].expose[0].host", "is only for public HTTP or HTTPS ports"),
    _case("certificate without a public port", (*DATABASE, "tls"), {"name": "certificate"},
          "spec.apps[0].components[1].tls", "needs a public HTTP or HTTPS port"),
    _case("certificate without a name", (*STORY, "tls"), {}, "spec.apps[0].components[0].tls.name", "Required value"),
    _case("variable with neither value nor secret", (*STORY, "env", "variables", 0, "value"), DELETE,
          "spec.apps[0].components[0].env.variables[0]", "must have either value or secret"),
    _case("variable with both", (*STORY, "env", "variables", 0, "secret"), {"name": "s", "key": "k"},
          "spec.apps[0].components[0].env.variables[0]", "must have either value or secret"),
    _case("variable as number", (*STORY, "env", "variables", 0, "value"), 8080,
          "spec.apps[0].components[0].env.variables[0].value", "must be of type string"),
    _case("variable name with a space", (*STORY, "env", "variables", 0, "name"), "NODE ENV",
          "spec.apps[0].components[0].env.variables[0].name", "should match"),
    _case("variable twice", (*DATABASE, "env", "variables", 1, "name"), "USER",
          "spec.apps[0].components[1].env.variables[1]", "Duplicate value"),
    _case("quantity with a word", (*STORY, "resources", "requests", "memory"), "512 megabytes",
          "spec.apps[0].components[0].resources.requests.memory", "should match"),
    _case("quantity below zero", (*STORY, "resources", "requests", "cpu"), -1,
          "spec.apps[0].components[0].resources.requests.cpu", "greater than or equal to 0"),
    _case("unknown storage", (*DATABASE, "storage", 0, "kind"), "ssd",
          "spec.apps[0].components[1].storage[0].kind", "Unsupported value", "persistent"),
    _case("relative mount", (*DATABASE, "storage", 0, "mountPath"), "data",
          "spec.apps[0].components[1].storage[0].mountPath", "must be an absolute path"),
    _case("two volumes at one path", (*DATABASE, "storage", 1, "mountPath"), "/data/db",
          "spec.apps[0].components[1].storage", "mounts two volumes at one mountPath"),
    _case("access to a local volume", (*DATABASE, "storage", 1, "access"), "ReadWriteMany",
          "spec.apps[0].components[1].storage[1].access", "is only for persistent volumes"),
    _case("registry without a secret", (*WORKER, "registry"), {},
          "spec.apps[0].components[2].registry.secret", "Required value"),
    _case("password in the clear", (*WORKER, "registry"), {"secret": "registry", "password": "x"},
          'unknown field "spec.apps[0].components[2].registry.password"', strict=True),
    _case("latitude in words", (*WORKER, "geolocation"), {"latitude": "north"},
          "spec.apps[0].components[2].geolocation.latitude", "should match"),
    _case("misspelt component field", (*WORKER, "cluster_selector"), "rose",
          'unknown field "spec.apps[0].components[2].cluster_selector"', strict=True),
)  # fmt: skip

_WHOLE = (
    Case(
        "two names too long together",
        ((("metadata", "name"), "a-name-of-exactly-forty-six-characters-in-all-"[:45] + "x"),),
        ("spec.clusters", "together longer than 50 characters", "shorten one of them"),
    ),
    Case(
        "a dot in the object's name",
        ((("metadata", "name"), "my.shop"),),
        ("spec.clusters", "the object's name has a dot", "use letters, digits and dashes"),
    ),
    Case("no spec", ((("spec",), DELETE),), ("spec", "Required value")),
    Case("spec as list", ((("spec",), []),), ("spec", "must be of type object")),
)

CASES: tuple[Case, ...] = (*_CLUSTERS, *_LINKS, *_APPS, *_COMPONENTS, *_WHOLE)
