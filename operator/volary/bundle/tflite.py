"""A TensorFlow Lite model without its interpreter: what it takes and gives, and whether it only computes.

FlatBuffers (https://flatbuffers.dev/internals/): all is found by offsets. A table begins with the
signed distance back to its vtable, which lists where each field is, 0 for absent. Field numbers and
types are those of tensorflow/lite/schema/schema.fbs (version 3). Only the pages that offsets lead to
are read, so the weights are not.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from volary.bundle import limits, paths
from volary.bundle.facts import Facts
from volary.bundle.formats import Format
from volary.bundle.manifest import Tensor
from volary.bundle.protobuf import Reader
from volary.bundle.saved_model_operators import ALLOWED
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

IDENTIFIER = b"TFL3"  # bytes 4 to 8 of the file
_HEADER = 8  # bytes: where the model is, and the identifier
_FLEX = "Flex"  # begins the name of an operator that TensorFlow itself is to run
_PAGE = 64 * limits.KIB
_ELEMENTS = 100_000  # of one list; a large model has some thousand tensors
_TEXT = 64 * limits.KIB

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


class _Malformed(ValueError):
    """An offset leads out of the file."""


@dataclass(slots=True)
class _File:
    """Bytes by position, a page at a time, each page once."""

    reader: Reader
    size: int
    budget: int
    pages: dict[int, bytes] = field(default_factory=dict)

    def read(self, at: int, size: int) -> bytes:
        """Raises _Malformed where the file has not so many bytes."""
        if not 0 <= at <= self.size - size:
            raise _Malformed("an offset leads out of the file")
        first = at // _PAGE
        data = b"".join(self._page(each) for each in range(first, (at + size - 1) // _PAGE + 1))
        return data[at - first * _PAGE :][:size]

    def number(self, at: int, code: str) -> int:
        """A scalar, in the words of `struct`."""
        return int(struct.unpack(f"<{code}", self.read(at, struct.calcsize(code)))[0])

    def _page(self, number: int) -> bytes:
        if number not in self.pages:
            self.budget -= _PAGE
            if self.budget < 0:
                raise Refused(Reason.LIMIT_EXCEEDED, "the .tflite file has more bytes outside of its weights than are looked at")
            start = number * _PAGE
            wanted = min(_PAGE, self.size - start)
            self.pages[number] = self.reader(start, wanted)
            if len(self.pages[number]) != wanted:
                raise _Malformed("it ends early")
        return self.pages[number]


@dataclass(frozen=True, slots=True)
class _Table:
    file: _File
    at: int

    def number(self, field: int, code: str) -> int:
        """A scalar; 0 when it is absent."""
        where = self._where(field)
        return self.file.number(where, code) if where else 0

    def tables(self, field: int) -> list["_Table"]:
        return [_Table(self.file, at + self.file.number(at, "I")) for at in self._elements(field, 4)]

    def numbers(self, field: int) -> tuple[int, ...]:
        return tuple(self.file.number(at, "i") for at in self._elements(field, 4))

    def text(self, field: int) -> str:
        where = self._target(field)
        size = self.file.number(where, "I") if where else 0
        if size > _TEXT:
            raise _Malformed(f"a text has {size} bytes")
        return str(self.file.read(where + 4, size), "utf-8") if size else ""

    def _elements(self, field: int, width: int) -> Iterator[int]:
        where = self._target(field)
        count = self.file.number(where, "I") if where else 0
        if count > _ELEMENTS:
            raise _Malformed(f"a list has {count} elements")
        return iter(range(where + 4, where + 4 + count * width, width))

    def _target(self, field: int) -> int:
        where = self._where(field)
        return where + self.file.number(where, "I") if where else 0

    def _where(self, field: int) -> int:
        """The position of a field, 0 when it is absent: vtable = size, size of the table, then an offset a field."""
        vtable = self.at - self.file.number(self.at, "i")
        entry = 4 + 2 * field
        if vtable < 0 or entry + 2 > self.file.number(vtable, "H"):
            return 0
        offset = self.file.number(vtable + entry, "H")
        return self.at + offset if offset else 0


def signature(reader: Reader, size: int, *, budget: int = limits.GRAPH_BYTES) -> Signature:
    """Of a `.tflite` file of `size` bytes. Raises Refused (FormatUnsupported, LimitExceeded)."""
    with _opened(reader, size, budget) as model:
        return _signature(model)


def check(reader: Reader, size: int, *, budget: int = limits.GRAPH_BYTES) -> Facts:
    """Facts of a file of `size` bytes, at most `budget` of which are read.

    The interpreter's own operators compute. Those called Flex* are TensorFlow's, which do more, so they are held to
    its list. Raises Refused (FormatUnsupported, OperatorNotAllowed, LimitExceeded).
    """
    with _opened(reader, size, budget) as model:
        return _facts(model)


@contextmanager
def _opened(reader: Reader, size: int, budget: int) -> Iterator[_Table]:
    """The model; what is wrong with it becomes Refused."""
    file = _File(reader, size, budget)
    try:
        if size < _HEADER or file.read(4, 4) != IDENTIFIER:
            _unfit("it does not say TFL3 at byte 4")
        yield _Table(file, file.number(0, "I"))
    except (_Malformed, UnicodeDecodeError) as error:
        _unfit(f"it is damaged: {error}")


def _facts(model: _Table) -> Facts:
    for operator in model.tables(1):  # OperatorCode: custom_code is field 1
        name = operator.text(1)
        if name.startswith(_FLEX) and name.removeprefix(_FLEX) not in ALLOWED:
            raise Refused(
                Reason.OPERATOR_NOT_ALLOWED,
                f"the .tflite file has the operator {paths.show(name)}, which is not on the list of those that only compute; "
                "export the model without it",
            )
    found = _signature(model)
    return Facts(
        format=Format.TFLITE,
        producer="",
        version=model.number(0, "I"),
        opsets=(),
        operators=(),
        inputs=tuple(tensor.name for tensor in found.inputs),
        outputs=tuple(tensor.name for tensor in found.outputs),
    )


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


def _unfit(message: str) -> NoReturn:
    raise Refused(Reason.FORMAT_UNSUPPORTED, f"the .tflite file cannot be packed: {message}")
