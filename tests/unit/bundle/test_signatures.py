"""The serving signature of a SavedModel, from its bytes alone."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packaging.convert import wire
from volary.bundle import saved_model_signature, tflite
from volary.bundle.manifest import Tensor
from volary.bundle.saved_model_signature import Signature
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason


def read(data: bytes) -> Signature:
    return saved_model_signature.signature(lambda start, size: data[start : start + size], len(data), "saved_model.pb")


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
    "another tag": (wire.saved_model(tag="gpu"), "no graph with the tag 'serve'"),
    "nothing": (b"", "no graph with the tag 'serve'"),
    "no rank": (wire.saved_model({"x": wire.tensor_info(None)}), "'x' has no known rank"),
    "complex": (wire.saved_model({"x": wire.tensor_info((1,), wire.COMPLEX)}), "'x' has the data type 8"),
    "sparse": (wire.saved_model({"x": wire.tensor_info((1,), dense=False)}), "'x' is sparse"),
    "a long name": (wire.saved_model({"x" * 300: wire.tensor_info((1,))}), "a name of 300 characters"),
    "no name": (wire.saved_model({"": wire.tensor_info((1,))}), "a name of 0 characters"),
    "a size that cannot be": (wire.saved_model({"x": wire.tensor_info((2**40,))}), "a shape that cannot be"),
    "a negative size": (wire.saved_model({"x": wire.tensor_info((-2,))}), "a shape that cannot be"),
    "many dimensions": (wire.saved_model({"x": wire.tensor_info((1,) * 99)}), "a shape that cannot be"),
    "cut off": (wire.saved_model()[:-3], "cannot be read as a model"),
    "another file": (b"\xff" * 20, "cannot be read as a model"),
}


@pytest.mark.parametrize(("data", "said"), UNFIT.values(), ids=UNFIT)
def test_what_cannot_be_served_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(Refused) as caught:
        read(data)
    assert caught.value.reason in (Reason.FORMAT_UNSUPPORTED, Reason.MODEL_INVALID)
    assert said in caught.value.message


def test_the_signature_of_a_tflite_file_is_read() -> None:
    found = tflite.signature(wire.tflite())
    assert found.inputs == (Tensor(name="image", datatype=Datatype.FP32, shape=(-1, 8, 8)),)
    assert found.outputs == (Tensor(name="scores", datatype=Datatype.FP32, shape=(-1, 10)),)
    without = tflite.signature(wire.tflite(signed=False, datatype=9))
    assert without.inputs == (Tensor(name="serving_default_image:0", datatype=Datatype.INT8, shape=(-1, 8, 8)),)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "does not say TFL3"),
        (b"\x00" * 4 + b"TFL3", "holds no graph"),
        (b"\xff" * 4 + b"TFL3" + b"\x00" * 50, "damaged"),
        (wire.tflite(datatype=8), "has the type 8"),
        (wire.tflite(name="x" * 300), "a name or a shape that cannot be"),
    ],
)
def test_what_is_no_tflite_file(data: bytes, said: str) -> None:
    with pytest.raises(Refused) as caught:
        tflite.signature(data)
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED
    assert said in caught.value.message


@given(st.data())
def test_a_damaged_file_is_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    for good, reads in ((wire.saved_model(), read), (wire.tflite(), tflite.signature)):
        spoilt = bytearray(good)
        for _ in range(data.draw(st.integers(1, 4))):
            spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
        with suppress(Refused):
            reads(bytes(spoilt[: data.draw(st.integers(0, len(spoilt)))]))
