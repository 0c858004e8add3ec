"""A server as the kubelet runs it: a process, signals, a port, a termination log."""

import contextlib
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

_PROGRAM = """
import argparse, sys
from volary.cli import serve
parser = argparse.ArgumentParser()
serve.configure(parser)
sys.exit(serve.run(parser.parse_args()))
"""
_DEADLINE = 20  # seconds for anything to happen, on the slowest machine


@dataclass(frozen=True, slots=True)
class Server:
    """Listens on a free port of 127.0.0.1 and serves as `fraud`."""

    process: subprocess.Popen[str]
    port: int
    termination_log: Path

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body, JSON where it is; on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_DEADLINE)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if answer.headers["content-type"] == "application/json" else data.decode()

    def wait_for(self, path: str, status: int, text: str = "") -> None:
        """Until the path answers so."""
        until(lambda: (found := self.request("GET", path))[0] == status and text in str(found[1]))


@contextlib.contextmanager
def running(bundle: Path, *options: str) -> Iterator[Server]:
    """A server whose port is open; its model may still be loading. Killed at the end if it still runs."""
    termination_log = bundle / "termination-log"
    termination_log.touch()
    command = [sys.executable, "-c", _PROGRAM, "--bundle", str(bundle), "--model", "fraud", "--listen", "127.0.0.1:0"]
    command += ["--termination-log", str(termination_log), "--threads", "1", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            yield Server(process, _port(process.stderr), termination_log)
        finally:
            process.kill()


def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; fail after a deadline."""
    end = monotonic() + _DEADLINE
    while not condition():
        assert monotonic() < end, "it did not happen in time"
        sleep(0.01)


def _port(log: IO[str]) -> int:
    """0 where the server ended before it listened."""
    for line in log:
        if found := re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)", json.loads(line)["message"]):
            return int(found[1])
    return 0
