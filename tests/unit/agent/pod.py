"""What runs in a pod whose versions change in place: the server's process and the agent's, and a file that tells both."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.support import s3
from tests.unit.agent import versions
from tests.unit.serving.process import Server, running_split, until
from volary import packaging
from volary.bundle import manifest as manifests
from volary.bundle.split import Share


@dataclass
class Pod:
    """Both processes, and where their file is. `generation` is the last one written."""

    server: Server
    port: int  # of the agent
    file: Path
    log: list[dict[str, Any]]  # of the agent, as it grows
    generation: int = 0

    def write(self, *shares: Share) -> int:
        """Write the next generation; its number."""
        self.generation += 1
        versions.write(self.file, self.generation, *shares)
        return self.generation

    def said(self) -> dict[str, Any]:
        """What the agent says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", "/revisions")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
            return found

    def apply(self, *shares: Share) -> None:
        """Write, and wait until it is in effect."""
        generation = self.write(*shares)
        until(lambda: self.said()["generation"] == generation)

    def fetched(self, revision: str) -> dict[str, Any]:
        """The agent's log line of the last fetch: bytes downloaded and reused."""
        return next(line for line in reversed(self.log) if line["message"] == "fetched" and line["revision"] == revision)


@contextlib.contextmanager
def running(directory: Path, storage: s3.S3) -> Iterator[Pod]:
    """Until the block ends."""
    directory.mkdir(exist_ok=True)
    file, models = directory / "revisions.json", directory / "models"
    models.mkdir()
    with running_split(directory) as server:
        command = [sys.executable, "-m", "volary", "agent", "--split", "--revisions", str(file), "--directory", str(models)]
        command += ["--model", "fraud", "--server", f"http://127.0.0.1:{server.port}", "--listen", "127.0.0.1:0"]
        command += ["--control", f"http://127.0.0.1:{server.control_port}", "--termination-log", str(directory / "agent-log")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | storage.environment()) as process:
            assert process.stderr is not None
            log: list[dict[str, Any]] = []
            reader = threading.Thread(target=_follow, args=(process.stderr, log), daemon=True)
            reader.start()
            try:
                until(lambda: _port(process.pid) > 0 or process.poll() is not None)
                yield Pod(server, _port(process.pid), file, log)
            finally:
                process.kill()
                process.wait()
                reader.join()


def push(directory: Path, factor: float, version: str, storage: s3.S3, uri: str, *, padding: int = 0, head: int = 0) -> tuple[str, int]:
    """Digest and bytes of all files. Credentials come from the environment."""
    made = versions.make(directory, factor, version, padding=padding, head=head)
    packaging.push(directory, uri, endpoint=storage.endpoint)
    return manifests.digest(manifests.dump(made)), made.size


def _follow(stream: IO[str], log: list[dict[str, Any]]) -> None:
    log.extend(json.loads(line) for line in stream if line.startswith("{"))


def _port(pid: int) -> int:
    """Where a process listens; 0 where it does not yet."""
    try:
        mine = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return 0
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in mine:
            return int(words[1].rpartition(":")[2], 16)
    return 0
