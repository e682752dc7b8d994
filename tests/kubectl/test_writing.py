"""kubectl as the one who writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .client import Kubectl

Object = dict[str, Any]


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_apply_tells_what_it_did(kubectl: Kubectl) -> None:
    body = config_map("applied", k="1")
    assert kubectl("apply", "-f", "-", obj=body) == "configmap/applied created\n"
    assert kubectl("apply", "-f", "-", obj=body) == "configmap/applied unchanged\n"
    assert kubectl("apply", "-f", "-", obj=config_map("applied", k="2", l="1")) == "configmap/applied configured\n"
    kubectl("apply", "-f", "-", obj=config_map("applied", k="2"))
    assert kubectl("get", "cm", "applied", "-o", "jsonpath={.data}") == '{"k":"2"}'
    wrong = kubectl.fails("apply", "-f", "-", obj=body | {"datta": {}})
    assert 'strict decoding error: unknown field "datta"' in wrong


def test_apply_on_the_server(kubectl: Kubectl) -> None:
    apply = ("apply", "--server-side", "-f", "-")
    body = config_map("owned", k="1")
    assert kubectl(*apply, "--field-manager=one", obj=body) == "configmap/owned serverside-applied\n"
    refused = kubectl.fails(*apply, "--field-manager=two", obj=config_map("owned", k="2"))
    assert 'Apply failed with 1 conflict: conflict with "one": .data.k' in refused
    assert "--force-conflicts" in refused
    kubectl(*apply, "--field-manager=two", "--force-conflicts", obj=config_map("owned", k="2"))
    fields = kubectl(
        "get", "cm", "owned", "-o", "jsonpath={.metadata.managedFields[*].manager}", "--show-managed-fields"
    )
    assert fields == "two"


def test_apply_after_apply_on_the_server(kubectl: Kubectl) -> None:
    """From client-side to server-side: kubectl moves the ownership."""
    kubectl("apply", "-f", "-", obj=config_map("moved", k="1"))
    kubectl("apply", "--server-side", "-f", "-", obj=config_map("moved", k="2"))
    assert kubectl("get", "cm", "moved", "-o", "jsonpath={.data.k}") == "2"


def test_diff_has_an_exit_code(kubectl: Kubectl) -> None:
    body = config_map("diffed", k="1")
    kubectl("apply", "-f", "-", obj=body)
    assert kubectl("diff", "-f", "-", obj=body) == ""
    shown = kubectl.fails("diff", "-f", "-", obj=config_map("diffed", k="2"), code=1)
    assert '-  k: "1"' in shown
    assert '+  k: "2"' in shown
    assert kubectl("get", "cm", "diffed", "-o", "jsonpath={.data.k}") == "1"


def test_create_replace_and_dry_runs(kubectl: Kubectl) -> None:
    assert kubectl("create", "-f", "-", obj=config_map("made", k="1")) == "configmap/made created\n"
    assert (
        'Error from server (AlreadyExists): error when creating "STDIN": configmaps "made" already exists'
        in kubectl.fails("create", "-f", "-", obj=config_map("made", k="1"))
    )
    assert kubectl("replace", "-f", "-", obj=config_map("made", l="2")) == "configmap/made replaced\n"
    assert "(server dry run)" in kubectl("apply", "--dry-run=server", "-f", "-", obj=config_map("never", k="1"))
    assert "not found" in kubectl.fails("get", "cm", "never")
    assert kubectl("replace", "--force", "-f", "-", obj=config_map("made", k="3")).endswith("configmap/made replaced\n")


def test_each_type_of_patch(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "patched", "--from-literal=k=1")
    kubectl("patch", "cm", "patched", "-p", '{"data":{"a":"1"}}')
    kubectl("patch", "cm", "patched", "--type=merge", "-p", '{"data":{"b":"1"}}')
    kubectl("patch", "cm", "patched", "--type=json", "-p", '[{"op":"add","path":"/data/c","value":"1"}]')
    assert json.loads(kubectl("get", "cm", "patched", "-o", "jsonpath={.data}")) == {
        "k": "1",
        "a": "1",
        "b": "1",
        "c": "1",
    }
    assert "no change" in kubectl("patch", "cm", "patched", "-p", '{"data":{"a":"1"}}')
    wrong = kubectl.fails("patch", "cm", "patched", "--type=json", "-p", '[{"op":"remove","path":"/data/none"}]')
    assert "the server rejected our request due to an error in our request" in wrong


def test_edit(kubectl: Kubectl, tmp_path: Path) -> None:
    kubectl("create", "configmap", "edited", "--from-literal=k=before")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/k: before/k: after/" "$1"\n', encoding="ascii")
    editor.chmod(0o755)
    assert "configmap/edited edited" in kubectl("edit", "cm", "edited", env={"EDITOR": str(editor)})
    assert kubectl("get", "cm", "edited", "-o", "jsonpath={.data.k}") == "after"
    assert "no changes made" in kubectl("edit", "cm", "edited", env={"EDITOR": "true"})


def test_labels_and_annotations(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "labelled")
    assert "labelled" in kubectl("label", "cm", "labelled", "a=b", "c=d")
    assert "already has a value" in kubectl.fails("label", "cm", "labelled", "a=x")
    kubectl("label", "cm", "labelled", "a=x", "--overwrite")
    assert "unlabeled" in kubectl("label", "cm", "labelled", "c-")
    kubectl("annotate", "cm", "labelled", "example.org/note=hello")
    assert "labelled" in kubectl("get", "cm", "-l", "a=x,!c", "--show-labels")
    assert kubectl("get", "cm", "labelled", "-o", r"jsonpath={.metadata.annotations.example\.org/note}") == "hello"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("create namespace made-by-kubectl", "namespace/made-by-kubectl created"),
        ("create secret generic s --from-literal=a=b", "secret/s created"),
        ("create serviceaccount bot", "serviceaccount/bot created"),
        ("create role r --verb=get --resource=pods", "role.rbac.authorization.k8s.io/r created"),
        ("create rolebinding rb --role=r --user=jane", "rolebinding.rbac.authorization.k8s.io/rb created"),
        ("create service clusterip web --tcp=80:8080", "service/web created"),
        ("create quota q --hard=pods=200", "resourcequota/q created"),
        ("create ingress i --rule=a.org/*=web:80", "ingress.networking.k8s.io/i created"),
        ("create job j --image=a", "job.batch/j created"),
        ("create cronjob cj --image=a --schedule=@daily", "cronjob.batch/cj created"),
    ],
)  # fmt: skip
def test_create_of_each_kind(kubectl: Kubectl, command: str, says: str) -> None:
    assert kubectl(*command.split()) == says + "\n"


def test_deleting_and_waiting_for_it(kubectl: Kubectl) -> None:
    kept = config_map("kept", k="1")
    kept["metadata"]["finalizers"] = ["example.org/hold"]
    kubectl("create", "-f", "-", obj=kept)
    kubectl("delete", "cm", "kept", "--wait=false")
    assert "timed out" in kubectl.fails("wait", "--for=delete", "cm/kept", "--timeout=200ms")
    with kubectl.open("wait", "--for=delete", "cm/kept", "--timeout=30s") as waiting:
        kubectl("patch", "cm", "kept", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        assert waiting.wait(30) == 0
    kubectl("create", "configmap", "one", "--save-config")
    assert 'configmap "one" deleted' in kubectl("delete", "cm/one")
    assert kubectl("delete", "cm", "one", "--ignore-not-found") == ""
    assert 'Error from server (NotFound): configmaps "one" not found' in kubectl.fails("delete", "cm", "one")


def test_deleting_all(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "emptied")
    there = kubectl.within("emptied")
    there.together("create configmap a", "create configmap b", "create secret generic c")
    assert there("delete", "cm,secret", "--all").count("deleted") >= 3
    assert "No resources found" in there("get", "secret")
    assert 'namespace "emptied" deleted' in kubectl("delete", "namespace", "emptied")
    assert "not found" in kubectl.fails("get", "namespace", "emptied")
