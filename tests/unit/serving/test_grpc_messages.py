"""Tensors of gRPC, typed and raw, without a server."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nst

from tests.unit.serving.bundles import tensor
from volary.bundle.tensors import Datatype
from volary.serving import brain, grpc_messages, proto, tensors
from volary.serving.protocol import Rejected, Schema
from volary.serving.tensors import Array

_FIELDS = {
    Datatype.BOOL: "bool",
    **dict.fromkeys((Datatype.INT8, Datatype.INT16, Datatype.INT32), "int"),
    **dict.fromkeys((Datatype.UINT8, Datatype.UINT16, Datatype.UINT32), "uint"),
    Datatype.INT64: "int64",
    Datatype.UINT64: "uint64",
    Datatype.FP32: "fp32",
    Datatype.FP64: "fp64",
    Datatype.BYTES: "bytes",
}
_DATATYPES = sorted(Datatype)


def _schema(datatype: Datatype) -> Schema:
    return Schema("m", "1", {"x": tensor("x", datatype, -1, 2)}, {"same": tensor("same", datatype, -1, 2)})


def _arrays(datatype: Datatype) -> st.SearchStrategy[Array]:
    shapes = st.tuples(st.integers(0, 4), st.just(2))
    if datatype is Datatype.BYTES:
        return nst.arrays(np.object_, shapes, elements=st.text(max_size=5))
    if datatype is Datatype.BF16:
        return nst.arrays(np.uint16, shapes).map(brain.widen)
    return nst.arrays(tensors.dtype(datatype), shapes)


def _equal(left: Array, right: Array) -> bool:
    same = left.tolist() == right.tolist() if left.dtype == np.object_ else left.tobytes() == right.tobytes()
    return left.shape == right.shape and same


def _through(datatype: Datatype, request: Any) -> tuple[Array, Any]:
    """What a model gets, and the answer of one that gives it back."""
    schema = _schema(datatype)
    call = grpc_messages.read_call(proto.ModelInferRequest.FromString(request.SerializeToString()), schema)
    answer = grpc_messages.answer(schema, request, call, [call.inputs["x"]])
    return call.inputs["x"], proto.ModelInferResponse.FromString(answer)


@pytest.mark.parametrize("datatype", _DATATYPES)
@given(data=st.data())
def test_raw_there_and_back(datatype: Datatype, data: st.DataObject) -> None:
    array = data.draw(_arrays(datatype))
    request = proto.ModelInferRequest()
    request.inputs.add(name="x", datatype=datatype, shape=array.shape)
    blob = brain.narrow(array).tobytes() if datatype is Datatype.BF16 else array.tobytes()
    if datatype is Datatype.BYTES:
        blob = b"".join(len(each.encode()).to_bytes(4, "little") + each.encode() for each in array.ravel().tolist())
    request.raw_input_contents.append(blob)
    got, answer = _through(datatype, request)
    assert _equal(got, array)
    assert list(answer.raw_output_contents) == [blob]
    assert list(answer.outputs[0].shape) == list(array.shape)


@pytest.mark.parametrize("datatype", sorted(_FIELDS))
@given(data=st.data())
def test_typed_there_and_back(datatype: Datatype, data: st.DataObject) -> None:
    array = data.draw(_arrays(datatype))
    elements = [each.encode() if isinstance(each, str) else each for each in array.ravel().tolist()]
    request = proto.ModelInferRequest()
    request.inputs.add(name="x", datatype=datatype, shape=array.shape, contents={f"{_FIELDS[datatype]}_contents": elements})
    got, answer = _through(datatype, request)
    assert got.shape == array.shape
    assert np.array_equal(got, array, equal_nan=got.dtype.kind == "f")
    assert not answer.raw_output_contents
    assert answer.outputs[0].contents == request.inputs[0].contents or got.dtype.kind == "f"


def test_a_typed_field_with_something_beside_it_is_read_as_well() -> None:
    """The quick way takes the bytes of the field; a field that the protocol does not know is no part of them."""
    request = proto.ModelInferRequest()
    found = request.inputs.add(name="x", datatype="FP32", shape=[1, 2], contents={"fp32_contents": [1.5, -2]})
    found.contents.MergeFromString(b"\xa0\x06\x01")  # field 100
    got, _ = _through(Datatype.FP32, request)
    assert got.tolist() == [[1.5, -2]]


@pytest.mark.parametrize(
    ("datatype", "fields", "raw", "message"),
    [
        ("UINT8", {"uint_contents": [1, 256]}, None, "contents.uint_contents[1]: found 256, expected an integer from 0 to 255"),
        ("INT8", {"int_contents": [-129, 0]}, None, "contents.int_contents[0]: found -129, expected an integer from -128 to 127"),
        ("BYTES", {"bytes_contents": [b"a", b"\xff"]}, None, "contents.bytes_contents[1]: found bytes that are not UTF-8"),
        ("FP16", {"fp32_contents": [1, 2]}, None, "has no typed form"),
        ("BOOL", {}, b"\x00\x02", "found a byte of 2, expected 0 or 1"),
        ("BYTES", {}, b"\x01\x00\x00\x00a\x05\x00\x00\x00b", "an element that ends after the 10 bytes there are"),
        ("BYTES", {}, b"\x00\x00\x00\x00", "found 1 elements, expected 2"),
        ("INT64", {}, b"12345678", "found 8 bytes, expected 16"),
    ],
)
def test_what_is_wrong(datatype: str, fields: dict[str, Any], raw: bytes | None, message: str) -> None:
    request = proto.ModelInferRequest(raw_input_contents=[] if raw is None else [raw])
    request.inputs.add(name="x", datatype=datatype, shape=[1, 2], contents=fields)
    with pytest.raises(Rejected) as raised:
        _through(Datatype(datatype), request)
    assert message in raised.value.message
    assert raised.value.status == 400
