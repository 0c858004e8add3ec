"""`tensorflow_model_server` as a process: the stand-in, or the real one that TFSERVING_BINARY names."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnx import TensorProto, helper

from tests.tfserving.bundles import lay_out
from tests.unit.packaging.convert import wire
from volary.runtimes import tensorflow_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 30.0
MONITORING = tensorflow_files.MONITORING


def twin(factor: float = 2.0) -> bytes:
    """y = factor * x of [-1, 3]; `row`, an index into a table of two, fails beyond it."""
    sides = (
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
    )
    factors = [
        helper.make_tensor("table", TensorProto.FLOAT, [2], [factor, factor]),
        helper.make_tensor("zero", TensorProto.INT64, [2], [0, 0]),
    ]
    ends = [helper.make_tensor("end", TensorProto.INT64, [2], [1, 1])]
    nodes = [
        helper.make_node("Slice", ["x", "zero", "end"], ["first"]),
        helper.make_node("Cast", ["first"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["found"]),
        helper.make_node("Mul", ["x", "found"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "twin", *sides, factors + ends)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def add(base: Path, version: int | str, factor: float = 2.0) -> None:
    """A version, put there by one rename: what has an integer's name is loaded as soon as it is seen."""
    graph = wire.saved_model({"x": wire.tensor_info((-1, 3))}, {"y": wire.tensor_info((-1, 3))})
    base.mkdir(parents=True, exist_ok=True)
    lay_out(base / f"arriving.{version}", twin(factor), graph).rename(base / str(version))


def broken(base: Path, version: int) -> None:
    """A directory that holds no model."""
    (base / str(version)).mkdir(parents=True)


@dataclass
class Program:
    """A running one."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status, and the body: parsed where it is JSON. Raises OSError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body if body is None or isinstance(body, str) else json.dumps(body))
            response = connection.getresponse()
            data = response.read()
            return response.status, json.loads(data) if "json" in response.headers["Content-Type"] else data.decode()

    def get(self, path: str) -> tuple[int, Any]:
        return self.ask("GET", path)

    def predict(self, rows: Any, path: str = "/v1/models/m") -> tuple[int, Any]:
        return self.ask("POST", f"{path}:predict", {"inputs": rows})

    def state(self, version: int) -> str:
        """Of a version; empty where it was never seen."""
        status, body = self.get(f"/v1/models/m/versions/{version}")
        return str(body["model_version_status"][0]["state"]) if status == 200 else ""

    @property
    def listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it while the process lives."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert self.process.poll() is None, self.log.read_text("utf-8")
            assert time.monotonic() < deadline, self.log.read_text("utf-8")
            time.sleep(0.01)


@contextlib.contextmanager
def started(folder: Path, *arguments: str) -> Iterator[Program]:
    """Begun, not waited for; killed at the end."""
    port, log = free_port(), folder / "server.log"
    real = os.environ.get("TFSERVING_BINARY")
    command = [real] if real else [sys.executable, "-m", "tests.tfserving"]
    flags = (f"--port={free_port()}", f"--rest_api_port={port}", "--file_system_poll_wait_seconds=0", *arguments)
    with log.open("wb") as stream:
        process = subprocess.Popen([*command, *flags], stdout=stream, stderr=stream, cwd=Path(__file__).resolve().parents[3])
        try:
            yield Program(process, port, log)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Program]:
    """Answers."""
    with started(folder, *arguments) as program:
        program.until(lambda: program.listens)
        yield program


def configured(folder: Path, *versions: int, **labels: int) -> str:
    """The flag for a file that wants these versions; writing it again changes the file at once."""
    file = folder / tensorflow_files.MODELS
    arriving = folder / "arriving.config"
    arriving.write_text(tensorflow_files.models("m", str(folder / "m"), versions, labels), "utf-8")
    arriving.rename(file)
    return f"--model_config_file={file}"


def monitored(folder: Path) -> str:
    """The flag for the file that turns metrics on."""
    (folder / MONITORING).write_text(tensorflow_files.monitoring(), "utf-8")
    return f"--monitoring_config_file={folder / MONITORING}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
