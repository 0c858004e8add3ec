"""The answers of preflights and the fates of model pods, as a kubelet would report them."""

import hashlib
from datetime import datetime
from typing import Any

from tests.crashes.scenarios import CRASHING, UNSOUND
from volary.adapters.cluster import Body
from volary.common.outcome import Outcome
from volary.common.reasons import Reason


def answered(version: str, now: datetime) -> Body:
    """Status of a preflight's pod that has ended."""
    if version == UNSOUND:
        outcome = Outcome(reason=Reason.DIGEST_MISMATCH, message="model.onnx is not what was packed")
    else:
        digest = "sha256:" + hashlib.sha256(version.encode()).hexdigest()
        outcome = Outcome(reason=Reason.PREFLIGHT_PASSED, digest=digest, version=version, format="onnx", size=4096)
    ended = {"exitCode": int(version == UNSOUND), "message": outcome.dump(), "finishedAt": _time(now), "startedAt": _time(now)}
    container = {"name": "preflight", "state": {"terminated": ended}, **_CONTAINER}
    return {"phase": "Failed" if version == UNSOUND else "Succeeded", "containerStatuses": [container]}


def running(version: str, ip: str) -> Body:
    """Status of a model pod once it has started: ready, or in a crash loop."""
    if version == CRASHING:
        waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
        last = {"terminated": {"exitCode": 1, "reason": "Error"}}
        server = {"name": "server", "state": {"waiting": waiting}, "lastState": last, **_CONTAINER, "restartCount": 3}
        return {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [_ready("False")], "containerStatuses": [server]}
    return {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [_ready("True")]}


def version_of(pod: Body) -> str:
    """Which version a pod of ours was made for; the arguments of its agent tell."""
    for container in (*pod["spec"].get("initContainers", ()), *pod["spec"].get("containers", ())):
        arguments = container.get("args", ())
        if "--version" in arguments:
            return str(arguments[arguments.index("--version") + 1])
    raise AssertionError(f"no version in {pod['metadata']['name']}")


_CONTAINER: dict[str, Any] = {"ready": False, "restartCount": 0, "image": "", "imageID": ""}


def _ready(value: str) -> Body:
    return {"type": "Ready", "status": value}


def _time(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
