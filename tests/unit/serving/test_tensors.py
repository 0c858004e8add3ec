"""The codec: what is taken, what is refused and how it is said, and that nothing changes on the way."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.unit.serving.bundles import tensor
from volary.bundle.tensors import Datatype
from volary.serving import brain
from volary.serving.tensors import Array, TensorInvalid, decode, encode, show

_DTYPES: dict[str, type] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BF16": np.float32,
    "BYTES": np.object_,
}


def arrays(datatype: str) -> st.SearchStrategy[Array]:
    elements: Any = None
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    if datatype == "BF16":
        numbers = st.integers(0, 0xFFFF).filter(lambda bits: bits & 0x7FFF != 0x7F80)  # no infinity
        return hnp.arrays(np.uint16, shapes, elements=numbers).map(brain.widen)
    if datatype == "BYTES":
        elements = st.text(max_size=5)
    elif datatype.startswith("FP"):
        elements = {"allow_infinity": False}
    return hnp.arrays(np.dtype(_DTYPES[datatype]), shapes, elements=elements)


def taken(datatype: str, shape: list[int], data: object) -> Array:
    return decode(tensor("x", datatype, *([-1] * len(shape))), {"datatype": datatype, "shape": shape, "data": data})


def test_every_datatype_is_served() -> None:
    assert set(_DTYPES) == set(Datatype)


@pytest.mark.parametrize("datatype", sorted(_DTYPES))
def test_an_array_survives_the_way_to_json_and_back(datatype: str) -> None:
    @given(arrays(datatype))
    def survives(array: Array) -> None:
        declared = tensor("x", datatype, *([-1] * array.ndim))
        wire = orjson.loads(orjson.dumps(encode(declared, array), option=orjson.OPT_SERIALIZE_NUMPY))
        nested = orjson.loads(orjson.dumps(array.tolist() if array.ndim else [array.item()]))
        for data in (wire["data"], nested):
            back = decode(declared, {**wire, "data": data})
            assert back.dtype == array.dtype
            np.testing.assert_array_equal(back, array)

    survives()


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "expected"),
    [
        ("FP32", [2, 2], [1, 2, 3, 4], [[1, 2], [3, 4]]),
        ("FP32", [2, 2], [[1, 2], [3, 4.0]], [[1, 2], [3, 4]]),
        ("FP32", [], [1.5], 1.5),
        ("FP32", [1], [None], [np.nan]),
        ("FP16", [1], [65504], [65504]),
        ("FP64", [1], [1e308], [1e308]),
        ("BF16", [4], [1, 1.00390625, 1.01171875, 0.1], [1, 1, 1.015625, 0.10009765625]),  # the nearest, of two the even one
        ("FP64", [1], [18446744073709551615], [18446744073709551615.0]),
        ("UINT64", [1], [18446744073709551615], [18446744073709551615]),
        ("INT64", [2], [-9223372036854775808, 9223372036854775807], [-9223372036854775808, 9223372036854775807]),
        ("INT8", [2, 0], [], np.empty((2, 0))),
        ("INT8", [2, 0], [[], []], np.empty((2, 0))),
        ("INT8", [0, 2], [], np.empty((0, 2))),
        ("BOOL", [2], [True, False], [True, False]),
        ("BYTES", [1, 2], [["a", "\u00e9"]], [["a", "\u00e9"]]),
    ],
)
def test_taken(datatype: str, shape: list[int], data: object, expected: object) -> None:
    array = taken(datatype, shape, data)
    assert array.shape == tuple(shape)
    np.testing.assert_array_equal(array, np.array(expected, dtype=_DTYPES[datatype]))


_GOOD: dict[str, Any] = {"datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
_FP32 = "a number from -3.40282e+38 to 3.40282e+38, or null for NaN"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datatype": "FP64"}, 'datatype: found "FP64", expected FP32'),
        ({"datatype": None}, "datatype: found null, expected FP32"),
        ({"datatype": ["FP32"]}, "datatype: found a list of 1, expected FP32"),
        ({"shape": None}, "shape: found nothing, expected a list like [-1, 2]"),
        ({"shape": "2x2"}, 'shape: found "2x2", expected a list like [-1, 2]'),
        ({"shape": [4]}, "shape: found 1 dimensions, expected 2: [-1, 2]"),
        ({"shape": [2, 3]}, "shape[1]: found 3, expected 2"),
        ({"shape": [-1, 2]}, "shape[0]: found -1, expected an integer of 0 or more"),
        ({"shape": [True, 2]}, "shape[0]: found true, expected an integer of 0 or more"),
        ({"shape": [2.0, 2]}, "shape[0]: found 2.0, expected an integer of 0 or more"),
        ({"shape": [2, "2"]}, 'shape[1]: found "2", expected 2'),
        ({"shape": [3, 2]}, "data: found 4 elements, expected 6 for shape [3, 2]"),
        ({"shape": [10**15, 2]}, "data: found 4 elements, expected 2000000000000000 for shape [1000000000000000, 2]"),
        ({"data": None}, "data: found nothing, expected a list"),
        ({"data": 1}, "data: found 1, expected a list"),
        ({"data": {}}, "data: found an object, expected a list"),
        ({"data": []}, "data: found 0 elements, expected 4 for shape [2, 2]"),
        ({"data": [[1, 2]]}, "data: found 1 nested lists, expected nesting of shape [2, 2]"),
        ({"data": [[1, 2], [3]]}, "data: found a list of 1 on axis 1, expected 2 for shape [2, 2]"),
        ({"data": [[1, 2], 3]}, "data: found a value where axis 1 begins, expected nesting of shape [2, 2]"),
        ({"data": [[1, 2], [3, [4]]]}, f"data[3]: found a list of 1, expected {_FP32}"),
        ({"data": [1, 2, 3, "4"]}, f'data[3]: found "4", expected {_FP32}'),
        ({"data": [1, True, 3, 4]}, f"data[1]: found true, expected {_FP32}"),
        ({"data": [1, 2, 1e39, 4]}, f"data[2]: found 1e+39, expected {_FP32}"),
        ({"data": [1, 2, "x" * 500, 4]}, f'data[2]: found "{"x" * 59}..., expected {_FP32}'),
    ],
)
def test_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TensorInvalid) as refusal:
        decode(tensor("x", "FP32", -1, 2), _GOOD | change)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("datatype", "value", "expected"),
    [
        ("BOOL", 1, "data[0]: found 1, expected true or false"),
        ("UINT8", 256, "data[0]: found 256, expected an integer from 0 to 255"),
        ("UINT8", -1, "data[0]: found -1, expected an integer from 0 to 255"),
        ("UINT64", -1, "data[0]: found -1, expected an integer from 0 to 18446744073709551615"),
        ("UINT64", 18446744073709551616.0, "data[0]: found 1.8446744073709552e+19, expected an integer from 0 to 18446744073709551615"),
        ("INT8", 128, "data[0]: found 128, expected an integer from -128 to 127"),
        ("INT16", 1.0, "data[0]: found 1.0, expected an integer from -32768 to 32767"),
        ("INT32", None, "data[0]: found null, expected an integer from -2147483648 to 2147483647"),
        ("INT64", 2**63, "data[0]: found 9223372036854775808, expected an integer from -9223372036854775808 to 9223372036854775807"),
        ("FP16", 70000, "data[0]: found 70000, expected a number from -65504 to 65504, or null for NaN"),
        ("FP64", "nan", 'data[0]: found "nan", expected a number from -1.79769e+308 to 1.79769e+308, or null for NaN'),
        ("BF16", 3.4e38, "data[0]: found 3.4e+38, expected a number from -3.38953e+38 to 3.38953e+38, or null for NaN"),
        ("BYTES", 1, "data[0]: found 1, expected a string"),
        ("BYTES", None, "data[0]: found null, expected a string"),
    ],
)
def test_refused_elements(datatype: str, value: object, expected: str) -> None:
    with pytest.raises(TensorInvalid) as refusal:
        taken(datatype, [1], [value])
    assert str(refusal.value) == expected


def test_a_scalar_does_not_nest() -> None:
    with pytest.raises(TensorInvalid, match="nesting of shape"):
        taken("FP32", [], [[1.0]])


@given(st.recursive(st.none() | st.booleans() | st.integers(0, 10) | st.floats() | st.text(), st.lists, max_leaves=5))
def test_whatever_is_found_is_shown_in_one_short_line(value: object) -> None:
    text = show(value)
    assert "\n" not in text
    assert len(text) < 80


def test_an_infinity_of_the_model_becomes_null() -> None:
    wire = orjson.dumps(encode(tensor("y", "FP32", 2), np.array([np.inf, 1], np.float32)), option=orjson.OPT_SERIALIZE_NUMPY)
    assert orjson.loads(wire)["data"] == [None, 1.0]
