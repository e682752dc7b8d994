"""Wrong objects of the kinds of boards, and what an API server must say to each: `spec` is the whole of it.

`before` is the spec that is there; such cases replace it. Without it the object is created. The first fragment is the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from continuo.resources import boards
from continuo.resources.meta import Kind

Spec = dict[str, Any]
BOARD, PLUGIN, NETWORK = {"boardRef": {"name": "b"}}, {"pluginRef": {"name": "p"}}, {"networkRef": {"name": "n"}}
FLEET, CODE = {"fleetRef": {"name": "f"}}, {"code": "class Worker: ..."}
TOKEN = {"source": "Secret", "secretRef": {"name": "hub", "namespace": "default"}}
AT = {"endpoint": "https://hub.example:8812"}


def of(**parameters: Any) -> Spec:
    return {"forProvider": parameters}


GOOD: dict[Kind, Spec] = {
    boards.BOARD: of(location={"longitude": "15.5", "latitude": "38.2"}),
    boards.FLEET: of(description="all", memberSelector={"matchLabels": {"room": "lab"}}),
    boards.PLUGIN: of(**CODE),
    boards.PLUGIN_INJECTION: of(**FLEET, **PLUGIN, state="Running"),
    boards.PLUGIN_CALL: of(**BOARD, **PLUGIN, timeout=5),
    boards.SERVICE: of(port=22),
    boards.EXPOSED_SERVICE: of(**BOARD, port=22),
    boards.VIRTUAL_NETWORK: of(cidr="10.20.0.0/24"),
    boards.PORT: of(**BOARD, **NETWORK),
    boards.WORKLOAD: of(**FLEET, command=["true"], job={}),
    boards.PROVIDER_CONFIG: {**AT, "authType": "noauth"},
    boards.CLUSTER_PROVIDER_CONFIG: {**AT, "credentials": TOKEN},
}


@dataclass(frozen=True)
class Case:
    """One wrong object."""

    name: str
    kind: Kind
    spec: Spec
    says: tuple[str, ...]
    before: Spec | None = None


def _board(what: str, says: tuple[str, ...], **parameters: Any) -> Case:
    return Case(what, boards.BOARD, of(**parameters), says)


def _rule(name: str, says: tuple[str, ...], **rule: Any) -> Case:
    groups = [{"name": "web", "rules": [rule]}]
    return Case(name, boards.VIRTUAL_NETWORK, of(cidr="10.20.0.0/24", securityGroups=groups), says)


def _config(name: str, kind: Kind, says: tuple[str, ...], **spec: Any) -> Case:
    return Case(name, kind, {**AT, **spec}, says)


_AT = "spec.forProvider"
_ANEW = "cannot change once it is set: delete this object and make another"
_OWN, _ALL = boards.PROVIDER_CONFIG, boards.CLUSTER_PROVIDER_CONFIG

CASES: tuple[Case, ...] = (
    Case("no forProvider", boards.FLEET, {}, ("spec.forProvider", "Required value")),
    Case("a policy that is none", boards.FLEET, {**of(), "managementPolicies": ["Own"]},
         ("spec.managementPolicies[0]", 'Unsupported value: "Own"')),
    Case("a policy twice", boards.FLEET, {**of(), "managementPolicies": ["Observe", "Observe"]},
         ("spec.managementPolicies[1]", "Duplicate value")),
    Case("a configuration of a kind that is none", boards.FLEET, {**of(), "providerConfigRef": {"kind": "Config"}},
         ("spec.providerConfigRef.kind", 'Unsupported value: "Config"')),
    _board("longitude as a number", (f"{_AT}.location.longitude", "must be of type string"),
           location={"longitude": 15.5, "latitude": "38.2"}),
    _board("longitude in words", (f"{_AT}.location.longitude", "must be a decimal number as text"),
           location={"longitude": "east", "latitude": "38.2"}),
    _board("a place by half", (f"{_AT}.location.latitude", "Required value"), location={"longitude": "15.5"}),
    _board("a name without end", (f"{_AT}.name", "Too long"), name="n" * 256),
    _board("a name without letters", (f"{_AT}.name", "at least 1 char"), name=""),
    _board("a code in the clear", ('unknown field "spec.forProvider.code"',), code="c0de"),
    _board("a code's Secret without its key", (f"{_AT}.codeSecretRef.key", "Required value"),
           codeSecretRef={"name": "s"}),
    Case("In without values", boards.FLEET,
         of(memberSelector={"matchExpressions": [{"key": "room", "operator": "In"}]}),
         (f"{_AT}.memberSelector.matchExpressions[0].values", "must be given with operator In or NotIn")),
    Case("Exists with values", boards.FLEET,
         of(memberSelector={"matchExpressions": [{"key": "room", "operator": "Exists", "values": ["x"]}]}),
         (f"{_AT}.memberSelector.matchExpressions[0].values", "left out with Exists or DoesNotExist")),
    Case("a fleet that says too much", boards.FLEET, of(description="d" * 301), (f"{_AT}.description", "Too long")),
    Case("a fleet's name too long", boards.FLEET, of(name="n" * 37), (f"{_AT}.name", "may not be more than 36")),
    Case("no code", boards.PLUGIN, of(callable=True), (f"{_AT}.code", "give the code, or say where it is")),
    Case("code from two places", boards.PLUGIN, of(**CODE, codeFrom={"url": "http://x/", "sha256": "a" * 64}),
         (f"{_AT}.code", "must not be given together with codeFrom")),
    Case("code from nowhere", boards.PLUGIN, of(codeFrom={}),
         (f"{_AT}.codeFrom.url", "must name either configMapKeyRef or url")),
    Case("code from afar that may be any", boards.PLUGIN, of(codeFrom={"url": "http://x/"}),
         (f"{_AT}.codeFrom.sha256", "belongs to url, and url needs it")),
    Case("a digest that is none", boards.PLUGIN, of(codeFrom={"url": "http://x/", "sha256": "A" * 64}),
         (f"{_AT}.codeFrom.sha256", "must be 64 hexadecimal digits")),
    Case("a signature by half", boards.PLUGIN, of(**CODE, signature={"key": "ci", "value": "ab"}),
         (f"{_AT}.signature.value", "at least 128 chars")),
    Case("memory without end", boards.PLUGIN, of(**CODE, grants={"memory": "much"}),
         (f"{_AT}.grants.memory", "should match")),
    Case("no time at all", boards.PLUGIN, of(**CODE, grants={"time": 0}),
         (f"{_AT}.grants.time", "greater than or equal to 1")),
    Case("a plugin nowhere", boards.PLUGIN_INJECTION, of(**PLUGIN), (f"{_AT}.boardId", "name a board", "or a fleet")),
    Case("no plugin", boards.PLUGIN_INJECTION, of(**BOARD), (f"{_AT}.pluginId", "name a plugin by pluginId")),
    Case("a board and a fleet", boards.PLUGIN_INJECTION, of(**BOARD, **FLEET, **PLUGIN),
         (f"{_AT}.boardId", "must not be given together with a fleet")),
    Case("a run state that is none", boards.PLUGIN_INJECTION, of(**BOARD, **PLUGIN, state="Walking"),
         (f"{_AT}.state", 'Unsupported value: "Walking"')),
    Case("an injection moves", boards.PLUGIN_INJECTION, of(boardId="b2", **PLUGIN), (f"{_AT}.boardId", _ANEW),
         of(boardId="b1", **PLUGIN)),
    Case("an injection becomes another's", boards.PLUGIN_INJECTION, of(boardId="b1", **PLUGIN),
         (f"{_AT}.pluginId", _ANEW), of(boardId="b1", pluginId="p1")),
    Case("a call that waits for ever", boards.PLUGIN_CALL, of(**BOARD, **PLUGIN, timeout=86_400),
         (f"{_AT}.timeout", "less than or equal to 3600")),
    Case("a call to nobody", boards.PLUGIN_CALL, of(**PLUGIN), (f"{_AT}.boardId", "name a board")),
    Case("no port", boards.SERVICE, of(name="ssh"), (f"{_AT}.port", "the TCP port on which boards listen")),
    Case("a port that is none", boards.SERVICE, of(port=70_000), (f"{_AT}.port", "less than or equal to 65535")),
    Case("a tunnel for UDP", boards.SERVICE, of(port=53, protocol="UDP"),
         (f"{_AT}.protocol", 'Unsupported value: "UDP"')),
    Case("exposed on no board", boards.EXPOSED_SERVICE, of(port=22), (f"{_AT}.boardId", "name a board by boardId")),
    Case("nothing exposed", boards.EXPOSED_SERVICE, of(**BOARD), (f"{_AT}.port", "give the board's port")),
    Case("a port and a service", boards.EXPOSED_SERVICE, of(**BOARD, port=22, serviceId="s"),
         (f"{_AT}.port", "must not be given together with a service")),
    Case("an exposure of another port", boards.EXPOSED_SERVICE, of(**BOARD, port=23), (f"{_AT}.port", _ANEW),
         of(**BOARD, port=22)),
    Case("a network without addresses", boards.VIRTUAL_NETWORK, of(), (f"{_AT}.cidr", "such as 10.20.0.0/24")),
    Case("addresses that are none", boards.VIRTUAL_NETWORK, of(cidr="10.20.0.0/33"),
         (f"{_AT}.cidr", "must be an IPv4 network")),
    Case("another range", boards.VIRTUAL_NETWORK, of(cidr="10.21.0.0/24"), (f"{_AT}.cidr", _ANEW),
         of(cidr="10.20.0.0/24")),
    Case("a network in the clear", boards.VIRTUAL_NETWORK, of(cidr="10.20.0.0/24", encryption="none"),
         (f"{_AT}.encryption", 'Unsupported value: "none"')),
    Case("packets of nothing", boards.VIRTUAL_NETWORK, of(cidr="10.20.0.0/24", mtu=68),
         (f"{_AT}.mtu", "greater than or equal to 576")),
    Case("one group twice", boards.VIRTUAL_NETWORK, of(cidr="10.20.0.0/24", securityGroups=[{"name": "a"}] * 2),
         (f"{_AT}.securityGroups[1]", "Duplicate value")),
    _rule("ports upside down", (f"{_AT}.securityGroups[0].rules[0].portMax", "must not be less than portMin"),
          protocol="tcp", portMin=90, portMax=80),
    _rule("a last port alone", (f"{_AT}.securityGroups[0].rules[0].portMax", "needs portMin"),
          protocol="tcp", portMax=80),
    _rule("ports of a ping", (f"{_AT}.securityGroups[0].rules[0].portMin", "needs protocol tcp or udp"),
          protocol="icmp", portMin=80),
    _rule("from two at once", (f"{_AT}.securityGroups[0].rules[0].remoteCidr", "must not be given together"),
          remoteCidr="10.0.0.0/8", remoteGroup="web"),
    Case("a port on no network", boards.PORT, of(**BOARD), (f"{_AT}.networkId", "name a network by networkId")),
    Case("an address for many", boards.PORT, of(**BOARD, **NETWORK, mac="01:00:5e:00:00:01"),
         (f"{_AT}.mac", "must be a unicast MAC address")),
    Case("an address that is none", boards.PORT, of(**BOARD, **NETWORK, ip="10.20.0.256"),
         (f"{_AT}.ip", "must be an IPv4 address")),
    Case("another address", boards.PORT, of(**BOARD, **NETWORK, ip="10.20.0.6"), (f"{_AT}.ip", _ANEW),
         of(**BOARD, **NETWORK, ip="10.20.0.5")),
    Case("work nowhere", boards.WORKLOAD, of(command=["true"]), (f"{_AT}.boardId", "name a board", "or a fleet")),
    Case("a container of nothing", boards.WORKLOAD, of(**BOARD, runtime="container"),
         (f"{_AT}.image", "is needed with runtime container")),
    Case("a job for ever", boards.WORKLOAD, of(**BOARD, command=["true"], job={}, restart="Always"),
         (f"{_AT}.restart", "must be OnFailure or Never for a job")),
    Case("replicas on one board", boards.WORKLOAD, of(**BOARD, command=["true"], replicas=3),
         (f"{_AT}.replicas", "needs a fleet")),
    Case("fewer than none", boards.WORKLOAD, of(**FLEET, command=["true"], replicas=-1),
         (f"{_AT}.replicas", "greater than or equal to 0")),
    Case("work moves", boards.WORKLOAD, of(boardId="b2", command=["true"]), (f"{_AT}.boardId", _ANEW),
         of(boardId="b1", command=["true"])),
    Case("an injection on another fleet", boards.PLUGIN_INJECTION, of(fleetId="f2", pluginId="p"),
         (f"{_AT}.fleetId", _ANEW), of(fleetId="f1", pluginId="p")),
    Case("beyond the map", boards.WORKLOAD,
         of(**FLEET, command=["true"], placement={"near": {"longitude": 200, "latitude": 1}}),
         (f"{_AT}.placement.near.longitude", "less than or equal to 180")),
    Case("beyond the pole", boards.WORKLOAD,
         of(**FLEET, command=["true"], placement={"near": {"longitude": 0, "latitude": 91}}),
         (f"{_AT}.placement.near.latitude", "less than or equal to 90")),
    _config("no way to say who", _OWN, ("spec.credentials", "are needed unless authType is noauth")),
    _config("Keystone nowhere", _OWN, ("spec.authUrl", "is needed with authType keystone"), authType="keystone",
            credentials={"source": "Secret", "secretRef": {"name": "s"}}),
    _config("another scheme", _OWN, ("spec.endpoint", "begins with http:// or https://"), endpoint="ftp://hub/",
            authType="noauth"),
    _config("a project's name where its UUID is meant", _OWN,
            ("spec.projectId", "must be a UUID, as IoTronic knows projects by"), authType="noauth", projectId="lab"),
    _config("a Secret without its name", _OWN, ("spec.credentials.secretRef", "is needed with source Secret"),
            credentials={"source": "Secret"}),
    _config("the provider's own files", _OWN, ("spec.credentials.source", "are for ClusterProviderConfigs"),
            credentials={"source": "Filesystem", "fs": {"path": "/etc/shadow"}}),
    _config("a Secret of no namespace", _ALL, ("spec.credentials.secretRef.namespace", "has no namespace of its own"),
            credentials={"source": "Secret", "secretRef": {"name": "s"}}),
    _config("patience without end", _ALL, ("spec.requestTimeout", "less than or equal to 55"), requestTimeout=600,
            authType="noauth"),
)  # fmt: skip
