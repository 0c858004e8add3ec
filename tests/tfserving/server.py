"""The program: flags, files, loading, then the ports; REST as util/http_rest_api_util.cc has it."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import config, flags
from .counters import Counters
from .manager import LabelError, Manager, NotFoundError
from .twin import LoadError, RequestError

if TYPE_CHECKING:
    from .flags import Flags

CODES = {"OK": 200, "NOT_FOUND": 404, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "INTERNAL": 500}
_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<number>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_ASKS = re.compile(rf"{_MODEL}(?P<metadata>/metadata)?")
_PREDICTS = re.compile(rf"{_MODEL}:(?P<method>predict|classify|regress)")
_LOOK = 0.05  # seconds between two rounds of the manager, where the flags do not say less often


def main(arguments: list[str]) -> int:
    """Serve until a signal ends the process; 255 where it cannot start."""
    try:
        given = flags.parse(arguments)
        manager = Manager(given)
        manager.configure(_models(given))
        metrics = config.monitoring(Path(given.monitoring_config_file).read_text("utf-8")) if given.monitoring_config_file else None
        _load(manager, given)
    except (flags.FlagError, config.ConfigError, LabelError, LoadError, OSError) as error:
        sys.stderr.write(f"Failed to start server. Error: {error}\n")
        return 255
    threading.Thread(target=_follow, args=(manager, given), daemon=True).start()
    grpc = socket.create_server(("0.0.0.0", given.port)) if given.port else None
    if given.rest_api_port:
        _serve(given, manager, metrics)
    threading.Event().wait()
    return 0 if grpc is None else 1


def _models(given: Flags) -> list[config.Model]:
    """The file wins over name and base path."""
    if given.model_config_file:
        return config.models(Path(given.model_config_file).read_text("utf-8"))
    return [config.Model(given.model_name, given.model_base_path)]


def _load(manager: Manager, given: Flags) -> None:
    """Until every model is available; for ever where there is no version."""
    manager.look()
    while not manager.started:
        time.sleep(max(_LOOK, given.file_system_poll_wait_seconds))
        manager.look()


def _follow(manager: Manager, given: Flags) -> None:
    """File system and configuration file, as often as the flags say. A file that is refused changes nothing."""
    since, before = time.monotonic(), ""
    while True:
        time.sleep(max(_LOOK, given.file_system_poll_wait_seconds))
        every = given.model_config_file_poll_wait_seconds
        if every and time.monotonic() - since >= every:
            since = time.monotonic()
            before = _reread(manager, given, before)
        manager.look()


def _reread(manager: Manager, given: Flags, before: str) -> str:
    try:
        manager.configure(_models(given))
    except (config.ConfigError, LabelError, OSError) as error:
        if str(error) != before:
            sys.stderr.write(f"PollFilesystemAndReloadConfig failed to reload: {error}\n")
        return str(error)
    return ""


@dataclass
class _Said:
    status: str
    body: dict[str, Any]


class _Handler(BaseHTTPRequestHandler):
    """`manager`, `counters` and `metrics` (path or None) are set on a class of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one segment
    manager: Manager
    counters: Counters
    metrics: str | None

    def do_GET(self) -> None:
        """State, signature, metrics."""
        if self.path == self.metrics:
            self._send(200, self.counters.page().encode(), "text/plain")
            return
        match = _ASKS.fullmatch(self.path)
        self._answer(self._told(match) if match else self._malformed())

    def do_POST(self) -> None:
        """Predictions."""
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        match = _PREDICTS.fullmatch(self.path)
        if match is None:
            self._answer(self._malformed())
            return
        began = time.monotonic()
        said = self._predicted(match, data)
        self.counters.add(match["name"], said.status, (time.monotonic() - began) * 1e6)
        self._answer(said)

    def _told(self, match: re.Match[str]) -> _Said:
        name, number, label = _asked(match)
        try:
            if match["metadata"]:
                signature = self.manager.find(name, number, label).signature()
                spec = {"name": name, "signature_name": "", "version": str(self.manager.resolved(name, number, label))}
                return _Said("OK", {"model_spec": spec, "metadata": {"signature_def": {"signature_def": signature}}})
            found = self.manager.states(name, number, label)
        except NotFoundError as error:
            return _Said("NOT_FOUND", {"error": str(error)})
        states = [
            {
                "version": str(each.number),
                "state": each.state,
                "status": {"error_code": "UNKNOWN" if each.error else "OK", "error_message": each.error},
            }
            for each in found
        ]
        return _Said("OK", {"model_version_status": states})

    def _predicted(self, match: re.Match[str], data: bytes) -> _Said:
        try:
            body = _body(data)
            twin = self.manager.find(*_asked(match))
            if "instances" in body:
                return _Said("OK", {"predictions": twin.rows(body["instances"])})
            return _Said("OK", {"outputs": twin.only(twin.columns(body["inputs"]))})
        except NotFoundError as error:
            return _Said("NOT_FOUND", {"error": str(error)})
        except RequestError as error:
            return _Said("INVALID_ARGUMENT", {"error": str(error)})
        except ValueError as error:
            return _Said("INVALID_ARGUMENT", {"error": f"JSON Parse error: {error}"})
        except Exception as error:  # noqa: BLE001 -- whatever the twin's graph fails with
            return _Said("INTERNAL", {"error": f"the graph failed: {str(error)[:200]}"})

    def _malformed(self) -> _Said:
        status = "INVALID_ARGUMENT" if self.path.startswith("/v1/") else "NOT_FOUND"
        return _Said(status, {"error": f"Malformed request: {self.command} {self.path}"})

    def _answer(self, said: _Said) -> None:
        self._send(CODES[said.status], json.dumps(said.body).encode(), "application/json")

    def _send(self, code: int, body: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class names it
        """Nothing: the program logs no request."""


def _body(data: bytes) -> dict[str, Any]:
    """Raises RequestError, or ValueError for what is no JSON."""
    body = json.loads(data)
    if not isinstance(body, dict) or ("inputs" in body) == ("instances" in body):
        raise RequestError("JSON Value must have exactly one of 'inputs' or 'instances'")
    if (name := body.get("signature_name", "serving_default")) != "serving_default":
        raise RequestError(f"Serving signature name: {name!r} not found in signature def")
    return body


def _asked(match: re.Match[str]) -> tuple[str, int | None, str | None]:
    return match["name"], int(match["number"]) if match["number"] else None, match["label"]


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


def _serve(given: Flags, manager: Manager, metrics: str | None) -> None:
    handler = type("Handler", (_Handler,), {"manager": manager, "counters": Counters(), "metrics": metrics})
    server = _Server(("0.0.0.0", given.rest_api_port), handler)
    sys.stderr.write(f"[evhttp_server.cc] Exporting HTTP/REST API at:localhost:{given.rest_api_port} ...\n")
    server.serve_forever()
