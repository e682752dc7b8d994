"""KubeEdge's kinds for devices and for its router, as CloudCore's release installs them.

Devices are served in two versions with nothing converted between them but the name of the version. By KubeEdge's own
definitions an API server drops of a v1alpha2 object what v1beta1, which is stored, has no field for; these here keep it, in
the embedded engine and elsewhere. Nobody rests on that: the Edge Resource Manager also reads what kubectl noted as last
applied. Neither Devices nor Rules have a status subresource.
"""

from __future__ import annotations

from continuo.resources import kinds
from continuo.resources.crds.build import PRESERVE, anything, crd, flag, many, named, number, obj, strings, text, time
from continuo.resources.meta import Object

_LONG = "int64"
_PROPERTY_TYPES = ("INT", "FLOAT", "DOUBLE", "STRING", "BOOLEAN", "BYTES", "STREAM")


def _versions(definition: Object, older: Object) -> Object:
    """The definition with v1alpha2 served beside it."""
    (newest,) = definition["spec"]["versions"]
    schema = {"type": "object", "properties": older, PRESERVE: True}
    before = {"name": "v1alpha2", "served": True, "storage": False, "schema": {"openAPIV3Schema": schema}}
    definition["spec"]["versions"] = [before, newest]
    return definition


def _without_subresource(definition: Object) -> Object:
    definition["spec"]["versions"][-1].pop("subresources", None)
    return definition


def _protocol() -> Object:
    return obj(protocolName=text(), configData=anything())


def _device() -> Object:
    spec = obj(
        deviceModelRef=named(),
        nodeName=text(),
        protocol=_protocol(),
        properties=many(
            obj(
                name=text(),
                desired=obj(("value",), value=text(), metadata=strings()),
                visitors=_protocol(),
                reportCycle=number(format=_LONG),
                collectCycle=number(format=_LONG),
                reportToCloud=flag(),
                pushMethod=anything(),
            )
        ),
        methods=many(obj(name=text(), description=text(), propertyNames=many(text()))),
        stateReport=obj(reportToCloud=flag(), reportCycle=number(format=_LONG)),
    )
    status = obj(reportToCloud=flag(), reportCycle=number(format=_LONG)) | {PRESERVE: True}
    older = {
        "spec": obj(
            data=anything(),
            deviceModelRef=named(),
            nodeSelector=anything(),
            propertyVisitors=many(anything()),
            protocol=anything(),
        ),
        "status": anything(),
    }
    return _versions(_without_subresource(crd(kinds.DEVICE, spec, status, ())), older)


def _device_model() -> Object:
    spec = obj(
        protocol=text(),
        protocolConfigData=anything(),
        properties=many(
            obj(
                name=text(),
                description=text(),
                type=text(*_PROPERTY_TYPES),
                accessMode=text("ReadWrite", "ReadOnly"),
                minimum=text(),
                maximum=text(),
                unit=text(),
                visitors=anything(),
            )
        ),
    )
    return _versions(crd(kinds.DEVICE_MODEL, spec, None, ()), {"spec": anything()})


def _device_status() -> Object:
    twin = obj(propertyName=text(), reported=anything(), observedDesired=anything())
    status = obj(twins=many(twin), state=text(), lastOnlineTime=time(), extensions=anything())
    made = crd(kinds.DEVICE_STATUS, anything(), status, ())
    return _versions(_without_subresource(made), {"spec": anything(), "status": anything()})


def _rule() -> Object:
    spec = obj(
        ("source", "sourceResource", "target", "targetResource"),
        source=text(),
        sourceResource=strings(),
        target=text(),
        targetResource=strings(),
    )
    status = obj(successMessages=number(format=_LONG), failMessages=number(format=_LONG), errors=many(text()))
    return _without_subresource(crd(kinds.KUBEEDGE_RULE, spec, status, ()))


def _rule_endpoint() -> Object:
    spec = obj(("ruleEndpointType",), ruleEndpointType=text("rest", "eventbus", "servicebus"), properties=strings())
    return crd(kinds.RULE_ENDPOINT, spec, None, ())


def kubeedge_crds() -> list[Object]:
    """Devices, and the rules of CloudCore's router."""
    return [_device(), _device_model(), _device_status(), _rule(), _rule_endpoint()]
