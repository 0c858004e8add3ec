"""A real server asked over HTTP by a client that others wrote, in JSON and in bytes."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tritonclient.http as triton  # type: ignore[import-untyped]
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from tests.unit.serving import bundles
from tests.unit.serving.process import Server, running
from volary.bundle.tensors import Datatype
from volary.serving.tensors import dtype

_ROW = np.array([[1, 2, 4, 3]], np.float32)
_INFER = "/v2/models/fraud/infer"


def _client(server: Server) -> Any:
    server.wait_for("/v2/health/ready", 200)
    return triton.InferenceServerClient(f"127.0.0.1:{server.port}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(bundles.doubling(tmp_path_factory.mktemp("doubling"))) as found:
        found.wait_for("/v2/health/ready", 200)
        yield found


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    found = _client(server)
    yield found
    found.close()


def _input(name: str, datatype: str, array: Any, *, binary: bool) -> Any:
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("fraud")
    assert client.is_model_ready("fraud", "1.4.0")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert client.get_model_metadata("fraud", "1.4.0")["versions"] == ["1.4.0"]
    assert client.get_model_repository_index() == [{"name": "fraud", "version": "1.4.0", "state": "READY", "reason": ""}]


@pytest.mark.parametrize("binary_input", [True, False])
@pytest.mark.parametrize("binary_output", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_infers(client: Any, binary_input: bool, binary_output: bool, compression: str | None) -> None:
    outputs = [
        triton.InferRequestedOutput("top", binary_data=not binary_output),
        triton.InferRequestedOutput("y", binary_data=binary_output),
    ]
    answer = client.infer(
        "fraud",
        [_input("x", "FP32", _ROW, binary=binary_input)],
        model_version="1.4.0",
        outputs=outputs,
        request_id="7",
        parameters={"any": "thing"},
        request_compression_algorithm=compression,
    )
    assert answer.as_numpy("y").tolist() == [[2, 4, 8, 6]]
    assert answer.as_numpy("top").tolist() == [2]
    said = answer.get_response()
    assert (said["id"], said["model_name"], said["model_version"]) == ("7", "fraud", "1.4.0")
    assert ["parameters" in output for output in said["outputs"]] == [not binary_output, binary_output]


def test_all_outputs_in_bytes_unless_asked_otherwise(client: Any) -> None:
    """This client asks for them with binary_data_output where it names none."""
    answer = client.infer("fraud", [_input("x", "FP32", _ROW, binary=True)])
    assert answer.get_response()["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}},
        {"name": "top", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}},
    ]
    assert answer.as_numpy("y").tolist() == [[2, 4, 8, 6]]


def test_an_error_is_told(client: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"\[400\].*shape\[1\]: found 5, expected 4"):
        client.infer("fraud", [_input("x", "FP32", np.zeros((1, 5), np.float32), binary=True)])
    with pytest.raises(InferenceServerException, match='there is no version "9" of "fraud"'):
        client.infer("fraud", [_input("x", "FP32", _ROW, binary=True)], model_version="9")


_SAMPLES: dict[Datatype, Any] = {
    Datatype.BOOL: [[True, False]],
    Datatype.BYTES: [["", "\u20ac and\nmore"]],
    Datatype.BF16: [[1.5, -2.25]],
}
_DTYPES = {Datatype.BF16: ml_dtypes.bfloat16}
_NO_JSON = (Datatype.FP16, Datatype.BF16)  # this client cannot write them as JSON


@pytest.mark.parametrize("datatypes", [sorted(set(Datatype) - {Datatype.BYTES}), [Datatype.BYTES]], ids=["numbers", "text"])
def test_every_datatype_in_bytes_and_in_json(tmp_path: Path, datatypes: list[Datatype]) -> None:
    arrays = {each: np.array(_SAMPLES.get(each, [[1, 100]]), _DTYPES.get(each, dtype(each))) for each in datatypes}
    with running(bundles.identities(tmp_path, datatypes)) as server:
        client = _client(server)
        for binary in (True, False):
            inputs = [_input(each, each, array, binary=binary or each in _NO_JSON) for each, array in arrays.items()]
            outputs = [triton.InferRequestedOutput(f"same-{each}", binary_data=binary or each in _NO_JSON) for each in datatypes]
            answer = client.infer("fraud", inputs, outputs=outputs)
            for each, array in arrays.items():
                assert _listed(answer.as_numpy(f"same-{each}")) == array.tolist()
        client.close()
        plain = [{"name": each, "shape": [1, 2], "datatype": each, "data": array.ravel().tolist()} for each, array in arrays.items()]
        status, said = server.request("POST", _INFER, {"inputs": plain})
        assert status == 200
        assert {each["name"]: each["data"] for each in said["outputs"]} == {f"same-{each['name']}": each["data"] for each in plain}


def _listed(array: Any) -> Any:
    return [[each.decode() if isinstance(each, bytes) else each for each in row] for row in array.tolist()]


def test_bytes_after_json_as_they_are_on_the_wire(server: Server) -> None:
    head = json.dumps({"inputs": [_in_bytes()], "parameters": {"binary_data_output": True}}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    with contextlib.closing(connection):
        headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        connection.request("POST", _INFER, head + _ROW.tobytes(), headers)
        answer = connection.getresponse()
        body = answer.read()
    length = int(answer.headers["inference-header-content-length"])
    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert int(answer.headers["content-length"]) == len(body)
    assert [each["parameters"] for each in json.loads(body[:length])["outputs"]] == [{"binary_data_size": 16}, {"binary_data_size": 8}]
    assert body[length:] == (2 * _ROW).tobytes() + np.array([2]).tobytes()


def _in_bytes() -> dict[str, Any]:
    return {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}


# As the InferenceRESTClient of KServe 0.21 sends them, recorded: to install it takes 60 packages.
_KSERVE_JSON = (
    b'{"id":"7","model_name":"fraud","inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1.0,2.0,4.0,3.0]}],'
    b'"outputs":[{"name":"y","parameters":{"binary_data":false}},{"name":"top","parameters":{"binary_data":true}}]}'
)
_KSERVE_BYTES = (
    b'{"id":"7","model_name":"fraud","inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}],'
    b'"outputs":[{"name":"y","parameters":{"binary_data":true}},{"name":"top","parameters":{"binary_data":false}}]}'
)


@pytest.mark.parametrize(
    ("head", "blob", "headers", "after"),
    [
        (_KSERVE_JSON, b"", {"content-type": "application/json"}, np.array([2]).tobytes()),
        (
            _KSERVE_BYTES,
            _ROW.tobytes(),
            {"content-type": "application/octet-stream", "inference-header-content-length": "233"},
            (2 * _ROW).tobytes(),
        ),
    ],
    ids=["json", "bytes"],
)
def test_requests_of_kserves_client(server: Server, head: bytes, blob: bytes, headers: dict[str, str], after: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", _INFER, head + blob, {"accept": "*/*", "accept-encoding": "gzip, deflate"} | headers)
        answer = connection.getresponse()
        body = answer.read()
    length = int(answer.headers["inference-header-content-length"])
    assert (answer.status, json.loads(body[:length])["id"], body[length:]) == (200, "7", after)
