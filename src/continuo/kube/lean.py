"""Pods without what nobody reads: managed fields are half of a pod, and pods are most of what clusters tell.

What is not named here is never built by the decoder. `Status` objects come in the same places, so theirs is named, too.
"""

from __future__ import annotations

from typing import Any, TypedDict


class _Metadata(TypedDict, total=False):
    name: Any
    generateName: Any
    namespace: Any
    selfLink: Any
    uid: Any
    resourceVersion: Any
    generation: Any
    creationTimestamp: Any
    deletionTimestamp: Any
    deletionGracePeriodSeconds: Any
    labels: Any
    annotations: Any
    ownerReferences: Any
    finalizers: Any


class LeanPod(TypedDict, total=False):
    """A pod without `metadata.managedFields`, or a `Status`."""

    apiVersion: Any
    kind: Any
    metadata: _Metadata
    spec: Any
    status: Any
    message: Any
    reason: Any
    details: Any
    code: Any
