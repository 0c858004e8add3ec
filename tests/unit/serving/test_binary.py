"""Requests with bytes after their JSON: what is taken, what is refused and how it is said."""

import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serving.bundles import tensor
from volary.bundle.manifest import Tensor
from volary.serving import headers, protocol
from volary.serving.protocol import Rejected, Schema

_ROW = np.array([[1, 2, 4, 3]], np.float32).tobytes()
_X: dict[str, Any] = {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}


def _schema(*inputs: Tensor) -> Schema:
    outputs = {"y": tensor("y", "FP32", -1, 4), "top": tensor("top", "INT64", -1)}
    return Schema("m", "1", {each.name: each for each in inputs or (tensor("x", "FP32", -1, 4),)}, outputs)


def _read(request: object, blob: bytes, schema: Schema | None = None) -> protocol.Call:
    head = orjson.dumps(request)
    return protocol.read_call(head + blob, schema or _schema(), len(head))


def _text(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(each)) + each for each in elements)


@pytest.mark.parametrize(
    ("request_", "blob", "message"),
    [
        ({"inputs": [_X]}, b"", 'inputs[0] "x": binary_data_size: found 16, expected at most 0, the bytes that are left after the JSON'),
        (
            {"inputs": [_X]},
            _ROW[:15],
            'inputs[0] "x": binary_data_size: found 16, expected at most 15, the bytes that are left after the JSON',
        ),
        ({"inputs": [_X]}, _ROW + b"!", "the body: found 1 bytes after the last input, expected none"),
        (
            {"inputs": [_X | {"parameters": {"binary_data_size": 12}}]},
            _ROW[:12],
            'inputs[0] "x": raw contents: found 12 bytes, expected 16',
        ),
        ({"inputs": [_X | {"parameters": {"binary_data_size": -1}}]}, b"", "binary_data_size: found -1, expected an integer of 0 or more"),
        (
            {"inputs": [_X | {"parameters": {"binary_data_size": True}}]},
            b"",
            "binary_data_size: found true, expected an integer of 0 or more",
        ),
        (
            {"inputs": [_X | {"parameters": {"binary_data_size": 16.0}}]},
            _ROW,
            "binary_data_size: found 16.0, expected an integer of 0 or more",
        ),
        (
            {"inputs": [_X | {"parameters": {"binary_data_size": "16"}}]},
            _ROW,
            'binary_data_size: found "16", expected an integer of 0 or more',
        ),
        ({"inputs": [_X | {"data": [1, 2, 4, 3]}]}, _ROW, "data: found a list of 4, expected none beside binary_data_size"),
        ({"inputs": [_X | {"datatype": "INT32"}]}, _ROW, 'datatype: found "INT32", expected FP32'),
        ({"inputs": [_X | {"shape": [-1, 4]}]}, _ROW, "shape[0]: found -1, expected an integer of 0 or more"),
        ({"inputs": [_X | {"shape": [2**62, 4]}]}, _ROW, "raw contents: found 16 bytes, expected 73786976294838206464 for shape"),
        ({"inputs": [_X, _X]}, _ROW * 2, 'inputs[1].name: found "x" a second time'),
        ({"inputs": [_X], "parameters": {"binary_data_output": 1}}, _ROW, "parameters.binary_data_output: found 1, expected true or false"),
        (
            {"inputs": [_X], "outputs": [{"name": "y", "parameters": {"binary_data": "yes"}}]},
            _ROW,
            'outputs[0].parameters.binary_data: found "yes", expected true or false',
        ),
        ({"inputs": [_X], "outputs": [{"name": "y", "parameters": 1}]}, _ROW, "outputs[0].parameters: found 1, expected an object"),
        (
            {"inputs": [_X], "outputs": [{"name": "y", "parameters": {"classification": 3}}]},
            _ROW,
            "does not have the classification extension",
        ),
        ({"inputs": [_X | {"parameters": {"shared_memory_region": "r"}}]}, b"", "does not have the shared memory extension"),
        ({"inputs": [{**_X, "parameters": {}, "data": [1, 2, 4, 3]}]}, b"!", "the body: found 1 bytes after the last input, expected none"),
    ],
)
def test_refused(request_: object, blob: bytes, message: str) -> None:
    with pytest.raises(Rejected) as refusal:
        _read(request_, blob)
    assert refusal.value.status == 400
    assert message in refusal.value.message


@pytest.mark.parametrize(
    ("datatype", "shape", "blob", "message"),
    [
        ("BOOL", [2], b"\x00\x02", "found a byte of 2, expected 0 or 1"),
        ("BYTES", [1], b"\x01\x00\x00", "found an element that ends after the 3 bytes there are"),
        ("BYTES", [1], b"\xff\xff\xff\xff!", "found an element that ends after the 5 bytes there are"),
        ("BYTES", [2], _text(b"a"), "found 1 elements, expected 2"),
        ("BYTES", [0], _text(b"a", b"b"), "found more elements, expected 0"),
        ("BYTES", [1], _text(b"\xff"), "found bytes that are not UTF-8"),
        ("INT64", [1], b"\x00" * 7, "found 7 bytes, expected 8"),
        ("BF16", [1], b"\x00" * 4, "found 4 bytes, expected 2"),
    ],
)
def test_refused_bytes(datatype: str, shape: list[int], blob: bytes, message: str) -> None:
    item = {"name": "x", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": len(blob)}}
    with pytest.raises(Rejected, match=message):
        _read({"inputs": [item]}, blob, _schema(tensor("x", datatype, -1)))


def test_inputs_take_their_bytes_in_order_and_json_may_be_between() -> None:
    schema = _schema(tensor("a", "INT8", -1), tensor("b", "FP64", 1), tensor("c", "BYTES", -1))
    inputs = [
        {"name": "c", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 9}},
        {"name": "b", "shape": [1], "datatype": "FP64", "data": [0.5]},
        {"name": "a", "shape": [3], "datatype": "INT8", "parameters": {"binary_data_size": 3}},
    ]
    call = _read({"inputs": inputs}, _text(b"", b"x") + b"\x01\x02\xff", schema)
    assert {name: array.tolist() for name, array in call.inputs.items()} == {"c": ["", "x"], "b": [0.5], "a": [1, 2, -1]}


@given(st.integers(0, 16))
def test_what_the_model_gets_is_aligned_wherever_the_bytes_begin(padding: int) -> None:
    call = _read({"inputs": [_X], "id": "i" * padding}, _ROW)
    assert call.inputs["x"].flags.aligned
    assert call.inputs["x"].tolist() == [[1, 2, 4, 3]]


@pytest.mark.parametrize(
    ("all_", "one", "binary"),
    [(None, None, set()), (True, None, {"y", "top"}), (True, False, {"top"}), (False, True, {"y"}), (None, True, {"y"})],
)
def test_what_is_said_of_one_output_goes_before_what_is_said_of_all(all_: bool | None, one: bool | None, binary: set[str]) -> None:
    parameters = {} if all_ is None else {"binary_data_output": all_}
    own = {} if one is None else {"binary_data": one}
    call = _read({"inputs": [_X], "parameters": parameters, "outputs": [{"name": "y", "parameters": own}, {"name": "top"}]}, _ROW)
    assert call.binary == binary


@pytest.mark.parametrize(
    ("declared", "body", "shape"),
    [
        (tensor("x", "FP32", -1, 4), _ROW, (1, 4)),
        (tensor("x", "FP32", -1, 4), _ROW * 3, (3, 4)),
        (tensor("x", "FP32", -1, -1), _ROW, (1, 4)),
        (tensor("x", "FP32", 2, 2), _ROW, (2, 2)),
        (tensor("x", "FP32"), _ROW[:4], ()),
        (tensor("x", "FP32", -1), b"", (0,)),
        (tensor("x", "BYTES", -1, 1), b"abc", (1, 1)),
        (tensor("x", "BF16", -1), b"\x80\x3f", (1,)),
    ],
)
def test_a_body_that_is_the_only_input(declared: Tensor, body: bytes, shape: tuple[int, ...]) -> None:
    call = protocol.read_call(body, _schema(declared), 0)
    assert call.inputs["x"].shape == shape
    assert call.binary == {"y", "top"}


@pytest.mark.parametrize(
    ("inputs", "body", "message"),
    [
        ([tensor("x", "FP32", -1, 4)], _ROW[:15], 'the body as "x": raw contents: found 15 bytes, expected a multiple of 16'),
        ([tensor("x", "FP32", 1, 4)], b"", "found 0 bytes, expected 16"),
        ([tensor("x", "FP32", -1, -1, -1)], _ROW, "expected at most one free axis beside the batch"),
        ([tensor("x", "FP32", 4, -1, -1)], _ROW, "expected at most one free axis beside the batch"),
        ([tensor("x", "FP32", -1, 0)], _ROW, "expected a multiple of 0"),
        ([tensor("x", "BYTES", -1, 2)], b"a", "expected one element"),
        ([tensor("x", "FP32", 4), tensor("z", "FP32", 4)], _ROW, "which is for models with one input"),
    ],
)
def test_a_body_that_cannot_be_the_only_input(inputs: list[Tensor], body: bytes, message: str) -> None:
    with pytest.raises(Rejected) as refusal:
        protocol.read_call(body, _schema(*inputs), 0)
    assert message in refusal.value.message


def test_bytes_that_are_not_announced() -> None:
    with pytest.raises(Rejected, match="binary_data_size: found 16, expected none without the header inference-header-content-length"):
        protocol.read_call(orjson.dumps({"inputs": [_X]}), _schema())


def test_a_json_longer_than_the_body() -> None:
    with pytest.raises(Rejected, match="inference-header-content-length: found 99, expected at most 2, the bytes of the body"):
        protocol.read_call(b"{}", _schema(), 99)


@pytest.mark.parametrize("value", [b"-1", b"", b"1.0", b"0x10", b"+1", b"1" * 13, "\u0661".encode()])
def test_lengths_that_are_none(value: bytes) -> None:
    with pytest.raises(Rejected, match="expected a whole number of bytes"):
        headers.check([(b"inference-header-content-length", value)], 100, 1)


def test_two_lengths_must_be_one() -> None:
    name = b"inference-header-content-length"
    assert headers.check([(name, b"7"), (name, b"7")], 100, 1) == (b"", 1, 7)
    with pytest.raises(Rejected, match="found 7 and 8, expected one number"):
        headers.check([(name, b"7"), (name, b"8")], 100, 1)
