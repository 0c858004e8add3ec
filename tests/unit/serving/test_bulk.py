"""The quick way and the careful way read every request alike, and the quick way never takes what the other refuses."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serving.bundles import tensor
from volary.bundle.tensors import Datatype
from volary.serving import bulk, protocol
from volary.serving.protocol import Rejected, Schema

_NUMERIC = sorted(set(Datatype) - {Datatype.BOOL, Datatype.BYTES})


def _schema(datatype: str, rank: int) -> Schema:
    return Schema("m", "1", {"x": tensor("x", datatype, *([-1] * rank))}, {"y": tensor("y", datatype, -1)})


def _outcome(body: bytes, schema: Schema) -> Any:
    try:
        call = protocol.read_call(body, schema)
    except Rejected as fault:
        return fault.message
    return call.id, call.binary, {name: (array.dtype, array.shape, array.tobytes()) for name, array in call.inputs.items()}


def _same_both_ways(body: bytes, schema: Schema, monkeypatch: pytest.MonkeyPatch) -> Any:
    outcomes = []
    for worth in (0, len(body) + 1):
        monkeypatch.setattr(bulk, "WORTH", worth)
        outcomes.append(_outcome(body, schema))
    assert outcomes[0] == outcomes[1]
    return outcomes[0]


_elements = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([None, True, "1", 0, 255, 256, -128, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 65504, 70000, 3.4e38, 1e39, -0.0, [], [1]])
    | st.integers(0, 100)
)


@pytest.mark.parametrize("datatype", _NUMERIC)
def test_any_flat_data(datatype: str) -> None:
    @given(st.lists(_elements, max_size=4), st.integers(0, 4), st.booleans())
    def alike(data: list[Any], size: int, fits: bool) -> None:
        item = {"name": "x", "shape": [len(data) if fits else size], "datatype": datatype, "data": data}
        with pytest.MonkeyPatch.context() as patch:
            _same_both_ways(json.dumps({"inputs": [item]}).encode(), _schema(datatype, 1), patch)

    alike()


@given(st.recursive(st.integers(0, 9), lambda inner: st.lists(inner, max_size=3), max_leaves=12), st.lists(st.integers(0, 3), max_size=3))
def test_any_nesting(data: Any, shape: list[int]) -> None:
    body = orjson.dumps({"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "data": data}]})
    with pytest.MonkeyPatch.context() as patch:
        _same_both_ways(body, _schema("FP32", len(shape)), patch)


_X: dict[str, Any] = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3.5, 4]}


@pytest.mark.parametrize(
    ("request_", "quick"),
    [
        ({"inputs": [_X]}, True),
        ({"inputs": [_X | {"data": [[1, 2], [3, 4]]}]}, True),
        ({"id": "7", "inputs": [_X], "outputs": [{"name": "y", "parameters": {"binary_data": True}}], "parameters": {"a": 1}}, True),
        ({"inputs": [_X | {"data": [[1, 2], [3, [4]]]}]}, False),
        ({"inputs": [_X | {"data": [[1, 2, 3], [4]]}]}, False),
        ({"inputs": [_X | {"data": [1, [2, 3], 4]}]}, False),
        ({"inputs": [_X | {"data": [1, 2, None, 4]}]}, False),
        ({"inputs": [_X], "id": "["}, False),
        ({"inputs": [_X | {"shape": []}]}, True),
        ({"inputs": [1]}, False),
        ({"inputs": {}}, False),
        ([_X], False),
    ],
)
def test_what_is_quick(request_: Any, quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    body = orjson.dumps(request_)
    assert (bulk.loads(body) is not None) is quick
    _same_both_ways(body, _schema("FP32", 2), monkeypatch)


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"inputs": [\xff]}', b'{"inputs": [{"name": "x", "data": [NaN]}]}', b'{"inputs": [01]}', b"[" * 5000]
)
def test_what_is_no_json(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bulk.loads(body) is None
    assert _same_both_ways(body, _schema("FP32", 1), monkeypatch).startswith("the body is not JSON: ")


def test_the_last_of_two_keys_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1], "data": [2]}]}'
    assert _same_both_ways(body, _schema("FP32", 1), monkeypatch)[2]["x"][2] == np.float32(2).tobytes()


def test_numbers_beyond_doubles_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"inputs": [{"name": "x", "shape": [2], "datatype": "INT64", "data": [9007199254740993, -9223372036854775808]}]}'
    found = _same_both_ways(body, _schema("INT64", 1), monkeypatch)[2]["x"][2]
    assert np.frombuffer(found, np.int64).tolist() == [2**53 + 1, -(2**63)]
