"""A server as the kubelet runs it: a process, signals, a port, a termination log."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
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
    control_port: int = 0  # with --split
    grpc_port: int = 0

    def request(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, *, port: int = 0
    ) -> tuple[int, Any]:
        """Status and body, JSON where it is; on a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=_DEADLINE)
        with contextlib.closing(connection):
            connection.request(method, path, body if isinstance(body, bytes) else None if body is None else json.dumps(body), headers or {})
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data) if answer.headers["content-type"] == "application/json" else data.decode()

    def wait_for(self, path: str, status: int, text: str = "") -> None:
        """Until the path answers so."""
        until(lambda: (found := self.request("GET", path))[0] == status and text in str(found[1]))

    def control(self, method: str, body: object = None) -> tuple[int, Any]:
        """Of the control port."""
        return self.request(method, "/v2/volary/split", body, port=self.control_port)

    @property
    def resident(self) -> int:
        """Bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def running(bundle: Path, *options: str) -> contextlib.AbstractContextManager[Server]:
    """A server whose port is open; its model may still be loading. Killed at the end if it still runs."""
    return _running(bundle, "--bundle", str(bundle), *options)


def running_split(
    directory: Path, *options: str, port: int = 0, control: int = 0, before: str = ""
) -> contextlib.AbstractContextManager[Server]:
    """A server that holds what its control port is told. `before`: code that its process runs first."""
    return _running(directory, "--split", "--control", f"127.0.0.1:{control}", *options, port=port, before=before)


@contextlib.contextmanager
def _running(directory: Path, *options: str, port: int = 0, before: str = "") -> Iterator[Server]:
    termination_log = directory / "termination-log"
    termination_log.touch()
    command = [sys.executable, "-c", before + _PROGRAM, "--model", "fraud", "--listen", f"127.0.0.1:{port}"]
    command += ["--grpc-listen", "127.0.0.1:0"]
    command += ["--termination-log", str(termination_log), "--threads", "1", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            ports = _ports(process.stderr)
            yield Server(process, ports.get("listening", 0), termination_log, ports.get("taking orders", 0), ports.get("gRPC", 0))
        finally:
            process.kill()


def until(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; fail after a deadline."""
    end = monotonic() + _DEADLINE
    while not condition():
        assert monotonic() < end, "it did not happen in time"
        sleep(0.01)


def _ports(log: IO[str]) -> dict[str, int]:
    """By what the server says it does there; the last is `listening`. Fewer where the server ended before it listened."""
    ports: dict[str, int] = {}
    for line in log:
        if found := re.fullmatch(r"(listening|taking orders|gRPC) on 127\.0\.0\.1:(\d+)", json.loads(line)["message"]):
            ports[found[1]] = int(found[2])
        if "listening" in ports:
            break
    return ports
