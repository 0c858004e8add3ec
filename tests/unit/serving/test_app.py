"""The protocol as a client sees it, on the application itself: no port, no process."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.unit.serving import bundles
from volary import __version__
from volary.serving import model, protocol
from volary.serving.app import App
from volary.serving.metrics import Metrics
from volary.serving.served import Served

_LIMIT = 10_000
_INFER = "/v2/models/fraud/infer"
_X: dict[str, Any] = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 4, 3]}
_Y: dict[str, Any] = {"name": "y", "datatype": "FP32", "shape": [1, 4], "data": [2.0, 4.0, 8.0, 6.0]}
_TOP: dict[str, Any] = {"name": "top", "datatype": "INT64", "shape": [1], "data": [2]}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[bytes, bytes]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> str:
        found = self.json
        assert set(found) == {"error"}
        message: str = found["error"]
        return message


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks ASGI as uvicorn does."""

    app: App
    address: str = "10.0.0.7"

    def request(self, method: str, path: str, *parts: bytes, headers: Mapping[str, str] | None = None, gone: bool = False) -> Answer | None:
        """The answer, or None where nothing was sent. `gone`: the client closes before the last part."""
        messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts or (b"",)]
        messages[-1] = {"type": "http.disconnect"} if gone else messages[-1] | {"more_body": False}
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        asyncio.run(
            self.app({"type": "http", "method": method, "path": path, "headers": pairs, "client": (self.address, 4711)}, receive, send)
        )
        if not sent:
            return None
        start, body = sent
        answer = Answer(start["status"], dict(start["headers"]), body["body"])
        assert answer.headers[b"content-length"] == b"%d" % len(answer.body)
        return answer

    def get(self, path: str) -> Answer:
        answer = self.request("GET", path)
        assert answer is not None
        return answer

    def post(self, body: object, path: str = _INFER, **headers: str) -> Answer:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        answer = self.request("POST", path, data, headers={name.replace("_", "-"): value for name, value in headers.items()})
        assert answer is not None
        return answer

    def counted(self, name: str, **labels: str) -> float:
        """A sample of /metrics, 0 where there is none."""
        wanted = {"model": "fraud", "version": "1.4.0", "revision": "0123456789"} | labels
        for line in self.get("/metrics").body.decode().splitlines():
            series, _, value = line.rpartition(" ")
            found, _, rest = series.partition("{")
            if found == name and dict(pair.split("=") for pair in rest.rstrip("}").replace('"', "").split(",")) == wanted:
                return float(value)
        return 0.0


Loader = Callable[[Callable[[Path], Path]], Client]


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def serving(tmp_path: Path, workers: ThreadPoolExecutor) -> Loader:
    """A client of a loaded model."""

    def load(make: Callable[[Path], Path]) -> Client:
        bundle = make(tmp_path)
        manifest = model.read_manifest(bundle)
        client, served = _client(bundle, workers)
        served.became_ready(model.load(bundle, manifest, threads=1))
        return client

    return load


@pytest.fixture
def client(serving: Loader) -> Client:
    return serving(bundles.doubling)


@pytest.fixture
def loading(tmp_path: Path, workers: ThreadPoolExecutor) -> Client:
    """A client of a server that has not loaded its model yet."""
    return _client(bundles.doubling(tmp_path), workers)[0]


def _client(bundle: Path, workers: ThreadPoolExecutor) -> tuple[Client, Served]:
    app = App("fraud", _LIMIT)
    schema = protocol.schema("fraud", model.read_manifest(bundle))
    served = Served(schema, "0123456789", Metrics(app.metrics, "fraud", schema.version, "0123456789"), workers)
    app.serve(served)
    return Client(app), served


@pytest.mark.parametrize(
    ("address", "headers", "synthetic"),
    [
        ("127.0.0.1", {"x_volary_synthetic": "golden"}, 1),
        ("127.0.0.1", {}, 0),
        ("10.0.0.7", {"x_volary_synthetic": "golden"}, 0),  # a client that would keep out of the evidence
    ],
)
def test_requests_of_the_agent_are_counted_apart(client: Client, address: str, headers: dict[str, str], synthetic: int) -> None:
    spoken = Client(client.app, address)
    assert spoken.post({"inputs": [_X]}, **headers).status == 200
    assert client.counted("volary_synthetic_requests_total", code="200") == synthetic
    assert client.counted("volary_requests_total", code="200") == 1 - synthetic
    assert client.counted("volary_request_duration_seconds_count") == 1 - synthetic


_METADATA = {
    "name": "fraud",
    "versions": ["1.4.0"],
    "platform": "onnx_onnxv1",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}, {"name": "top", "datatype": "INT64", "shape": [-1]}],
}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2", {"name": "volary", "version": __version__, "extensions": ["binary_tensor_data"]}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/fraud", _METADATA),
        ("/v2/models/fraud/versions/1.4.0", _METADATA),
        ("/v2/models/fraud/ready", {"name": "fraud", "ready": True}),
        ("/v2/models/fraud/versions/1.4.0/ready", {"name": "fraud", "ready": True}),
    ],
)
def test_questions(client: Client, path: str, body: object) -> None:
    answer = client.get(path)
    assert (answer.status, answer.json) == (200, body)
    assert answer.headers[b"content-type"] == b"application/json"
    assert b"connection" not in answer.headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/health/live", 200),
        ("/v2/health/ready", 503),
        ("/v2/models/fraud/ready", 503),
        ("/v2/models/fraud/versions/1.4.0/ready", 503),
        ("/v2/models/fraud", 200),
        ("/metrics", 200),
    ],
)
def test_while_loading(loading: Client, path: str, status: int) -> None:
    assert loading.get(path).status == status


def test_inference_while_loading(loading: Client) -> None:
    answer = loading.post({"inputs": [_X]})
    assert (answer.status, answer.error) == (503, 'the model "fraud" is still loading')
    assert loading.counted("volary_model_loaded") == 0


@pytest.mark.parametrize("path", [_INFER, "/v2/models/fraud/versions/1.4.0/infer"])
@pytest.mark.parametrize("times", [1, 2])  # the second runs in the event loop
def test_inference(client: Client, path: str, times: int) -> None:
    answers = [client.post({"id": "a-1", "parameters": {"any": 1}, "inputs": [_X | {"parameters": {}}]}, path) for _ in range(times)]
    assert {answer.status for answer in answers} == {200}
    assert answers[-1].json == {"model_name": "fraud", "model_version": "1.4.0", "id": "a-1", "outputs": [_Y, _TOP]}


@pytest.mark.parametrize(
    ("request_", "outputs"),
    [
        ({}, [_Y, _TOP]),
        ({"outputs": []}, [_Y, _TOP]),
        ({"outputs": None, "id": None, "parameters": None}, [_Y, _TOP]),
        ({"outputs": [{"name": "top", "parameters": {"binary_data": False}}]}, [_TOP]),
        ({"outputs": [{"name": "top"}, {"name": "y"}]}, [_TOP, _Y]),
    ],
)
def test_only_the_outputs_asked_for(client: Client, request_: dict[str, Any], outputs: object) -> None:
    answer = client.post({"inputs": [_X]} | request_)
    assert answer.json == {"model_name": "fraud", "model_version": "1.4.0", "outputs": outputs}


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_the_batch_is_free(client: Client, batch: int) -> None:
    answer = client.post({"inputs": [_X | {"shape": [batch, 4], "data": [1, 2, 4, 3] * batch}]})
    assert answer.json["outputs"][1] == {"name": "top", "datatype": "INT64", "shape": [batch], "data": [2] * batch}


def test_strings(serving: Loader) -> None:
    answer = serving(bundles.echo).post({"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "\u20ac"]}]})
    assert answer.json["outputs"] == [{"name": "same", "datatype": "BYTES", "shape": [2], "data": ["a", "\u20ac"]}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON: "),
        (b"{", "the body is not JSON: "),
        (b'{"id": "\xff"}', "the body is not JSON: "),
        ([], "the body: found a list of 0, expected an object"),
        ({}, "inputs: found nothing, expected a list of tensors"),
        ({"inputs": {}}, "inputs: found an object, expected a list of tensors"),
        ({"inputs": []}, 'inputs: found no "x", expected "x"'),
        ({"inputs": [1]}, "inputs[0]: found 1, expected an object"),
        ({"inputs": [{}]}, 'inputs[0].name: found nothing, expected "x"'),
        ({"inputs": [{"name": "z"}]}, 'inputs[0].name: found "z", expected "x"'),
        ({"inputs": [{"name": ["x"]}]}, 'inputs[0].name: found a list of 1, expected "x"'),
        ({"inputs": [_X, _X]}, 'inputs[1].name: found "x" a second time, expected each input once'),
        ({"inputs": [_X | {"parameters": 1}]}, "inputs[0].parameters: found 1, expected an object"),
        ({"inputs": [_X | {"shape": [1, 5]}]}, 'inputs[0] "x": shape[1]: found 5, expected 4'),
        ({"inputs": [_X], "id": 7}, "id: found 7, expected a string"),
        ({"inputs": [_X], "parameters": []}, "parameters: found a list of 0, expected an object"),
        ({"inputs": [_X], "outputs": {}}, "outputs: found an object, expected a list of objects with a name"),
        ({"inputs": [_X], "outputs": ["y"]}, 'outputs[0]: found "y", expected an object'),
        ({"inputs": [_X], "outputs": [{"name": "z"}]}, 'outputs[0].name: found "z", expected "y", "top"'),
        ({"inputs": [_X], "outputs": [{"name": "y"}] * 2}, "outputs: found a name twice, expected each output once"),
    ],
)
def test_bad_requests(client: Client, body: object, message: str) -> None:
    answer = client.post(body)
    assert answer.status == 400
    assert answer.error.startswith(message)
    assert client.counted("volary_requests_total", code="400") == 1


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({"content_type": "application/octet-stream"}, 415, "content-type: found application/octet-stream, expected application/json"),
        ({"content_encoding": "br"}, 415, 'content-encoding: found "br", expected gzip, deflate or none'),
        ({"content_encoding": "gzip"}, 400, "the body is not gzip: Error -3 while decompressing data: incorrect header check"),
        ({"x_request_timeout": "soon"}, 400, "x-request-timeout: 'soon' is not a time; write it like 250ms, 1.5s or 2m"),
        ({"content_length": str(_LIMIT + 1)}, 413, "the body is larger than 10000 bytes, the most this server takes"),
    ],
)
def test_bad_headers(client: Client, headers: dict[str, str], status: int, message: str) -> None:
    answer = client.post({"inputs": [_X]}, **headers)
    assert (answer.status, answer.error) == (status, message)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8", "application/x-www-form-urlencoded"])
def test_good_headers(client: Client, content_type: str) -> None:
    assert client.post({"inputs": [_X]}, content_type=content_type, content_encoding="identity").status == 200


def test_a_body_may_come_in_parts(client: Client) -> None:
    data = orjson.dumps({"inputs": [_X]})
    answer = client.request("POST", _INFER, data[:10], data[10:20], data[20:])
    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize("parts", [[b"x" * (_LIMIT + 1)], [b"x" * _LIMIT, b"x"]])
def test_a_body_without_a_length_is_limited_too(client: Client, parts: list[bytes]) -> None:
    answer = client.request("POST", _INFER, *parts)
    assert answer is not None
    assert answer.status == 413


@pytest.mark.parametrize("parts", [[b""], [b"{", b""]])
def test_a_client_that_goes_gets_and_counts_nothing(client: Client, parts: list[bytes]) -> None:
    assert client.request("POST", _INFER, *parts, gone=True) is None
    assert client.app.in_flight == 0
    assert client.counted("volary_request_duration_seconds_count") == 0


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v2/models/other", 'there is no model "other"; this server serves "fraud"'),
        ("/v2/models/other/ready", 'there is no model "other"; this server serves "fraud"'),
        ("/v2/models/fraud/versions/1", 'there is no version "1" of "fraud"; this server serves "1.4.0"'),
        ("/v2/models/fraud/versions/1/ready", 'there is no version "1" of "fraud"; this server serves "1.4.0"'),
        ("/v2/models/fraud/nothing", 'there is nothing at "/v2/models/fraud/nothing"'),
        ("/v2/models", 'there is nothing at "/v2/models"'),
        ("/", 'there is nothing at "/"'),
        ("/v2/models/other/infer", 'there is no model "other"; this server serves "fraud"'),
        ("/v2/models/fraud/versions/2/infer", 'there is no version "2" of "fraud"; this server serves "1.4.0"'),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_there(client: Client, method: str, path: str, message: str) -> None:
    answer = client.request(method, path)
    assert answer is not None
    assert (answer.status, answer.error) == (404, message)


@pytest.mark.parametrize(
    ("method", "path", "allow"), [("GET", _INFER, b"POST"), ("POST", "/v2/health/live", b"GET, HEAD"), ("PUT", "/v2", b"GET, HEAD")]
)
def test_wrong_methods(client: Client, method: str, path: str, allow: bytes) -> None:
    answer = client.request(method, path)
    assert answer is not None
    assert (answer.status, answer.headers[b"allow"]) == (405, allow)


def test_an_index_out_of_range_is_the_models_failure(serving: Loader) -> None:
    client = serving(bundles.lookup)
    row = {"name": "row", "shape": [1], "datatype": "INT64"}
    assert client.post({"inputs": [row | {"data": [3]}]}).status == 200
    answer = client.post({"inputs": [row | {"data": [4]}]})
    assert answer.status == 500
    assert answer.error.startswith("the model failed on this request: INVALID_ARGUMENT : ")
    assert "idx=4" in answer.error
    assert "Traceback" not in answer.error
    assert client.counted("volary_requests_total", code="500") == 1
    assert client.counted("volary_requests_total", code="200") == 1


def test_sizes_that_do_not_go_together_are_the_clients_fault(serving: Loader) -> None:
    inputs = [{"name": name, "shape": [size], "datatype": "FP32", "data": [1.0] * size} for name, size in (("a", 2), ("b", 3))]
    answer = serving(bundles.adding).post({"inputs": inputs})
    assert (answer.status, answer.error) == (400, "shape: found a[0] = 2, b[0] = 3, expected equal sizes on the axes named 'n'")


def test_a_fault_of_ours_is_a_500_without_details(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "answer", lambda *_: 1 / 0)
    answer = client.post({"inputs": [_X]})
    assert (answer.status, answer.error) == (500, "internal error; the server's log has the details")


def test_metrics(client: Client) -> None:
    client.post({"inputs": [_X]})
    client.post({})
    assert client.counted("volary_requests_total", code="200") == 1
    assert client.counted("volary_requests_total", code="400") == 1
    assert client.counted("volary_request_duration_seconds_count") == 2
    assert client.counted("volary_inference_duration_seconds_count") == 1
    assert client.counted("volary_model_loaded") == 1
    assert b"\nvolary_in_flight_requests 0.0\n" in client.get("/metrics").body


def test_draining_serves_but_asks_clients_to_go(client: Client) -> None:
    client.app.draining = True
    answer = client.post({"inputs": [_X]})
    assert (answer.status, answer.headers[b"connection"]) == (200, b"close")
    assert client.get("/v2/health/ready").status == 503
    assert client.get("/v2/models/fraud/ready").status == 503
    assert client.get("/v2/health/live").status == 200
