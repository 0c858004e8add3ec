"""What is wrong with the containers of a pod, by their statuses."""

import re
from collections.abc import Iterator

from volary.common.names import AGENT_CONTAINER
from volary.common.outcome import Outcome, parse
from volary.common.reasons import REASONS, Kind, Reason
from volary.planning.excerpts import harmless, line
from volary.planning.model import Problem
from volary.runtimes.runtime import Body

_IMAGE = {
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
}
_CONFIG = "CreateContainerConfigError"
_REFUSED = {"CreateContainerError", "RunContainerError"}
_LACKING = re.compile(r"secret \"?[^\"\s]+\"? not found|couldn't find key", re.IGNORECASE)  # other config errors pass by themselves
_RESTARTS = 2  # the first crash may be chance, as when the node is short of memory
_CONCLUSIVE = {Kind.TRANSIENT, Kind.USER, Kind.VERDICT}


def problems(body: Body) -> list[Problem]:
    """One for each container that has one; the server's first."""
    return [problem for status in _statuses(body) if (problem := _problem(status, body)) is not None]


def terminated(body: Body, container: str) -> Body | None:
    """How a container ended, where it has and was not started again."""
    return next((_state(status, "terminated") for status in _statuses(body) if status.get("name") == container), None)


def restarts(body: Body, container: str) -> int:
    """How often a container was started again."""
    return next((int(status.get("restartCount") or 0) for status in _statuses(body) if status.get("name") == container), 0)


def ending(container: str, end: Body, body: Body) -> str:
    """`container server ended with exit code 1: no such file`."""
    if end.get("reason") == "OOMKilled":
        limit = _limit(body, container)
        return f"container {container} needed more memory than its limit{f' of {limit}' if limit else ''}"
    said = line(end.get("message") or "")
    signal = f" (signal {end['signal']})" if end.get("signal") else ""
    return f"container {container} ended with exit code {end.get('exitCode', '?')}{signal}{f': {said}' if said else ''}"


def _statuses(body: Body) -> Iterator[Body]:
    status = body.get("status", {})
    yield from status.get("containerStatuses") or ()
    yield from status.get("initContainerStatuses") or ()


def _state(status: Body, kind: str, which: str = "state") -> Body | None:
    state: Body | None = (status.get(which) or {}).get(kind)
    return state


def _problem(status: Body, body: Body) -> Problem | None:
    """How it ended last says more than that it waits to be started again."""
    waiting = _state(status, "waiting") or {}
    end = _state(status, "terminated") or _state(status, "terminated", "lastState")
    return _blocked(status, waiting, body) or (_ended(status, end, waiting, body) if end else None)


def _blocked(status: Body, waiting: Body, body: Body) -> Problem | None:
    """It cannot be started: no image, no Secret, refused by the node."""
    name, reason, message = status.get("name", ""), waiting.get("reason", ""), waiting.get("message") or ""
    if reason in _IMAGE:
        image = _spec(body, name).get("image") or status.get("image") or "?"
        return Problem(reason=Reason.IMAGE_PULL_FAILED, message=harmless(f"image {image} of container {name}: {message or reason}"))
    text = harmless(f"container {name}: {message or reason}")
    if reason == _CONFIG:
        return Problem(reason=Reason.SECRET_NOT_FOUND if _LACKING.search(message) else Reason.POD_REFUSED, message=text)
    if reason in _REFUSED and _state(status, "terminated", "lastState") is None:
        return Problem(reason=Reason.POD_REFUSED, message=text)
    return None


def _ended(status: Body, end: Body, waiting: Body, body: Body) -> Problem | None:
    name = status.get("name", "")
    if end.get("reason") == "OOMKilled":
        return Problem(reason=Reason.OUT_OF_MEMORY, message=ending(name, end, body))
    outcome = _outcome(end)
    if outcome is not None:
        return None if _overcome(status, outcome) else Problem(reason=outcome.reason, message=harmless(outcome.message))
    again = waiting.get("reason") == "CrashLoopBackOff"
    if again or (status.get("restartCount", 0) >= _RESTARTS and end.get("exitCode", 0) != 0):
        return Problem(reason=Reason.CRASHED, message=ending(name, end, body))
    return None


def _outcome(end: Body) -> Outcome | None:
    """The container's own words. A log line that happens to carry a reason of progress is none."""
    outcome = parse(end.get("message") or "")
    return outcome if outcome is not None and REASONS[outcome.reason].kind in _CONCLUSIVE else None


def _overcome(status: Body, outcome: Outcome) -> bool:
    """The agent was started again and has the bundle now: what kept it from the storage is over."""
    running = _state(status, "running") is not None and status.get("started") is True
    return running and status.get("name") == AGENT_CONTAINER and REASONS[outcome.reason].kind is Kind.TRANSIENT


def _spec(body: Body, name: str) -> Body:
    spec = body.get("spec", {})
    every = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return next((container for container in every if container.get("name") == name), {})


def _limit(body: Body, name: str) -> str | None:
    limits: Body = (_spec(body, name).get("resources") or {}).get("limits") or {}
    return limits.get("memory")
