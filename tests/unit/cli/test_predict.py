"""`volary predict` and `volary serve ./bundle`, as a person types them."""

import http.server
import io
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving import bundles
from tests.unit.serving.process import Server, running
from volary.bundle import golden
from volary.bundle import manifest as manifests
from volary.bundle.formats import Role
from volary.bundle.manifest import File, Golden
from volary.cli.main import main

_X = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 4, 3]}
_BODY = json.dumps({"inputs": [_X]})
_DEADLINE = 20


def _with_samples(bundle: Path, y: list[float]) -> Path:
    """A doubling bundle with one golden sample."""
    outputs = [_X | {"name": "y", "data": y}, {"name": "top", "shape": [1], "datatype": "INT64", "data": [2]}]
    data = json.dumps({"samples": [{"inputs": [_X], "outputs": outputs}]}).encode()
    (bundle / "golden.json").write_bytes(data)
    about = manifests.parse((bundle / "manifest.json").read_bytes())
    file = File(path="golden.json", role=Role.GOLDEN, sha256=sha256(data).hexdigest(), size=len(data))
    changed = about.model_copy(update={"files": (*about.files, file), "golden": Golden(path="golden.json", absolute=1e-6, relative=1e-6)})
    (bundle / "manifest.json").write_bytes(manifests.dump(changed))
    assert golden.parse(data, changed)
    return bundle


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(bundles.doubling(tmp_path_factory.mktemp("served"))) as server:
        server.wait_for("/v2/health/ready", 200)
        yield server


@dataclass
class _Said:
    code: int
    out: str
    err: str


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: object) -> _Said:
        code = main(["predict", *map(str, words)])
        captured = capsys.readouterr()
        return _Said(code, captured.out, captured.err)

    return run


def _both(served: Server) -> tuple[tuple[str, ...], ...]:
    return (f"http://127.0.0.1:{served.port}",), (f"127.0.0.1:{served.grpc_port}", "--grpc")


def test_http_and_grpc_show_the_same(served: Server, predict: Any) -> None:
    for where in _both(served):
        said = predict(*where, "-d", _BODY)
        assert (said.code, said.out) == (0, "y FP32 [1, 4]: 2 4 8 6\ntop INT64 [1]: 2\n")
        answer = json.loads(predict(*where, "-d", _BODY, "-o", "json").out)
        assert answer["outputs"][0]["data"] == [2, 4, 8, 6]


def test_a_file_standard_input_and_the_address_of_a_request(
    served: Server, predict: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "input.json"
    file.write_text(_BODY)
    assert predict(f"http://127.0.0.1:{served.port}/v2/models/fraud/infer", "-d", f"@{file}").code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(_BODY))
    assert predict(f"127.0.0.1:{served.port}", "-d", "@-").code == 0
    said = predict(f"127.0.0.1:{served.port}", "-d", file)
    assert said.code == 1
    assert f"to read the file, write -d @{file}" in said.err


def test_golden_samples_are_compared(served: Server, predict: Any, tmp_path: Path) -> None:
    good = _with_samples(bundles.doubling(tmp_path / "good"), [2, 4, 8, 6])
    bad = _with_samples(bundles.doubling(tmp_path / "bad"), [2, 4, 8, 7])
    for where in _both(served):
        said = predict(*where, "--samples", good)
        assert (said.code, said.out) == (0, "sample 1: as recorded\n")
        said = predict(*where, "--samples", bad)
        assert said.code == 4
        assert said.out.startswith("sample 1: output 'y':")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("-d", "{}"), 1, "inputs: found"),
        (("-d", "[1]"), 1, "found list, expected an object"),
        (("-d", "@/nowhere"), 1, "/nowhere: No such file"),
        (("--samples", "/nowhere"), 1, "there is no directory /nowhere; make a bundle of a model with: volary pack"),
        (("-d", _BODY, "--model", "other"), 1, 'there is no model "other"'),
        (("-d", _BODY, "--version", "9"), 1, 'there is no version "9"'),
        (("-d", _BODY.replace("4]", "5]")), 1, "shape[1]: found 5, expected 4"),
    ],
)
def test_what_is_to_be_changed(served: Server, predict: Any, words: tuple[str, ...], code: int, message: str) -> None:
    for where in _both(served):
        said = predict(*where, *words)
        assert said.code == code
        assert message in said.err or (where[-1] == "--grpc" and 'found no "inputs"' in said.err)
        assert not said.out


def test_nobody_answers(predict: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for where in ((f"http://127.0.0.1:{port}",), (f"127.0.0.1:{port}", "--grpc")):
        said = predict(*where, "--model", "m", "-d", _BODY, "--timeout", "5s")
        assert said.code == 3
        assert str(port) in said.err


def test_the_other_protocols_port(served: Server, predict: Any) -> None:
    said = predict(f"http://127.0.0.1:{served.grpc_port}", "-d", _BODY)
    assert (said.code, "add --grpc" in said.err) == (3, True)
    said = predict(f"127.0.0.1:{served.port}", "--grpc", "-d", _BODY, "--timeout", "5s")
    assert (said.code, "leave --grpc out" in said.err) == (3, True)


class _TensorFlow(http.server.BaseHTTPRequestHandler):
    """Doubles, in the column format of TensorFlow Serving."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        rows = asked["inputs"]["x"] if "inputs" in asked else asked.get("instances", [])
        doubled = [[2 * value for value in row] for row in rows]
        good = self.path == "/v1/models/fraud/versions/1:predict"
        answer = (
            {"outputs": {"y": doubled, "top": [2]}}
            if good and "inputs" in asked
            else {"predictions": doubled}
            if good
            else {"error": self.path}
        )
        body = json.dumps(answer).encode()
        self.send_response(200 if good else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 -- as the base has it


def test_tensorflow_serving(predict: Any, tmp_path: Path) -> None:
    good = _with_samples(bundles.doubling(tmp_path / "good"), [2, 4, 8, 6])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _TensorFlow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = (f"http://127.0.0.1:{server.server_port}", "--protocol", "tensorflow", "--model", "fraud")
        assert predict(*where, "--version", "1", "--samples", good).code == 0
        assert json.loads(predict(*where, "--version", "1", "-d", '{"instances": [[1]]}').out) == {"predictions": [[2]]}
        said = predict(*where, "-d", "{}")
        assert (said.code, "HTTP 404: /v1/models/fraud:predict" in said.err) == (1, True)
        server.shutdown()


def test_serve_tells_what_to_type(tmp_path: Path) -> None:
    bundle = _with_samples(bundles.doubling(tmp_path / "b"), [2, 4, 8, 6])
    command = [sys.executable, "-m", "volary", "serve", str(bundle), "--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = [process.stderr.readline() for _ in range(5)]
        assert told[0].startswith("Serving packed-as 1.4.0 at http://127.0.0.1:")
        pasted = [line.strip() for line in told if line.startswith("  ")]
        assert [line.split()[0] for line in pasted] == ["curl", "volary", "volary"]
        for line in pasted[1:]:
            typed = f"{sys.executable} -m {line}"
            assert (
                subprocess.run(typed, shell=True, check=True, capture_output=True, timeout=_DEADLINE).stdout == b"sample 1: as recorded\n"
            )
        process.send_signal(signal.SIGINT)
        assert process.wait(_DEADLINE) == 0


def test_serve_at_a_port_that_is_taken(served: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = bundles.doubling(tmp_path)
    for option, port in (("--listen", served.port), ("--grpc-listen", served.grpc_port)):
        assert (
            main(["serve", str(bundle), *(() if option == "--listen" else ("--listen", "127.0.0.1:0")), option, f"127.0.0.1:{port}"]) == 1
        )
        assert f"{option}: cannot listen on 127.0.0.1:{port}: another process has that port" in capsys.readouterr().err
