"""`spec.rollout.minReadySeconds`: a pod of a new revision counts once it has been ready for so long."""

from dataclasses import replace
from datetime import datetime, timedelta

from volary.planning.model import Observed, Pod


def seasoned(observed: Observed, revision: str, least: timedelta, now: datetime) -> tuple[Observed, datetime | None]:
    """The world in which younger pods of the revision are not ready yet, and when the next of them is old enough."""
    workload = observed.workload(revision)
    if workload is None or not least:
        return observed, None
    due = {pod.uid: pod.ready_since + least for pod in workload.pods if pod.ready and pod.ready_since is not None}
    young = {uid for uid, time in due.items() if time > now}

    def seen(pod: Pod) -> Pod:
        return replace(pod, ready=False) if pod.uid in young else pod

    changed = replace(workload, pods=tuple(seen(pod) for pod in workload.pods))
    others = tuple(changed if one.revision == revision else one for one in observed.workloads)
    return replace(observed, workloads=others), min((due[uid] for uid in young), default=None)
