"""A model server in this process: y = factor * x over the Open Inference Protocol, told how to misbehave."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override


class FakeServer(ThreadingHTTPServer):
    """Serves `digits` 1.0.0 once `ready` is set."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        self.ready = True
        self.factor = 2.0
        self.version = "1.0.0"
        self.status = 200
        self.body: bytes | None = None  # instead of the right answer
        self.hold: Callable[[], None] = lambda: None  # called before an inference is answered
        self.inferences = 0
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", port), _handler(self))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error."""

    def infer(self, request: dict[str, Any]) -> tuple[int, bytes]:
        self.inferences += 1
        self.hold()
        x = request["inputs"][0]
        y = x | {"name": "y", "data": [self.factor * value for value in x["data"]]}
        answer = {"model_name": "digits", "model_version": self.version, "outputs": [y]}
        return self.status, self.body if self.body is not None else json.dumps(answer).encode()


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.paths.append(self.path)
            served = self.path == f"/v2/models/digits/versions/{server.version}/ready"
            self._send(404 if not served else 200 if server.ready else 503, b"{}")

        def do_POST(self) -> None:
            server.paths.append(self.path)
            self._send(*server.infer(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextmanager
def running(port: int = 0) -> Iterator[FakeServer]:
    """Until the block ends; then all connections are cut, as when the process dies."""
    server = FakeServer(port)
    connections: list[Any] = []
    accept = server.get_request

    def remember() -> Any:
        found = accept()
        connections.append(found[0])
        return found

    server.get_request = remember  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        for connection in connections:
            _cut(connection)
        thread.join()


def _cut(connection: Any) -> None:
    try:
        connection.shutdown(2)
    except OSError:
        pass
    finally:
        connection.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)
