"""What a site may do beyond sensors where it sells or buys K8Slices. Pure.

These rights hold in all namespaces, since those of slices come and go; so nobody has them who has not asked for them.
"""

from __future__ import annotations

from continuo.cli.manifest_parts import FOLLOW, binding, by_group, metadata, part_rule, rule
from continuo.edge.slices import terms
from continuo.federation.reflection import objects as reflected
from continuo.federation.watches import WATCHES
from continuo.resources import kinds
from continuo.resources.meta import Object

LENDER, LINKER, NETWORKS = "continuo-edge-lender", "continuo-edge-linker", "continuo-edge-networks"
_NODE_LEASES = "kube-node-lease"


def lender_rules() -> list[Object]:
    """What a seller of slices may do: make bounded namespaces, and let buyers into them.

    An API server lets nobody give away what he has not got, so a buyer's own rights are here too.
    """
    inside = [kinds.RESOURCE_QUOTA, kinds.LIMIT_RANGE]
    return [
        rule([kinds.NAMESPACE], "create", "delete", "get"),
        rule(inside, "create", "patch"),
        rule([kinds.ROLE], "create", "patch"),
        rule([kinds.ROLE_BINDING], "create", "delete", "patch"),
        rule([kinds.SERVICE_ACCOUNT], "create", "delete", "patch"),
        part_rule("token", [kinds.SERVICE_ACCOUNT], "create"),
        *terms.rules(),
    ]


def linker_rules() -> list[Object]:
    """What a buyer of slices may do: be the home of virtual nodes, whose pods take along what they need, Secrets too."""
    carried = by_group([*reflected.KINDS, kinds.POD, kinds.NAMESPACE])
    return [
        *(rule(group, *FOLLOW) for group in carried),
        rule([kinds.CONFIG_MAP, kinds.NAMESPACE, kinds.NODE, kinds.POD], "get"),
        rule([kinds.NAMESPACE, kinds.NODE], "create", "delete"),
        rule([kinds.NODE, kinds.POD], "patch"),
        rule([kinds.POD], "delete"),
        part_rule("status", [kinds.NODE, kinds.POD], "patch"),
        rule([kinds.CORE_EVENT], "create", "patch"),
        rule([kinds.SOLVER], "get"),
    ]


def network_rules() -> list[Object]:
    """What either may do of networks: make and remove its own half in Liqo's kinds, and see what others have made.

    Of the partner's cluster nobody needs, or gets, any of this.
    """
    seen = {watch.kind for watch in WATCHES} - {kinds.NAMESPACE_OFFLOADING} | {kinds.CUSTOM_RESOURCE_DEFINITION}
    made = [kinds.CONFIGURATION, kinds.GATEWAY_CLIENT, kinds.GATEWAY_SERVER, kinds.PUBLIC_KEY]
    return [
        *(rule(group, *FOLLOW) for group in by_group(sorted(seen, key=lambda kind: kind.plural))),
        rule(made, "create", "delete", "patch"),
        rule([kinds.NAMESPACE], "create", "delete", "patch"),
        rule([kinds.FOREIGN_CLUSTER], "delete"),
    ]


def node_lease_rules() -> list[Object]:
    """What keeps virtual nodes alive."""
    return [rule([kinds.LEASE], "create", "delete", "patch")]


def slice_objects(namespace: str, account: str, *, sell: bool, buy: bool) -> list[Object]:
    """Roles and bindings for the site's account."""
    found: list[Object] = []
    roles = ((LENDER, sell, lender_rules()), (LINKER, buy, linker_rules()), (NETWORKS, sell or buy, network_rules()))
    for name, wanted, rules in roles:
        if wanted:
            found += [
                kinds.CLUSTER_ROLE.new(name, metadata=metadata("edge"), rules=rules),
                binding(kinds.CLUSTER_ROLE_BINDING, name, namespace, None, "edge", account),
            ]
    if buy:
        found += [
            kinds.ROLE.new(LINKER, _NODE_LEASES, metadata=metadata("edge"), rules=node_lease_rules()),
            binding(kinds.ROLE_BINDING, LINKER, namespace, _NODE_LEASES, "edge", account),
        ]
    return found
