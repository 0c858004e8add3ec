"""The cluster's long-running programs: start them detached, know them again, end only them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.errors import ClusterError
from tests.cluster.settings import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

POLL = 0.03  # seconds between two looks at a condition
TAIL = 15  # lines of a log worth showing in an error
KILL_GRACE = 10.0  # seconds the kernel has to end a program
_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A program we started: the start time tells it from a later one with the same number."""

    name: str
    pid: int
    started: int  # clock ticks after boot, field 22 of /proc/PID/stat

    @property
    def alive(self) -> bool:
        """Still the same program, and not just waiting to be reaped."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return _start_time(self.pid) == self.started

    @property
    def memory(self) -> int:
        """Resident bytes, 0 when it has ended."""
        try:
            pages = (_PROC / str(self.pid) / "statm").read_text().split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGESIZE")


def start(name: str, arguments: Sequence[str | Path], *, log: Path, environment: Mapping[str, str], owner: Path) -> Process:
    """Start a program that outlives us, with its output in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            cwd="/",
            env={**os.environ, **environment, MARKER: str(owner)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Popen would warn about a child still running when it is collected; waitpid in `alive` reaps it instead.
    process.returncode = 0
    return Process(name, process.pid, _start_time(process.pid) or 0)


def wait_until(
    condition: Callable[[], bool],
    *,
    what: str,
    deadline: float,
    process: Process | None = None,
    log: Path | None = None,
    note: Callable[[str], None] | None = None,
) -> None:
    """Look until `condition` holds; give up when its process ends or the deadline passes, and show the log's end."""
    end = time.monotonic() + deadline
    while not condition():
        if process is not None and not process.alive:
            message = f"{process.name} ended before {what}.{_tail(log)}"
            raise ClusterError(message)
        if time.monotonic() > end:
            message = f"waited {deadline:.0f} s in vain until {what}.{_tail(log)}"
            raise ClusterError(message)
        if note:
            note(f"until {what}")
        time.sleep(POLL)


def kill(processes: Iterable[Process]) -> None:
    """End all of them at once and without farewell: what they would save goes with the state directory."""
    remaining = [process for process in processes if process.alive]
    for process in remaining:
        _signal(process, signal.SIGKILL)
    limit = time.monotonic() + KILL_GRACE
    while remaining := [process for process in remaining if process.alive]:
        if time.monotonic() > limit:
            names = ", ".join(f"{process.name} ({process.pid})" for process in remaining)
            raise ClusterError(f"the kernel does not end {names}: see `dmesg`")
        time.sleep(POLL)


def marked() -> list[tuple[Path, Process]]:
    """Find what carries our marker in its environment: components, recorded or not, and containerd's shims.

    Each with the state directory of the cluster it belongs to.
    """
    prefix = f"{MARKER}=".encode()
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            owners = [word for word in (entry / "environ").read_bytes().split(b"\0") if word.startswith(prefix)]
            if owners and (process := _identify(int(entry.name))):
                found.append((Path(os.fsdecode(owners[0].removeprefix(prefix))), process))
    return found


def in_groups(files: Iterable[Path]) -> list[Process]:
    """The programs listed in cgroup.procs files: what runs in pods."""
    numbers: set[int] = set()
    for file in files:
        with contextlib.suppress(OSError):
            numbers.update(int(word) for word in file.read_text().split())
    return [process for number in sorted(numbers - {0}) if (process := _identify(number))]


def _identify(pid: int) -> Process | None:
    started = _start_time(pid)
    try:
        name = (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return None
    return Process(name, pid, started) if started is not None else None


def _start_time(pid: int) -> int | None:
    """None when there is no such program or only its corpse."""
    try:
        # The name may hold spaces and brackets, so count from its end.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        # The first thread may be dead while others still hold the program's ports.
        threads = len(list((_PROC / str(pid) / "task").iterdir()))
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} and threads <= 1 else int(fields[19])


def _signal(process: Process, number: signal.Signals) -> None:
    """Signal by pidfd: between the check and the signal the number cannot pass to another program."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process.pid)
        try:
            if _start_time(process.pid) == process.started:
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _tail(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()[-TAIL:]
    return f" The end of {log.name}:\n" + "\n".join(lines)
