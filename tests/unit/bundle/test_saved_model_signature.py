"""The serving signature of a SavedModel, from its bytes alone."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.bundle.inspecting import counted, spoilt
from tests.unit.bundle.wire import field, tag
from tests.unit.packaging.convert import wire
from volary.bundle import protobuf, saved_model_signature
from volary.bundle.manifest import Tensor
from volary.bundle.protobuf import Schema, Span, Walker, Wire
from volary.bundle.saved_model_signature import Signature
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason


def read(data: bytes) -> Signature:
    return saved_model_signature.read(counted(data), len(data), "saved_model.pb")


def test_the_signature_is_read() -> None:
    data = wire.saved_model(
        {"words": wire.tensor_info((-1,), 7), "ids": wire.tensor_info((-1, 4), wire.INT64)},
        {"scores": wire.tensor_info((-1, 10)), "scale": wire.tensor_info((), 2)},
    )
    found = read(data)
    assert found.inputs == (
        Tensor(name="ids", datatype=Datatype.INT64, shape=(-1, 4)),
        Tensor(name="words", datatype=Datatype.BYTES, shape=(-1,)),
    )
    assert found.outputs == (
        Tensor(name="scale", datatype=Datatype.FP64, shape=()),
        Tensor(name="scores", datatype=Datatype.FP32, shape=(-1, 10)),
    )
    assert found.tensorflow == "2.20.0"


UNFIT = {
    "another signature": (wire.saved_model(name="predict"), "has the signatures 'predict' and not 'serving_default'"),
    "another tag": (wire.saved_model(tag="gpu"), "no graph with just the tag 'serve'"),
    "nothing": (b"", "no graph with just the tag 'serve'"),
    "no rank": (wire.saved_model({"x": wire.tensor_info(None)}), "'x' has no known rank"),
    "complex": (wire.saved_model({"x": wire.tensor_info((1,), wire.COMPLEX)}), "'x' has the data type 8"),
    "sparse": (wire.saved_model({"x": wire.tensor_info((1,), dense=False)}), "'x' is sparse"),
    "a long name": (wire.saved_model({"x" * 300: wire.tensor_info((1,))}), "a name of 300 characters, expected 1 to"),
    "no name": (wire.saved_model({"": wire.tensor_info((1,))}), "a name of 0 characters"),
    "a size that cannot be": (wire.saved_model({"x": wire.tensor_info((2**40,))}), "a shape that cannot be"),
    "a negative size": (wire.saved_model({"x": wire.tensor_info((-2,))}), "a shape that cannot be"),
    "many dimensions": (wire.saved_model({"x": wire.tensor_info((1,) * 99)}), "a shape that cannot be"),
}


@pytest.mark.parametrize(("data", "said"), UNFIT.values(), ids=UNFIT)
def test_what_cannot_be_served_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(Refused) as caught:
        read(data)
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED
    assert said in caught.value.message


@pytest.mark.parametrize("data", [wire.saved_model()[:-3], b"\xff" * 20], ids=["cut off", "another file"])
def test_what_is_no_saved_model_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="cannot be read as a model") as caught:
        read(data)
    assert caught.value.reason is Reason.MODEL_INVALID


def walked(data: bytes, schema: Schema) -> list[tuple[int, int | bytes]]:
    walker = Walker(counted(data), len(data), "a file")
    found = walker.fields(walker.root, schema)
    return [(number, data[value.start : value.end] if isinstance(value, Span) else value) for number, value in found]


@given(st.integers(0, 2**64 - 1), st.binary(max_size=50), st.integers(1, 2**20))
def test_a_message_is_read_back(value: int, data: bytes, number: int) -> None:
    schema = Schema("Any", repeated={number: Wire.VARINT, number + 1: Wire.LENGTH})
    wired = field(number, value) + field(number + 1, data) + field(number, value)
    assert walked(wired, schema) == [(number, value), (number + 1, data), (number, value)]


@pytest.mark.parametrize("value", [0, 1, 127, 128, -1, 2**63 - 1, -(2**63)])
def test_numbers_have_a_sign(value: int) -> None:
    [(_, found)] = walked(field(1, value), Schema("Any", {1: Wire.VARINT}))
    assert isinstance(found, int)
    assert protobuf.signed(found) == value


def test_fields_of_four_and_eight_bytes_are_passed_over() -> None:
    data = tag(1, 5) + b"1234" + tag(2, 1) + b"12345678" + field(3, 7)
    assert walked(data, Schema("Any", {1: Wire.FIXED32, 2: Wire.FIXED64, 3: Wire.VARINT}))[-1] == (3, 7)


@pytest.mark.parametrize("data", [b"\x00\x01", b"\x0b", b"\x0a\x05abc", b"\x08", b"\x08" + b"\xff" * 11, b"\x0d123"])
def test_what_is_no_message(data: bytes) -> None:
    wire_type = Wire.LENGTH if data[0] == 0x0A else Wire.FIXED32 if data[0] == 0x0D else Wire.VARINT
    with pytest.raises(Refused) as caught:
        walked(data, Schema("Any", {1: wire_type}))
    assert caught.value.reason is Reason.MODEL_INVALID


@given(spoilt([wire.saved_model()]))
def test_a_damaged_file_is_refused_or_read_and_nothing_else(data: bytes) -> None:
    with suppress(Refused):
        read(data)
