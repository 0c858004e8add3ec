"""A coordination.k8s.io Lease: who may write, until when.

Only reads and writes the object; deciding is `controller.leader`'s. A write names the
resourceVersion it was decided on, so of two that reach for a free Lease one gets a Conflict.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from volary.adapters.cluster import LEASES, Cluster

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"  # metav1.MicroTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a Lease says. `version` changes with every write; empty: there is no Lease yet."""

    holder: str = ""  # nobody: it was released
    duration: int = 0  # seconds
    transitions: int = 0
    version: str = ""


class Leases(Protocol):
    """One Lease."""

    async def read(self) -> Record:
        """As it is; an empty Record where there is none."""

    async def write(self, record: Record, now: datetime) -> Record:
        """Hold, renew or release it. Conflict where it is not at `record.version` any more."""


class ClusterLease:
    """`Leases` on a cluster."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name

    async def read(self) -> Record:
        """One GET."""
        return _record(await self._cluster.get(LEASES, self._namespace, self._name))

    async def write(self, record: Record, now: datetime) -> Record:
        """One PUT, or POST the first time."""
        time = now.astimezone(UTC).strftime(_TIME)
        spec: dict[str, Any] = {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": max(1, record.duration),
            "leaseTransitions": record.transitions,
            "renewTime": time,
        }
        metadata = {"namespace": self._namespace, "name": self._name}
        body = {"apiVersion": LEASES.api_version, "kind": LEASES.name, "metadata": metadata, "spec": spec}
        if not record.version:
            return _record(await self._cluster.create(body))
        return _record(await self._cluster.replace({**body, "metadata": {**metadata, "resourceVersion": record.version}}))


def _record(body: dict[str, Any] | None) -> Record:
    if body is None:
        return Record()
    spec = body.get("spec") or {}
    return Record(
        holder=spec.get("holderIdentity") or "",
        duration=spec.get("leaseDurationSeconds") or 0,
        transitions=spec.get("leaseTransitions") or 0,
        version=body["metadata"]["resourceVersion"],
    )


def taken(record: Record, holder: str, duration: int) -> Record:
    """The record of a new holder, or the same one's next renewal."""
    return replace(record, holder=holder, duration=duration, transitions=record.transitions + (holder != record.holder))
