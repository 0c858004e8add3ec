"""`python -m tests.support.receiver HOST PORT FILE`: writes each POST as a line of JSON; the first to /twice/... is refused with 503."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster.settings import NODE_IP
from tests.support import beside

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 9191
URL = f"http://{NODE_IP}:{PORT}"  # where the pods of the test cluster reach it


@dataclass(frozen=True)
class Received:
    """What came so far."""

    file: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def at(self, path: str) -> list[dict[str, Any]]:
        """Accepted requests."""
        return [line for line in self.lines if line["path"] == path and line["status"] == 204]


@contextmanager
def receiving(folder: Path) -> Iterator[Received]:
    """One in the network of the test cluster's node."""
    received = Received(folder / "received.jsonl")
    received.file.touch()
    with beside.running("tests.support.receiver", NODE_IP, str(PORT), str(received.file)):
        yield received


def _serve(host: str, port: int, file: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        refused = False

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = 204
            if self.path.startswith("/twice") and not Handler.refused:
                Handler.refused, status = True, 503
            self.send_response(status)
            self.end_headers()
            with file.open("a") as stream:
                line = {"path": self.path, "status": status, "headers": dict(self.headers), "body": body}
                stream.write(json.dumps(line) + "\n")

        def log_message(self, *_: Any) -> None:
            """Nothing: the file has it all."""

    server = HTTPServer((host, port), Handler)
    sys.stdout.write("listens\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
