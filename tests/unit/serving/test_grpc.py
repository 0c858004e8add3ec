"""A real server asked over gRPC, by a client that others wrote and by the plain messages."""

import gzip
import json
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tritonclient.grpc as triton  # type: ignore[import-untyped]

from tests.unit.serving import bundles
from tests.unit.serving.process import Server, running, running_split, until
from volary.bundle.tensors import Datatype
from volary.serving import proto

_DEADLINE = 20
_ROW = np.array([[1, 2, 4, 3]], np.float32)
_Call = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Client:
    """Of one server."""

    server: Server
    triton: Any  # tritonclient's
    channel: grpc.Channel

    def call(self, method: str, request: Any, answer: Any, **options: Any) -> Any:
        """With the plain messages."""
        path = method if method.startswith("/") else f"/{proto.SERVICE}/{method}"
        found = self.channel.unary_unary(path)(request.SerializeToString(), timeout=_DEADLINE, **options)
        return answer.FromString(found)

    def infer(self, request: Any, **options: Any) -> Any:
        return self.call("ModelInfer", request, proto.ModelInferResponse, **options)

    def refused(self, request: Any, **options: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as raised:
            self.infer(request, **options)
        return raised.value.code(), raised.value.details()

    def metrics(self) -> dict[str, float]:
        """The samples without the labels that are the same for all."""
        text = self.server.request("GET", "/metrics")[1]
        found = re.findall(r"^(volary_\w+)\{([^}]*)\} (\S+)$", text, re.MULTILINE)
        kept = re.compile(r'(?:code|reason|version)="[^"]*"')
        return {f"{name} {','.join(sorted(kept.findall(labels), reverse=True))}": float(value) for name, labels, value in found}


def _client(server: Server) -> Client:
    server.wait_for("/v2/health/ready", 200)
    address = f"127.0.0.1:{server.grpc_port}"
    return Client(server, triton.InferenceServerClient(address), grpc.insecure_channel(address))


@pytest.fixture(scope="module")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(bundles.doubling(tmp_path_factory.mktemp("doubling")), "--max-body", "1") as server:
        yield _client(server)


def _request(**fields: Any) -> Any:
    """One row, raw."""
    request = proto.ModelInferRequest(**{"model_name": "fraud", "raw_input_contents": [_ROW.tobytes()]} | fields)
    if not request.inputs:
        request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    return request


def _typed(shape: list[int], **contents: Any) -> Any:
    request = proto.ModelInferRequest(model_name="fraud")
    request.inputs.add(name="x", datatype="FP32", shape=shape, contents=contents)
    return request


def test_health_and_metadata(doubling: Client) -> None:
    client = doubling.triton
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("fraud")
    assert client.is_model_ready("fraud", "1.4.0")
    assert client.get_server_metadata().name == "volary"
    about = client.get_model_metadata("fraud", as_json=True)
    assert about["versions"] == ["1.4.0"]
    assert about["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}]
    index = client.get_model_repository_index(as_json=True)
    assert index == {"models": [{"name": "fraud", "version": "1.4.0", "state": "READY"}]}


def test_the_health_service_of_grpc_itself(doubling: Client) -> None:
    check = doubling.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert check(b"", timeout=_DEADLINE) == b"\x08\x01"


def test_infers_with_an_id_and_requested_outputs(doubling: Client) -> None:
    tensor = triton.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(_ROW)
    answer = doubling.triton.infer("fraud", [tensor], request_id="7", outputs=[triton.InferRequestedOutput("top")], parameters={"a": 1})
    assert answer.as_numpy("top").tolist() == [2]
    assert answer.as_numpy("y") is None
    response = answer.get_response()
    assert (response.id, response.model_name, response.model_version) == ("7", "fraud", "1.4.0")


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_compressed_requests(doubling: Client, compression: str) -> None:
    tensor = triton.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(_ROW)
    answer = doubling.triton.infer("fraud", [tensor], compression_algorithm=compression)
    assert answer.as_numpy("y").tolist() == [[2, 4, 8, 6]]


def test_typed_contents_are_answered_typed_and_raw_raw(doubling: Client) -> None:
    typed = doubling.infer(_typed([1, 4], fp32_contents=[1, 2, 4, 3]))
    assert list(typed.outputs[0].contents.fp32_contents) == [2, 4, 8, 6]
    assert list(typed.outputs[1].contents.int64_contents) == [2]
    assert not typed.raw_output_contents
    raw = doubling.infer(_request())
    assert np.frombuffer(raw.raw_output_contents[0], np.float32).tolist() == [2, 4, 8, 6]
    assert not raw.outputs[0].HasField("contents")


_INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (_request(model_name="other"), grpc.StatusCode.NOT_FOUND, 'there is no model "other"; this server serves "fraud"'),
        (_request(model_version="9"), grpc.StatusCode.NOT_FOUND, 'there is no version "9" of "fraud"; this server serves "1.4.0"'),
        (_request(outputs=[{"name": "z"}]), _INVALID, 'outputs[0].name: found "z", expected "y", "top"'),
        (_request(outputs=[{"name": "y"}, {"name": "y"}]), _INVALID, "outputs: found a name twice"),
        (_request(inputs=[{"name": "q"}]), _INVALID, 'inputs[0].name: found "q", expected "x"'),
        (_request(raw_input_contents=[b"", b""]), _INVALID, "found 2 of them, expected one for each of the 1 inputs"),
        (_request(raw_input_contents=[b"123"]), _INVALID, "found 3 bytes, expected 16 for shape [1, 4]"),
        (_request(inputs=[{"name": "x", "datatype": "FP64", "shape": [1, 4]}]), _INVALID, 'datatype: found "FP64", expected FP32'),
        (_request(inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 5]}]), _INVALID, "shape[1]: found 5, expected 4"),
        (_request(inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]), _INVALID, "shape[0]: found -1"),
        (proto.ModelInferRequest(model_name="fraud"), _INVALID, 'inputs: found no "x", expected "x"'),
        (_typed([1, 4], fp32_contents=[1]), _INVALID, "contents.fp32_contents: found 1 elements, expected 4"),
        (_typed([1, 4], fp64_contents=[1, 2, 3, 4]), _INVALID, "contents.fp32_contents: found 0 elements, expected 4"),
        (
            _request(inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 4], "contents": {"fp32_contents": [1]}}]),
            _INVALID,
            "none beside",
        ),
    ],
)
def test_what_the_client_must_change(doubling: Client, request_: Any, code: grpc.StatusCode, message: str) -> None:
    found = doubling.refused(request_)
    assert found[0] is code
    assert message in found[1]


def test_a_model_that_is_not_here_is_not_found_rather_than_not_ready(doubling: Client) -> None:
    with pytest.raises(triton.InferenceServerException, match="NOT_FOUND"):
        doubling.triton.is_model_ready("other")


def test_a_method_there_is_none_of(doubling: Client) -> None:
    with pytest.raises(triton.InferenceServerException, match="UNIMPLEMENTED"):
        doubling.triton.get_inference_statistics()


def test_a_message_that_is_none(doubling: Client) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        doubling.channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")(b"\xff\xff", timeout=_DEADLINE)
    assert raised.value.code() is _INVALID


def test_a_message_above_the_limit(doubling: Client) -> None:
    big = np.zeros((100_000, 4), np.float32)
    request = _request(raw_input_contents=[big.tobytes()], inputs=[{"name": "x", "datatype": "FP32", "shape": big.shape}])
    assert doubling.refused(request)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert doubling.refused(request, compression=grpc.Compression.Gzip)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(gzip.compress(request.SerializeToString())) < 10_000, "the second one was small on the wire"
    assert doubling.infer(_request()).outputs, "the connection goes on"


def test_answers_larger_than_a_window_beside_each_other(doubling: Client) -> None:
    rows = np.arange(200_000, dtype=np.float32).reshape(-1, 4)
    tensor = triton.InferInput("x", rows.shape, "FP32")
    tensor.set_data_from_numpy(rows)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: doubling.triton.infer("fraud", [tensor]).as_numpy("y"), range(8)))
    assert all((answer == 2 * rows).all() for answer in answers)


def test_requests_are_counted_as_those_of_http_are(doubling: Client) -> None:
    before = doubling.metrics()
    doubling.infer(_request())
    doubling.refused(_request(raw_input_contents=[b""]))
    doubling.infer(_request(), metadata=[("x-volary-synthetic", "golden")])
    after = doubling.metrics()
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    assert grown['volary_requests_total version="1.4.0",code="200"'] == 1
    assert grown['volary_requests_total version="1.4.0",code="400"'] == 1
    assert grown['volary_synthetic_requests_total version="1.4.0",code="200"'] == 1
    assert grown['volary_request_duration_seconds_count version="1.4.0"'] == 2


def test_a_fault_of_the_model_is_internal(tmp_path: Path) -> None:
    request = proto.ModelInferRequest(model_name="fraud")
    request.inputs.add(name="row", datatype="INT64", shape=[1], contents={"int64_contents": [99]})
    with running(bundles.lookup(tmp_path)) as server:
        client = _client(server)
        code, message = client.refused(request)
        assert code is grpc.StatusCode.INTERNAL
        assert message.startswith("the model failed on this request")
        assert client.metrics()['volary_requests_total version="1.4.0",code="500"'] == 1


def test_strings(tmp_path: Path) -> None:
    texts = np.array([["é".encode(), b""]], np.object_)
    tensor = triton.InferInput("x", [1, 2], "BYTES")
    tensor.set_data_from_numpy(texts)
    with running(bundles.identity(tmp_path, Datatype.BYTES)) as server:
        assert (_client(server).triton.infer("fraud", [tensor]).as_numpy("same") == texts).all()


def test_a_deadline_and_a_client_that_goes(tmp_path: Path) -> None:
    request = proto.ModelInferRequest(model_name="fraud")
    request.inputs.add(name="size", datatype="INT64", shape=[1], contents={"int64_contents": [2500]})
    with running(bundles.squaring(tmp_path)) as server:
        client = _client(server)
        method = client.channel.unary_unary(f"/{proto.SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as raised:
            method(request.SerializeToString(), timeout=0.05)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        until(lambda: "volary_in_flight_requests 0.0" in server.request("GET", "/metrics")[1])


def test_shares_and_pins_of_a_split(tmp_path: Path) -> None:
    wanted = [
        {"revision": f"r{number}", "version": f"{number}.0.0", "directory": str(directory), "weight": weight}
        for number, weight in ((1, 75), (2, 25))
        for directory in [bundles.scaling(tmp_path / str(number), number, f"{number}.0.0")]
    ]
    with running_split(tmp_path) as server:
        server.control("PUT", {"revisions": wanted})
        client = _client(server)
        versions = [client.infer(_request()).model_version for _ in range(40)]
        assert sorted(versions) == ["1.0.0"] * 30 + ["2.0.0"] * 10
        assert client.infer(_request(), metadata=[("x-volary-revision", "r2")]).model_version == "2.0.0"
        assert client.infer(_request(model_version="1.0.0")).model_version == "1.0.0"
        code, message = client.refused(_request(), metadata=[("x-volary-revision", "r3")])
        assert code is grpc.StatusCode.NOT_FOUND
        assert 'x-volary-revision: found "r3"' in message


def test_a_stop_loses_no_request(tmp_path: Path) -> None:
    """Clients with kept channels are told to go, and what they sent meanwhile is answered."""
    with running(bundles.doubling(tmp_path), "--drain-delay", "1") as server:
        client = _client(server)
        client.infer(_request())
        server.process.send_signal(signal.SIGTERM)
        stopped, answered = monotonic(), 0
        refused: grpc.RpcError | None = None
        while refused is None:
            try:
                client.infer(_request())
            except grpc.RpcError as error:
                refused = error
            else:
                answered += 1
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        assert monotonic() - stopped >= 1, "until the port is closed, nothing fails"
        assert answered > 10
        assert server.process.wait(_DEADLINE) == 0


def test_json_and_grpc_say_the_same(doubling: Client) -> None:
    status, body = doubling.server.request("POST", "/v2/models/fraud/infer", {"inputs": []})
    assert status == 400
    assert doubling.refused(proto.ModelInferRequest(model_name="fraud"))[1] == json.loads(json.dumps(body))["error"]
