"""Pods, Jobs and Deployments as the API server shows them, with the words that kubelet and scheduler really use."""

from typing import Any

from volary.common.outcome import Outcome
from volary.runtimes.runtime import Body

BEGAN = "2026-03-01T11:58:00Z"
ENDED = "2026-03-01T11:59:30Z"
REVISION = "1a2b3c4d5e"


def running(name: str, *, ready: bool = False, started: bool = True, restarts: int = 0, last: Body | None = None) -> Body:
    return _status(name, {"running": {"startedAt": BEGAN}}, ready=ready, started=started, restarts=restarts, last=last)


def waiting(name: str, reason: str, message: str = "", *, restarts: int = 0, last: Body | None = None) -> Body:
    return _status(name, {"waiting": {"reason": reason} | ({"message": message} if message else {})}, restarts=restarts, last=last)


def stopped(name: str, end: Body, *, restarts: int = 0) -> Body:
    return _status(name, {"terminated": end}, restarts=restarts)


def _status(name: str, state: Body, *, ready: bool = False, started: bool = False, restarts: int = 0, last: Body | None = None) -> Body:
    return {
        "name": name,
        "image": f"registry.example/{name}:1",
        "imageID": "",
        "ready": ready,
        "started": started,
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }


def end(code: int, message: str | Outcome = "", *, reason: str = "Error") -> Body:
    text = message.dump() if isinstance(message, Outcome) else message
    return {
        "exitCode": code,
        "reason": reason,
        "startedAt": BEGAN,
        "finishedAt": ENDED,
        "containerID": "containerd://5f",
    } | ({"message": text} if text else {})


OOM = end(137, reason="OOMKilled")


def pod(
    *,
    agent: Body | None = None,
    server: Body | None = None,
    ready: bool = False,
    name: str = "fraud-1a2b3c4d5e-6b9f-x2x7k",
    revision: str = REVISION,
    terminating: bool = False,
    created: str = BEGAN,
    conditions: tuple[Body, ...] = (),
    **status: Any,
) -> Body:
    """A model pod; a status of None is one that kubelet has not written yet."""
    metadata = {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-of-{name}",
        "creationTimestamp": created,
        "labels": {"serving.volary.dev/model": "fraud", "serving.volary.dev/revision": revision},
    }
    return {
        "metadata": metadata | ({"deletionTimestamp": ENDED} if terminating else {}),
        "spec": {
            "initContainers": [{"name": "agent", "image": "volary-agent:0.1.0", "resources": {"limits": {"memory": "256Mi"}}}],
            "containers": [{"name": "server", "image": "volary-server:0.1.0", "resources": {"limits": {"memory": "1Gi"}}}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.1.2.3",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}, *conditions],
            "initContainerStatuses": [agent] if agent else [],
            "containerStatuses": [server] if server else [],
        }
        | status,
    }


def deployment(replicas: int, *conditions: Body) -> Body:
    return {
        "metadata": {"name": f"fraud-{REVISION}", "labels": {"serving.volary.dev/revision": REVISION}},
        "spec": {"replicas": replicas},
        "status": {"conditions": [{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}, *conditions]},
    }


def job(*conditions: Body) -> Body:
    return {"metadata": {"name": "fraud-preflight-aaaaaaaaaa"}, "status": {"conditions": list(conditions)}}


COMPLETE = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-03-01T11:59:31Z", "reason": "CompletionsReached"}
FAILED = {
    "type": "Failed",
    "status": "True",
    "lastTransitionTime": "2026-03-01T11:59:31Z",
    "reason": "BackoffLimitExceeded",
    "message": "Job has reached the specified backoff limit",
}
TOO_LATE = FAILED | {"reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}


def preflight(container: Body | None, *, created: str = BEGAN, **status: Any) -> Body:
    """A pod of a preflight Job."""
    return {
        "metadata": {"name": f"fraud-preflight-{created}", "uid": created, "creationTimestamp": created, "labels": {}},
        "spec": {"containers": [{"name": "preflight", "image": "volary-agent:0.1.0", "resources": {"limits": {"memory": "256Mi"}}}]},
        "status": {"phase": "Running", "conditions": [], "containerStatuses": [container] if container else []} | status,
    }
