"""TensorFlow Serving's REST API: bodies as its documentation has them, and its paths on a real server."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serving import bundles
from tests.unit.serving.bundles import tensor
from tests.unit.serving.process import Server, running, running_split, until
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.serving import tf_rest
from volary.serving.protocol import Rejected, Schema
from volary.serving.tensors import Array

_ONE = (tensor("x", "FP32", -1, 2),)
_TWO = (tensor("tag", "BYTES", -1), tensor("signal", "INT64", -1, 2))


def _schema(inputs: tuple[Tensor, ...], *outputs: Tensor) -> Schema:
    return Schema("m", "1", {each.name: each for each in inputs}, {each.name: each for each in outputs or (tensor("y", "FP32", -1),)})


def _read(inputs: tuple[Tensor, ...], body: object) -> dict[str, Any]:
    call = tf_rest.read_call(orjson.dumps(body), _schema(inputs))
    return {name: array.tolist() for name, array in call.inputs.items()}


@pytest.mark.parametrize(
    ("inputs", "body", "wanted"),
    [
        (_ONE, {"instances": [[1, 2], [3, 4]]}, {"x": [[1, 2], [3, 4]]}),
        (_ONE, {"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}, {"x": [[1, 2], [3, 4]]}),
        (_ONE, {"inputs": [[1, 2]], "signature_name": "serving_default"}, {"x": [[1, 2]]}),
        (_ONE, {"inputs": {"x": [[1, 2]]}, "signature_name": ""}, {"x": [[1, 2]]}),
        (
            _TWO,
            {"instances": [{"tag": "a", "signal": [1, 2]}, {"signal": [3, 4], "tag": {"b64": "Yg=="}}]},
            {"tag": ["a", "b"], "signal": [[1, 2], [3, 4]]},
        ),
        (
            _TWO,
            {"inputs": {"tag": ["a", {"b64": "4oKs"}], "signal": [[1, 2], [3, 4]]}},
            {"tag": ["a", "\u20ac"], "signal": [[1, 2], [3, 4]]},
        ),
        ((tensor("t", "BYTES", -1),), {"instances": [{"b64": "Yg=="}, "c"]}, {"t": ["b", "c"]}),
        ((tensor("t", "BYTES", -1),), {"inputs": {"t": ["c"]}}, {"t": ["c"]}),
        ((tensor("t", "BYTES"),), {"inputs": {"b64": "Yg=="}}, {"t": "b"}),
        ((tensor("s", "FP32"),), {"inputs": 1.5}, {"s": 1.5}),
        ((tensor("s", "INT64", -1),), {"instances": [9007199254740993]}, {"s": [9007199254740993]}),
    ],
)
def test_taken(inputs: tuple[Tensor, ...], body: object, wanted: object) -> None:
    assert _read(inputs, body) == wanted


@pytest.mark.parametrize(
    ("inputs", "body", "message"),
    [
        (_ONE, [], "the body: found a list of 0, expected an object"),
        (_ONE, {}, "found neither of instances and inputs, expected one of them"),
        (_ONE, {"instances": [[1, 2]], "inputs": [[1, 2]]}, "found both of instances and inputs, expected one of them"),
        (_ONE, {"instances": []}, "instances: found a list of 0, expected a list of one row or more"),
        (_ONE, {"instances": {"x": [1, 2]}}, "instances: found an object, expected a list of one row or more"),
        (_ONE, {"instances": [[1, 2]], "signature_name": 100}, 'signature_name: found 100, expected "serving_default"'),
        (_ONE, {"instances": [[1, 2]], "signature_name": "other"}, 'signature_name: found "other", expected "serving_default"'),
        (_ONE, {"instances": [1, 2]}, 'instances "x": shape: found 1 dimensions, expected 2'),
        (_ONE, {"instances": [[1, 2, 3]]}, 'instances "x": shape[1]: found 3, expected 2'),
        (_ONE, {"instances": [[1, 2], [3]]}, 'instances "x": data: found a list of 1 on axis 1'),
        (_ONE, {"instances": [[1, 2], 3]}, 'instances "x": data: found a value where axis 1 begins'),
        (_ONE, {"instances": [[1, "2"]]}, 'instances "x": data[1]: found "2", expected a number'),
        (_ONE, {"instances": [{"x": [1, 2]}, [1, 2]]}, "instances[1]: found a list of 2, expected an object as the others"),
        (_ONE, {"instances": [{"z": [1, 2]}]}, 'instances[0]: found "z", expected "x"'),
        (_ONE, {"inputs": {"x": [[1, 2]], "z": 1}}, 'inputs: found "x", "z", expected "x"'),
        (_ONE, {"inputs": {}}, 'inputs: found none, expected "x"'),
        (_ONE, {"inputs": []}, 'inputs "x": shape: found 1 dimensions, expected 2'),
        (_TWO, {"instances": [[1, 2]]}, 'instances: found values alone, expected an object with "tag", "signal"'),
        (_TWO, {"inputs": {"tag": ["a"]}}, 'inputs: found "tag", expected "tag", "signal"'),
        ((tensor("t", "BYTES", -1),), {"instances": [{"b64": "Y"}]}, 'instances: found "Y" as b64, expected the base64 of UTF-8'),
        ((tensor("t", "BYTES", -1),), {"instances": [{"b64": "/w=="}]}, 'instances: found "/w==" as b64, expected the base64 of UTF-8'),
        ((tensor("t", "BYTES", -1),), {"instances": [{"b64": 1}]}, "instances: found an object, expected text"),
        ((tensor("t", "BYTES", -1),), {"inputs": {"t": [{"b64": "Yg==", "z": 1}]}}, "inputs: found an object, expected text"),
        ((tensor("t", "BYTES", -1),), {"inputs": ["a", ["b"]]}, 'inputs "t": data[1]: found a list of 1, expected a string'),
    ],
)
def test_refused(inputs: tuple[Tensor, ...], body: object, message: str) -> None:
    with pytest.raises(Rejected) as refusal:
        _read(inputs, body)
    assert refusal.value.status == 400
    assert message in refusal.value.message


def test_deep_nesting_is_refused_and_not_followed() -> None:
    body = b'{"inputs": ' + b"[" * 1000 + b"1" + b"]" * 1000 + b"}"
    with pytest.raises(Rejected, match="expected 1"):
        tf_rest.read_call(body, _schema((tensor("t", "BYTES", -1),)))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 300) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tag", "signal", "b64", "x"]), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["instances", "inputs"]), _JSON, st.sampled_from([_ONE, _TWO]))
def test_whatever_comes_is_taken_or_refused(key: str, value: Any, inputs: tuple[Tensor, ...]) -> None:
    with contextlib.suppress(Rejected):
        assert _read(inputs, {key: value}).keys() == {each.name for each in inputs}


def _answer(form: object, outputs: list[tuple[Tensor, Array]]) -> Any:
    schema = _schema(_ONE, *(declared for declared, _ in outputs))
    call = tf_rest.read_call(orjson.dumps(form), schema)
    return orjson.loads(tf_rest.answer(call, [array for _, array in outputs]))


_ROWS = {"instances": [[1, 2], [3, 4]]}
_COLUMNS = {"inputs": [[1, 2], [3, 4]]}
_Y = (tensor("y", "FP32", -1, 2), np.array([[0.1, 2], [3, 4]], np.float32))
_TOP = (tensor("top", "INT64", -1), np.array([1, 0], np.longlong))  # as ONNX Runtime gives it
_TEXT = (tensor("t", "BYTES", -1), np.array(["a", "b"], object))
_CODED = (tensor("t_bytes", "BYTES", -1), np.array(["a", "b"], object))
_HALF = (tensor("h", "FP16", -1), np.array([0.5, np.nan], np.float16))
_SUM = (tensor("s", "FP32"), np.array(0.1, np.float32))


@pytest.mark.parametrize(
    ("form", "outputs", "wanted"),
    [
        (_ROWS, [_Y], {"predictions": [[0.1, 2.0], [3.0, 4.0]]}),
        (_ROWS, [_TOP], {"predictions": [1, 0]}),
        (_ROWS, [_Y, _TOP], {"predictions": [{"y": [0.1, 2.0], "top": 1}, {"y": [3.0, 4.0], "top": 0}]}),
        (_ROWS, [_TEXT, _HALF], {"predictions": [{"t": "a", "h": 0.5}, {"t": "b", "h": None}]}),
        (_ROWS, [_CODED], {"predictions": [{"b64": "YQ=="}, {"b64": "Yg=="}]}),
        (_COLUMNS, [_Y], {"outputs": [[0.1, 2.0], [3.0, 4.0]]}),
        (_COLUMNS, [_Y, _CODED], {"outputs": {"y": [[0.1, 2.0], [3.0, 4.0]], "t_bytes": [{"b64": "YQ=="}, {"b64": "Yg=="}]}}),
        (_COLUMNS, [_SUM], {"outputs": 0.1}),
        (_COLUMNS, [(_Y[0], _Y[1].T)], {"outputs": [[0.1, 3.0], [2.0, 4.0]]}),
    ],
)
def test_answers(form: object, outputs: list[tuple[Tensor, Array]], wanted: object) -> None:
    assert _answer(form, outputs) == wanted


@pytest.mark.parametrize("output", [_SUM, (_TOP[0], np.array([1, 0, 2]))])
def test_outputs_that_are_not_by_rows(output: tuple[Tensor, Array]) -> None:
    with pytest.raises(Rejected, match=r"for 2 rows; ask by columns, with inputs instead of instances"):
        _answer(_ROWS, [output])


def test_metadata_names_every_datatype() -> None:
    said = orjson.loads(tf_rest.metadata(_schema(tuple(tensor(each, each, -1, 2) for each in Datatype))))
    assert said["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    found = said["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert found["inputs"]["FP32"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}], "unknown_rank": False},
        "name": "FP32",
    }
    assert found["method_name"] == "tensorflow/serving/predict"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(bundles.doubling(tmp_path_factory.mktemp("doubling")), "--revision", "0123456789") as found:
        found.wait_for("/v2/health/ready", 200)
        yield found


_M = "/v1/models/fraud"
_AVAILABLE = {"version": "1.4.0", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


@pytest.mark.parametrize(
    "path", [f"{_M}:predict", f"{_M}/versions/1.4.0:predict", f"{_M}/versions/0123456789:predict", f"{_M}/labels/stable:predict"]
)
def test_predicts(server: Server, path: str) -> None:
    assert server.request("POST", path, {"instances": [[1, 2, 4, 3]]}) == (200, {"predictions": [{"y": [2.0, 4.0, 8.0, 6.0], "top": 2}]})
    assert server.request("POST", path, {"inputs": [[1, 2, 4, 3]]}) == (200, {"outputs": {"y": [[2.0, 4.0, 8.0, 6.0]], "top": [2]}})


@pytest.mark.parametrize("path", [_M, f"{_M}/versions/1.4.0", f"{_M}/labels/stable"])
def test_status(server: Server, path: str) -> None:
    assert server.request("GET", path) == (200, {"model_version_status": [_AVAILABLE]})
    status, said = server.request("GET", f"{path}/metadata")
    assert (status, said["model_spec"]) == (200, {"name": "fraud", "signature_name": "", "version": "1.4.0"})


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/other:predict", 404, 'there is no model "other"; this server serves "fraud"'),
        ("GET", "/v1/models/other", 404, 'there is no model "other"; this server serves "fraud"'),
        ("POST", f"{_M}/versions/9:predict", 404, 'there is no version "9" of "fraud"; this server serves "1.4.0"'),
        ("GET", f"{_M}/versions/9", 404, 'there is no version "9" of "fraud"; this server serves "1.4.0"'),
        ("POST", f"{_M}/labels/canary:predict", 400, 'there is no label "canary" of "fraud" now; there is "stable"'),
        ("GET", f"{_M}/labels/other/metadata", 400, 'there is no label "other" of "fraud" now; there is "stable"'),
        ("POST", f"{_M}:classify", 400, 'found "classify", expected predict: this server has no other method'),
        ("POST", f"{_M}/versions/1.4.0:regress", 400, 'found "regress", expected predict: this server has no other method'),
        ("GET", f"{_M}:predict", 405, "method not allowed; this path takes POST"),
        ("POST", _M, 405, "method not allowed; this path takes GET, HEAD"),
        ("GET", "/v1/models", 404, 'there is nothing at "/v1/models"'),
        ("GET", f"{_M}/labels", 404, 'there is nothing at "/v1/models/fraud/labels"'),
        ("GET", "/v1/models/", 404, 'there is nothing at "/v1/models/"'),
        ("POST", f"{_M}:predict", 400, "the body: found neither of instances and inputs, expected one of them"),
    ],
)
def test_errors(server: Server, method: str, path: str, status: int, message: str) -> None:
    assert server.request(method, path, {} if method == "POST" else None) == (status, {"error": message})


def test_bytes_are_for_the_other_api(server: Server) -> None:
    status, said = server.request("POST", f"{_M}:predict", b"{}", {"Inference-Header-Content-Length": "2"})
    assert (status, said["error"].endswith("ask /v2/models/fraud/infer with bytes")) == (400, True)


def test_labels_follow_the_split(tmp_path: Path) -> None:
    old, new = (bundles.scaling(tmp_path / version, factor, version) for version, factor in (("1.0.0", 1), ("2.0.0", 2)))
    with running_split(tmp_path) as server:

        def put(*weights: int) -> None:
            entries = [
                {"revision": f"r{number}", "version": f"{number}.0.0", "directory": str(bundle), "weight": weight}
                for number, (bundle, weight) in enumerate(zip((old, new), weights, strict=False), start=1)
            ]
            assert server.control("PUT", {"revisions": entries})[0] == 200
            until(
                lambda: all(each["weight"] == weight for each, weight in zip(server.control("GET")[1]["revisions"], weights, strict=False))
            )

        def asked(label: str) -> tuple[int, Any]:
            status, said = server.request("POST", f"{_M}/labels/{label}:predict", {"instances": [[1, 1, 1, 1]]})
            return status, said["predictions"][0][0] if status == 200 else said["error"]

        assert asked("stable") == (400, 'there is no label "stable" of "fraud" now; there is none')
        put(100)
        assert asked("stable") == (200, 1.0)
        assert asked("canary") == (400, 'there is no label "canary" of "fraud" now; there is "stable"')
        put(30, 70)  # whose share is larger says nothing
        assert (asked("stable"), asked("canary")) == ((200, 1.0), (200, 2.0))
        put(0, 100)
        assert (asked("stable"), asked("canary")[0]) == ((200, 2.0), 400)
        put(50, 50)
        assert (asked("stable"), asked("canary")) == ((200, 2.0), (200, 1.0))
