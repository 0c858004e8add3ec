"""What `up` did to this machine, written down as it happens, so that `down` can undo exactly that."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.cluster.errors import ClusterError
from tests.cluster.processes import Process
from tests.cluster.settings import LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.progress import Progress

LOCK_DEADLINE = 1800.0  # another `up` may be building Kubernetes on a slow machine
LOCK_POLL = 0.2


@dataclass(frozen=True)
class State:
    """The journal; `ready` is set once the cluster has been up."""

    processes: tuple[Process, ...] = ()
    created: tuple[str, ...] = ()
    kernel: dict[str, str] = field(default_factory=dict)
    ready: bool = False

    def process(self, name: str) -> Process | None:
        """The process of that component, alive or not."""
        return next((process for process in self.processes if process.name == name), None)

    def with_process(self, process: Process) -> State:
        """Add a process, or replace the one of that name."""
        others = tuple(p for p in self.processes if p.name != process.name)
        return replace(self, processes=(*others, process))

    def marked_ready(self) -> State:
        """The cluster has been up."""
        return replace(self, ready=True)


def load(directory: Path) -> State:
    """Read the journal; an absent or torn one is empty (processes are found by their marker too)."""
    try:
        raw: dict[str, Any] = json.loads((directory / "state.json").read_text())
        return State(
            processes=tuple(Process(**entry) for entry in raw["processes"]),
            created=tuple(raw["created"]),
            kernel=dict(raw["kernel"]),
            ready=bool(raw["ready"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return State()


def save(directory: Path, state: State) -> None:
    """Replace the journal in one go."""
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / "state.json.new"
    temporary.write_text(json.dumps(asdict(state), indent=1))
    temporary.replace(directory / "state.json")


@contextlib.contextmanager
def lock(progress: Progress) -> Iterator[None]:
    """One `up`, `down` or image import at a time on this machine; waits for its turn."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("a+") as file:
        limit = time.monotonic() + LOCK_DEADLINE
        waiting = False
        while not _try_lock(file.fileno()):
            if not waiting:
                progress.start("another command works on the cluster, waiting for it")
                waiting = True
            progress.note(f"held by process {LOCK.read_text().strip() or '?'}")
            if time.monotonic() > limit:
                message = f"{LOCK} is still held after {LOCK_DEADLINE:.0f} s: see `fuser {LOCK}`"
                raise ClusterError(message)
            time.sleep(LOCK_POLL)
        if waiting:
            progress.end()
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
