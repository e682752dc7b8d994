"""The kinds of a FLUIDOS node that trade flavors: what is offered, looked for, reserved, bought and allocated."""

from __future__ import annotations

from continuo.resources import kinds
from continuo.resources.crds.build import AGE, Column, anything, crd, flag, many, obj, reference, strings, text
from continuo.resources.meta import Object

_PHASES = ("Solved", "Failed", "Running", "Allocating", "Idle", "Timed Out", "Active", "Pending", "Inactive")
_FLAVOR_TYPES = ("K8Slice", "VM", "Service", "Sensor")
_ALLOCATION_STATES = ("Active", "Provisioning", "ResourceCreation", "Peering", "Released", "Inactive", "Error")


def _phase() -> Object:
    return text(*_PHASES)


def _phase_status() -> Object:
    return obj(("phase",), phase=_phase(), message=text(), startTime=text(), lastChangeTime=text(), endTime=text())


def _identity() -> Object:
    more = obj(liqoID=text())
    return obj(("domain", "nodeID", "ip"), domain=text(), nodeID=text(), ip=text(), additionalInformation=more)


def _configuration() -> Object:
    return obj(("type", "data"), type=text(*_FLAVOR_TYPES), data=anything())


def _selector() -> Object:
    return obj(("flavorType",), flavorType=text(*_FLAVOR_TYPES), filters=anything())


def _flavor_spec() -> Object:
    return obj(
        ("providerID", "flavorType", "owner", "price", "availability"),
        providerID=text(),
        flavorType=obj(("typeIdentifier", "typeData"), typeIdentifier=text(*_FLAVOR_TYPES), typeData=anything()),
        owner=_identity(),
        price=obj(("amount", "currency", "period"), amount=text(), currency=text(), period=text()),
        availability=flag(),
        networkPropertyType=text(),
        location=obj(latitude=text(), longitude=text(), country=text(), city=text(), additionalNotes=text()),
    )


def _flavor_copy() -> Object:
    return obj(("spec",), metadata=anything(), spec=_flavor_spec(), status=anything())


def _column(name: str, path: str, priority: int = 0) -> Column:
    return (name, "string", path, priority)


def _flavor() -> Object:
    status = obj(expirationTime=text(), creationTime=text(), lastUpdateTime=text())
    columns = (
        _column("Provider ID", ".spec.providerID"),
        _column("Type", ".spec.flavorType.typeIdentifier"),
        ("Available", "boolean", ".spec.availability"),
        _column("Owner", ".spec.owner.nodeID", 1),
        AGE,
    )
    return crd(kinds.FLAVOR, _flavor_spec(), status, columns)


def _solver() -> Object:
    spec = obj(
        ("intentID",), selector=_selector(), intentID=text(), findCandidate=flag() | {"default": False},
        reserveAndBuy=flag() | {"default": False}, establishPeering=flag() | {"default": False},
    )  # fmt: skip
    steps = ("findCandidate", "reserveAndBuy", "peering", "discoveryPhase", "reservationPhase", "consumePhase")
    status = obj(**{step: _phase() for step in steps}, solverPhase=_phase_status())
    columns = (
        _column("Intent ID", ".spec.intentID"),
        ("Find Candidate", "boolean", ".spec.findCandidate"),
        ("Reserve and Buy", "boolean", ".spec.reserveAndBuy"),
        ("Peering", "boolean", ".spec.establishPeering"),
        _column("Candidate Phase", ".status.findCandidate", 1),
        _column("Reserving Phase", ".status.reserveAndBuy", 1),
        _column("Peering Phase", ".status.peering", 1),
        _column("Status", ".status.solverPhase.phase"),
        _column("Message", ".status.solverPhase.message"),
        AGE,
    )
    return crd(kinds.SOLVER, spec, status, columns)


def _discovery() -> Object:
    spec = obj(("solverID",), solverID=text(), selector=_selector(), subscribe=flag() | {"default": False})
    status = obj(phase=_phase_status(), peeringCandidateList=anything())
    columns = (
        _column("Solver ID", ".spec.solverID"),
        _column("Status", ".status.phase.phase"),
        _column("Message", ".status.phase.message"),
        AGE,
    )
    return crd(kinds.DISCOVERY, spec, status, columns)


def _peering_candidate() -> Object:
    spec = obj(("flavor",), interestedSolverIDs=many(text()), flavor=_flavor_copy(), available=flag())
    status = obj(creationTime=text(), lastUpdateTime=text())
    columns = (
        _column("Flavor", ".spec.flavor.metadata.name"),
        _column("Owner", ".spec.flavor.spec.owner.nodeID"),
        ("Available", "boolean", ".spec.available"),
        _column("Solvers", ".spec.interestedSolverIDs", 1),
        AGE,
    )
    return crd(kinds.PEERING_CANDIDATE, spec, status, columns)


def _telemetry() -> Object:
    return obj(endpoint=text(), intents=many(text()))


def _reservation() -> Object:
    spec = obj(
        ("solverID", "buyer", "seller"), solverID=text(), buyer=_identity(), seller=_identity(),
        configuration=_configuration(), reserve=flag() | {"default": False}, purchase=flag() | {"default": False},
        peeringCandidate=reference(), ingressTelemetryEndpoint=_telemetry(),
    )  # fmt: skip
    status = obj(
        phase=_phase_status(), reservePhase=_phase(), purchasePhase=_phase(), transactionID=text(), contract=reference()
    )
    columns = (
        _column("Solver ID", ".spec.solverID"),
        ("Reserve", "boolean", ".spec.reserve"),
        ("Purchase", "boolean", ".spec.purchase"),
        _column("Seller", ".spec.seller.nodeID"),
        _column("Peering Candidate", ".spec.peeringCandidate.name", 1),
        _column("Transaction ID", ".status.transactionID", 1),
        _column("Contract", ".status.contract.name"),
        _column("Status", ".status.phase.phase"),
        _column("Message", ".status.phase.message"),
        AGE,
    )
    return crd(kinds.RESERVATION, spec, status, columns)


def _transaction() -> Object:
    spec = obj(
        ("flavorID", "buyer", "expirationTime"), flavorID=text(), buyer=_identity(), clusterID=text(),
        configuration=_configuration(), expirationTime=text(),
    )  # fmt: skip
    columns = (
        _column("Flavor ID", ".spec.flavorID"),
        _column("Buyer", ".spec.buyer.nodeID"),
        _column("Expiration", ".spec.expirationTime"),
        _column("Status", ".status.phase.phase"),
        AGE,
    )
    return crd(kinds.TRANSACTION, spec, obj(phase=_phase_status()), columns)


def _contract() -> Object:
    spec = obj(
        ("flavor", "transactionID", "buyer", "seller"), flavor=_flavor_copy(), transactionID=text(),
        configuration=_configuration(), buyer=_identity(), buyerClusterID=text(), seller=_identity(),
        peeringTargetCredentials=obj(liqoID=text(), kubeconfig=text()), expirationTime=text(),
        extraInformation=strings(), networkRequests=text(), ingressTelemetryEndpoint=_telemetry(),
    )  # fmt: skip
    columns = (
        _column("Flavor ID", ".spec.flavor.metadata.name"),
        _column("Buyer", ".spec.buyer.nodeID"),
        _column("Seller", ".spec.seller.nodeID"),
        _column("Transaction ID", ".spec.transactionID", 1),
        _column("Expiration", ".spec.expirationTime", 1),
        _column("Status", ".status.phase.phase"),
        AGE,
    )
    return crd(kinds.FLUIDOS_CONTRACT, spec, obj(phase=_phase_status()), columns)


def _allocation() -> Object:
    spec = obj(("contract",), forwarding=flag() | {"default": False}, contract=reference())
    status = obj(status=text(*_ALLOCATION_STATES), message=text(), lastUpdateTime=text(), resourceRef=reference())
    columns = (
        _column("Contract", ".spec.contract.name"),
        _column("Status", ".status.status"),
        _column("Message", ".status.message"),
        AGE,
    )
    return crd(kinds.ALLOCATION, spec, status, columns)


def _known_cluster() -> Object:
    spec = obj(("address",), address=text())
    columns = (_column("Address", ".spec.address"), _column("Expiration", ".status.expirationTime"), AGE)
    return crd(kinds.KNOWN_CLUSTER, spec, obj(expirationTime=text(), lastUpdateTime=text()), columns)


def fluidos_crds() -> list[Object]:
    """Everything that is traded with, in the order of a trade."""
    return [
        _flavor(), _solver(), _discovery(), _peering_candidate(), _reservation(), _transaction(), _contract(),
        _allocation(), _known_cluster(),
    ]  # fmt: skip
