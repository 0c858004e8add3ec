"""What a TensorFlow Lite file takes and gives, from its bytes alone."""

from contextlib import suppress

import pytest
from hypothesis import given

from tests.unit.bundle.inspecting import counted, spoilt
from tests.unit.packaging.convert import wire
from volary.bundle import limits, tflite
from volary.bundle.formats import Format
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.bundle.tflite import Signature
from volary.common.errors import Refused
from volary.common.reasons import Reason


def read(data: bytes) -> Signature:
    return tflite.signature(counted(data), len(data))


def test_the_signature_of_a_tflite_file_is_read() -> None:
    found = read(wire.tflite())
    assert found.inputs == (Tensor(name="image", datatype=Datatype.FP32, shape=(-1, 8, 8)),)
    assert found.outputs == (Tensor(name="scores", datatype=Datatype.FP32, shape=(-1, 10)),)
    without = read(wire.tflite(signed=False, datatype=9))
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
        read(data)
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED
    assert said in caught.value.message


def test_weights_are_not_read() -> None:
    reader = counted(wire.tflite(), limits.GIB)
    assert tflite.signature(reader, reader.size) == read(wire.tflite())
    assert reader.total < limits.MIB


def test_no_more_is_read_than_allowed() -> None:
    data = wire.tflite()
    with pytest.raises(Refused) as caught:
        tflite.signature(counted(data), len(data), budget=limits.KIB)
    assert caught.value.reason is Reason.LIMIT_EXCEEDED


def test_facts_of_a_file_that_only_computes() -> None:
    for operator in ("", "TFLite_Detection_PostProcess", "FlexErf"):
        data = wire.tflite(operator=operator)
        found = tflite.check(counted(data), len(data))
        assert (found.format, found.inputs, found.outputs) == (Format.TFLITE, ("image",), ("scores",))


def test_an_operator_of_tensorflow_that_does_more_is_refused() -> None:
    data = wire.tflite(operator="FlexWriteFile")
    with pytest.raises(Refused, match="has the operator 'FlexWriteFile'") as caught:
        tflite.check(counted(data), len(data))
    assert caught.value.reason is Reason.OPERATOR_NOT_ALLOWED


@given(spoilt([wire.tflite()]))
def test_a_damaged_file_is_refused_or_read_and_nothing_else(data: bytes) -> None:
    with suppress(Refused):
        tflite.check(counted(data), len(data))
