"""The rules of kstatus (sigs.k8s.io/cli-utils/pkg/kstatus) for a custom resource, in their order.

Flux, `kpt live` and others tell by them whether an object has come to rest.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"


def compute(obj: Mapping[str, Any]) -> Verdict:
    """Deletion, generation, Reconciling and Stalled in the order of the list, then Ready; silence is success."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Verdict.TERMINATING
    observed = status.get("observedGeneration")
    if observed is not None and observed != metadata["generation"]:
        return Verdict.IN_PROGRESS
    conditions = status.get("conditions") or []
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] in {"Reconciling", "Stalled"}:
            return Verdict.IN_PROGRESS if condition["type"] == "Reconciling" else Verdict.FAILED
    for condition in conditions:
        if condition["type"] == "Ready":
            return Verdict.CURRENT if condition["status"] == "True" else Verdict.IN_PROGRESS
    return Verdict.CURRENT
