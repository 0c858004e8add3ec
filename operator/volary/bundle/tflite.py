"""A TensorFlow Lite model without its interpreter: what it takes and gives.

FlatBuffers (https://flatbuffers.dev/internals/): all is found by offsets. A table begins with the
signed distance back to its vtable, which lists where each field is, 0 for absent. Field numbers and
types are those of tensorflow/lite/schema/schema.fbs (version 3).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from volary.bundle import limits, paths
from volary.bundle.facts import Facts
from volary.bundle.formats import Format
from volary.bundle.manifest import Tensor
from volary.bundle.protobuf import Reader
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

IDENTIFIER = b"TFL3"  # bytes 4 to 8 of the file
_SCHEMA_VERSION = 3

# TensorType of schema.fbs
_DATATYPES = {
    0: Datatype.FP32,
    1: Datatype.FP16,
    2: Datatype.INT32,
    3: Datatype.UINT8,
    4: Datatype.INT64,
    5: Datatype.BYTES,
    6: Datatype.BOOL,
    7: Datatype.INT16,
    9: Datatype.INT8,
    10: Datatype.FP64,
    12: Datatype.UINT64,
    15: Datatype.UINT32,
    16: Datatype.UINT16,
    18: Datatype.BF16,
}


@dataclass(frozen=True, slots=True)
class Signature:
    """What the first signature takes and gives, or the first graph where there is none."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def check(reader: Reader, size: int, name: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Facts:
    """That the file says it is one; no runtime serves it, so its operators are not looked at. Raises Refused (ModelInvalid)."""
    if reader(0, min(size, 8))[4:8] != IDENTIFIER:
        raise Refused(Reason.MODEL_INVALID, f"{paths.show(name)} is no TensorFlow Lite model: it does not say TFL3 at byte 4")
    given, wanted = tuple(each.name for each in inputs), tuple(each.name for each in outputs)
    return Facts(format=Format.TFLITE, producer="", version=_SCHEMA_VERSION, opsets=(), operators=(), inputs=given, outputs=wanted)


class _Malformed(ValueError):
    """An offset leads out of the file."""


@dataclass(frozen=True, slots=True)
class _Table:
    data: memoryview
    at: int

    def number(self, field: int, code: str) -> int:
        """A scalar; 0 when it is absent."""
        where = self._where(field)
        return _number(self.data, where, code) if where else 0

    def table(self, field: int) -> "_Table | None":
        where = self._target(field)
        return _Table(self.data, where) if where else None

    def tables(self, field: int) -> list["_Table"]:
        return [_Table(self.data, at + _number(self.data, at, "I")) for at in self._elements(field, 4)]

    def numbers(self, field: int) -> tuple[int, ...]:
        return tuple(_number(self.data, at, "i") for at in self._elements(field, 4))

    def text(self, field: int) -> str:
        where = self._target(field)
        size = _number(self.data, where, "I") if where else 0
        if where + 4 + size > len(self.data):
            raise _Malformed("a text is longer than the file")
        return str(self.data[where + 4 : where + 4 + size], "utf-8") if where else ""

    def _elements(self, field: int, width: int) -> Iterator[int]:
        where = self._target(field)
        count = _number(self.data, where, "I") if where else 0
        if count > (len(self.data) - where) // width:
            raise _Malformed("a list is longer than the file")
        return iter(range(where + 4, where + 4 + count * width, width))

    def _target(self, field: int) -> int:
        where = self._where(field)
        return where + _number(self.data, where, "I") if where else 0

    def _where(self, field: int) -> int:
        """The position of a field, 0 when it is absent: vtable = size, size of the table, then an offset a field."""
        vtable = self.at - _number(self.data, self.at, "i")
        entry = 4 + 2 * field
        if vtable < 0 or entry + 2 > _number(self.data, vtable, "H"):
            return 0
        offset = _number(self.data, vtable + entry, "H")
        return self.at + offset if offset else 0


def signature(data: bytes) -> Signature:
    """Read a `.tflite` file. Raises Refused (FormatUnsupported)."""
    if data[4:8] != IDENTIFIER:
        _unfit("it does not say TFL3 at byte 4")
    view = memoryview(data)
    try:
        return _signature(_Table(view, _number(view, 0, "I")))
    except (_Malformed, UnicodeDecodeError) as error:
        _unfit(f"it is damaged: {error}")


def _signature(model: _Table) -> Signature:
    graphs, signatures = model.tables(2), model.tables(7)
    if not graphs:
        _unfit("it holds no graph")
    if signatures:
        first = signatures[0]
        number = first.number(4, "I")
        if number >= len(graphs):
            raise _Malformed("a signature is of a graph that is not there")
        tensors = graphs[number].tables(0)
        named = [[(entry.text(0), entry.number(1, "I")) for entry in first.tables(field)] for field in (0, 1)]
    else:
        tensors = graphs[0].tables(0)
        named = [[("", number) for number in graphs[0].numbers(field)] for field in (1, 2)]
    inputs, outputs = (tuple(_tensor(name, number, tensors) for name, number in side) for side in named)
    return Signature(inputs, outputs)


def _tensor(name: str, number: int, tensors: list[_Table]) -> Tensor:
    if not 0 <= number < len(tensors):
        raise _Malformed(f"there is no tensor {number}")
    found = tensors[number]
    name = name or found.text(3)
    datatype = _DATATYPES.get(found.number(1, "b"))
    if datatype is None:
        _unfit(f"the tensor {name[:100]!r} has the type {found.number(1, 'b')}, which the inference protocol does not know")
    shape = found.numbers(7) or found.numbers(0)  # shape_signature has -1 where shape has 1
    if not 1 <= len(name) <= limits.TENSOR_NAME or len(shape) > limits.DIMENSIONS or any(size < -1 for size in shape):
        _unfit(f"the tensor {name[:100]!r} has a name or a shape that cannot be: {list(shape[: limits.DIMENSIONS])}")
    return Tensor(name=name, datatype=datatype, shape=shape)


def _number(data: memoryview, at: int, code: str) -> int:
    try:
        return int(struct.unpack_from(f"<{code}", data, at)[0]) if at >= 0 else _outside()
    except struct.error:
        _outside()


def _outside() -> NoReturn:
    raise _Malformed("an offset leads out of the file")


def _unfit(message: str) -> NoReturn:
    raise Refused(Reason.FORMAT_UNSUPPORTED, f"the .tflite file cannot be packed: {message}")
