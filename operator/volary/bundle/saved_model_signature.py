"""What the serving signature of a TensorFlow SavedModel takes and gives, without TensorFlow.

Weights are in other files, and of the graph nothing is read here: `saved_model` looks into that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NoReturn

from volary.bundle import limits
from volary.bundle.manifest import Tensor
from volary.bundle.protobuf import Reader, Span, Walker, signed
from volary.bundle.saved_model import TAG
from volary.bundle.saved_model_schema import DIMENSION, ENTRY, META_GRAPH, META_INFO, SAVED_MODEL, SHAPE, SIGNATURE, TENSOR_INFO
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

SERVING = "serving_default"  # the one TensorFlow Serving answers with when a request names none

# DataType of tensorflow/core/framework/types.proto
_DATATYPES: Mapping[int, Datatype] = MappingProxyType(
    {
        1: Datatype.FP32,
        2: Datatype.FP64,
        3: Datatype.INT32,
        4: Datatype.UINT8,
        5: Datatype.INT16,
        6: Datatype.INT8,
        7: Datatype.BYTES,
        9: Datatype.INT64,
        10: Datatype.BOOL,
        14: Datatype.BF16,
        17: Datatype.UINT16,
        19: Datatype.FP16,
        22: Datatype.UINT32,
        23: Datatype.UINT64,
    }
)


@dataclass(frozen=True, slots=True)
class Signature:
    """What `serving_default` takes and gives, by the names requests use, sorted."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensorflow: str  # the version that wrote it; may be empty


def read(reader: Reader, size: int, name: str) -> Signature:
    """Of `saved_model.pb` of `size` bytes. Raises Refused (FormatUnsupported, ModelInvalid, LimitExceeded)."""
    walker = Walker(reader, size, name)
    for _, meta in walker.spans(walker.root, SAVED_MODEL):
        fields = list(walker.spans(meta, META_GRAPH))
        info = [each for number, value in fields if number == 1 for each in walker.spans(value, META_INFO)]
        if {walker.text(value) for number, value in info if number == 4} == {TAG}:
            version = next((walker.text(value) for number, value in info if number == 5), "")
            return _signature(walker, (value for number, value in fields if number == 5), version)
    return _unfit(f"it has no graph with just the tag {TAG!r}")


def _signature(walker: Walker, entries: Iterator[Span], version: str) -> Signature:
    found = dict(_entry(walker, each) for each in entries)
    if SERVING not in found:
        shown = ", ".join(ascii(name[:100]) for name in sorted(found)[:10]) or "none"
        _unfit(f"it has the signatures {shown} and not {SERVING!r}; export the model with it")
    sides = list(walker.spans(found[SERVING], SIGNATURE))
    inputs, outputs = (dict(_entry(walker, value) for number, value in sides if number == side) for side in (1, 2))
    return Signature(
        inputs=tuple(_tensor(walker, name, inputs[name]) for name in sorted(inputs)),
        outputs=tuple(_tensor(walker, name, outputs[name]) for name in sorted(outputs)),
        tensorflow=version,
    )


def _entry(walker: Walker, entry: Span) -> tuple[str, Span]:
    """An entry of a map: key and value, each of which is empty where it is absent."""
    found = dict(walker.spans(entry, ENTRY))
    nothing = Span(entry.end, entry.end, entry.depth + 1)
    return walker.text(found.get(1, nothing)), found.get(2, nothing)


def _tensor(walker: Walker, name: str, info: Span) -> Tensor:
    if not 1 <= len(name) <= limits.TENSOR_NAME:
        _unfit(f"a tensor has a name of {len(name)} characters, expected 1 to {limits.TENSOR_NAME}")
    fields = dict(walker.fields(info, TENSOR_INFO))
    if 1 not in fields:
        _unfit(f"{name!a} is sparse or composite; export a signature with dense tensors")
    number = fields.get(2, 0)
    datatype = _DATATYPES.get(number) if isinstance(number, int) else None
    if datatype is None:
        _unfit(f"{name!a} has the data type {number}, which the inference protocol does not know")
    shape = fields.get(3)
    return Tensor(name=name, datatype=datatype, shape=_shape(walker, name, shape) if isinstance(shape, Span) else ())


def _shape(walker: Walker, name: str, shape: Span) -> tuple[int, ...]:
    """A size of -1 is free."""
    fields = list(walker.fields(shape, SHAPE))
    if any(number == 3 and value for number, value in fields):
        _unfit(f"{name!a} has no known rank; export the model with the shape of its inputs")
    sizes = [_size(walker, value) for number, value in fields if number == 2 and isinstance(value, Span)]
    if len(sizes) > limits.DIMENSIONS or not all(-1 <= size <= limits.DIMENSION for size in sizes):
        _unfit(f"{name!a} has a shape that cannot be: {sizes[: limits.DIMENSIONS]}")
    return tuple(sizes)


def _size(walker: Walker, dimension: Span) -> int:
    found = dict(walker.fields(dimension, DIMENSION)).get(1, 0)
    return signed(found) if isinstance(found, int) else 0


def _unfit(message: str) -> NoReturn:
    raise Refused(Reason.FORMAT_UNSUPPORTED, f"saved_model.pb cannot be served: {message}")
