"""What happens to one ModelDeployment, remembered: rows of versions, moves of its Service, Events.

A thread of its own looks five times a second, so that neither the story nor the view misses a short moment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from tests.support import wait
from tests.support.kubectl import Body, Kubectl, condition
from volary.common.names import REVISION_LABEL

if TYPE_CHECKING:
    from types import TracebackType

LOOK = 0.2  # seconds
ENOUGH_EVENTS = 200


@dataclass(frozen=True)
class Row:
    """A version as it was seen last; `most_*` are the largest values ever seen."""

    version: str
    revision: str = ""
    role: str = ""  # stable, canary, previous, checking, refused, rolled back
    weight: int = 0
    reached: int = 0
    ready: int = 0
    replicas: int = 0
    requests: int = 0
    errors: int = 0
    verdict: str = ""
    most_ready: int = 0
    most_reached: int = 0
    weights: tuple[int, ...] = ()  # wanted, in the order they were seen with ready pods behind them


@dataclass(frozen=True)
class Happening:
    """An Event of the ModelDeployment."""

    at: str
    warning: bool
    reason: str
    message: str


@dataclass
class Watch:
    """Starts to look when entered."""

    kubectl: Kubectl
    namespace: str
    name: str
    rows: dict[str, Row] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    body: Body | None = None
    service: Body | None = None
    moves: list[tuple[float, str]] = field(default_factory=list)  # when the Service pointed where: a revision, or "" = shared
    trouble: str = ""

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._looking = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._listeners: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(15)

    @property
    def status(self) -> Body:
        """The status, empty at first."""
        return dict((self.body or {}).get("status") or {})

    @property
    def phase(self) -> str:
        """Of a status that speaks of the spec as it is now; else empty."""
        body = self.body
        if body is None or self.status.get("observedGeneration") != body["metadata"]["generation"]:
            return ""
        return str(self.status.get("phase", ""))

    def history(self, version: str) -> Body:
        """The newest history entry of a version; empty where there is none."""
        return next((entry for entry in self.status.get("history", ()) if entry["version"] == version), {})

    def look(self) -> None:
        """Once, so that what is seen is not older than this call. Rows and Events are there before the status they belong to."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        body = self.kubectl.get("ModelDeployment", self.namespace, self.name)
        self.service = self.kubectl.get("Service", self.namespace, self.name)
        self._note_service()
        self._note_events()
        if body is not None:
            self.rows = _Rows(self.rows).after(body)
        self.body = body

    def until(self, what: str, holds: Callable[[], Any], within: float) -> None:
        """Wait for something of this model; the failure tells what its status said last."""
        wait.until(what, holds, within, poll=LOOK / 2, seen=self.sentence)

    def sentence(self) -> str:
        """The status in one line."""
        said = condition(self.body, "Ready")
        return f"phase {self.phase or '(of an older spec)'}, {said.get('reason', 'no condition')}: {said.get('message', '')} {self.trouble}"

    def _run(self) -> None:
        while not self._stop.wait(LOOK):
            try:
                self.look()
                self.trouble = ""
            except Exception as error:  # noqa: BLE001 -- an API server that restarts is no reason to stop looking
                self.trouble = f"{type(error).__name__}: {error}"

    def _note_service(self) -> None:
        if self.service is None:
            return
        where = self.service["spec"].get("selector", {}).get(REVISION_LABEL, "")
        if not self.moves or self.moves[-1][1] != where:
            self.moves.append((time.time(), where))

    def _note_events(self) -> None:
        found = self.kubectl.list("Event", self.namespace)
        about = [e for e in found if e["involvedObject"]["kind"] == "ModelDeployment" and e["involvedObject"]["name"] == self.name]
        about.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))  # as they were posted: times have whole seconds
        self.happenings = [
            Happening(_time(event)[11:19], event.get("type") == "Warning", event.get("reason", ""), event.get("message", ""))
            for event in about[-ENOUGH_EVENTS:]
        ]


class _Rows:
    """The next rows from the last ones and a status: built aside, shown whole."""

    def __init__(self, before: dict[str, Row]) -> None:
        self._rows = dict(before)

    def after(self, body: Body) -> dict[str, Row]:
        status = body.get("status") or {}
        for version, row in list(self._rows.items()):
            self._rows[version] = _faded(row)
        for entry in reversed(status.get("history", ())):
            self._change(entry["version"], revision=entry["revision"], **_fate(entry))
        evidence = (status.get("rollout") or {}).get("evidence", {})
        for role in ("stable", "canary"):
            if used := status.get(role):
                self._use(role, used, evidence)
        if status.get("observedGeneration") == body["metadata"]["generation"]:
            self._want(body, status)
        return self._rows

    def _use(self, role: str, used: Body, evidence: Body) -> None:
        seen = {"weight": used.get("weight", 0), "reached": used.get("weightReached", 0)}
        pods = {"ready": used.get("ready", 0), "replicas": used.get("replicas", 0)}
        self._change(used["version"], role=role, revision=used["revision"], **seen, **pods)
        row = self._rows[used["version"]]
        if role == "canary":
            self._change(
                row.version,
                requests=evidence.get("canaryRequests", 0),
                errors=evidence.get("canaryErrors", 0),
                verdict=evidence.get("verdict", "") if evidence.get("canaryRequests") else "",
                weights=row.weights if not row.reached or row.weight in row.weights else (*row.weights, row.weight),
            )
        elif row.verdict in {"", "Inconclusive", "Pass"}:
            self._change(row.version, verdict="Serving")

    def _want(self, body: Body, status: Body) -> None:
        """A version that has no revision yet, or never gets one."""
        version = body["spec"]["model"]["version"]
        if status.get("phase") == "Refused":
            self._change(version, role="refused", verdict=condition(body, "Stalled").get("reason", ""))
        elif status.get("phase") == "Checking":
            self._change(version, role="checking", verdict="")

    def _change(self, version: str, **values: Any) -> None:
        row = replace(self._rows.get(version, Row(version)), **values)
        self._rows[version] = replace(row, most_ready=max(row.most_ready, row.ready), most_reached=max(row.most_reached, row.reached))


def _faded(row: Row) -> Row:
    """What is not named by the status has nothing any more."""
    role = "previous" if row.role == "stable" else row.role
    return replace(row, role=role, weight=0, reached=0, ready=0, replicas=0)


def _fate(entry: Body) -> dict[str, str]:
    """Role and verdict of a kept revision, for want of something newer."""
    if entry.get("failed"):
        return {"role": "rolled back", "verdict": str(entry["failed"])}
    return {"role": "previous", "verdict": ""} if entry.get("promoted") else {}


def _time(event: Body) -> str:
    return str(event.get("eventTime") or event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])
