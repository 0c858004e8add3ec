"""Run a helper program to its end: nothing of it survives an interrupt, its output is in the error."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

TAIL = 25  # lines of output worth showing
GRACE = 5.0  # seconds between TERM and KILL


def run(
    arguments: Sequence[str | Path],
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    stdin: str | None = None,
    deadline: float = 900,
) -> str:
    """Return stdout; `on_line` sees each line of stderr as it comes. Raises ClusterError with the last lines."""
    words = [str(argument) for argument in arguments]
    try:
        process = subprocess.Popen(
            words,
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that its own children end with it
        )
    except FileNotFoundError as error:
        message = f"{words[0]} is not installed: run `python -m tests.cluster up` as root, it installs what is missing"
        raise ClusterError(message) from error
    with process:  # closes its streams
        try:
            stdout, stderr = _read(process, stdin, on_line, deadline)
        except BaseException:
            _end_group(process)
            raise
    if process.returncode:
        tail = "\n".join((stderr + stdout.splitlines())[-TAIL:])
        message = f"`{' '.join(words)[:300]}` ended with status {process.returncode}:\n{tail}"
        raise ClusterError(message)
    return stdout


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and TERM back until the block is done; programs started in it do not see them either."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read(
    process: subprocess.Popen[str], stdin: str | None, on_line: Callable[[str], None] | None, deadline: float
) -> tuple[str, list[str]]:
    """Collect both streams; stderr line by line in a thread of its own."""
    lines: list[str] = []

    def follow() -> None:
        for line in process.stderr or ():
            lines.append(line.rstrip())
            if on_line:
                on_line(lines[-1])

    # communicate() would swallow stderr whole, so the thread takes it and stdout is read here.
    follower = threading.Thread(target=follow, daemon=True)
    timer = threading.Timer(deadline, _end_group, [process])
    follower.start()
    timer.start()
    try:
        if process.stdin and stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        stdout = process.stdout.read() if process.stdout else ""
        process.wait()
        follower.join(timeout=1)
    finally:
        timer.cancel()
    return stdout, lines


def _end_group(process: subprocess.Popen[str]) -> None:
    """End the program and all it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=GRACE)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
