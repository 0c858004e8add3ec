"""What a SavedModel takes and gives, found without TensorFlow: the types and shapes of its serving signature."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from volary.bundle import limits, paths
from volary.bundle.manifest import Tensor
from volary.bundle.protobuf import Reader, Schema, Span, Walker, Wire, signed
from volary.bundle.saved_model import TAG
from volary.bundle.saved_model_schema import ENTRY, META_GRAPH, META_INFO, SAVED_MODEL, SIGNATURE, TENSOR_INFO
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

DEFAULT = "serving_default"  # the signature TensorFlow Serving answers with when a request names none

# tensorflow/core/framework/tensor_shape.proto
_SHAPE = Schema("TensorShapeProto", {3: Wire.VARINT}, {2: Wire.LENGTH})
_DIMENSION = Schema("TensorShapeProto.Dim", {1: Wire.VARINT, 2: Wire.LENGTH})

# DataType of tensorflow/core/framework/types.proto
_DATATYPES = {
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


@dataclass(frozen=True, slots=True)
class Signature:
    """Of `serving_default`, by the names requests use, sorted."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensorflow: str  # the version that wrote the model; may be empty


@dataclass(frozen=True, slots=True)
class _Meta:
    tags: list[str]
    tensorflow: str
    signatures: dict[str, Span]


def signature(reader: Reader, size: int, name: str) -> Signature:
    """Read `saved_model.pb` of `size` bytes. Raises Refused (FormatUnsupported, ModelInvalid, LimitExceeded)."""
    walker = Walker(reader, size, name)
    for span in _spans(walker, walker.root, SAVED_MODEL, 2):
        meta = _meta(walker, span)
        if TAG in meta.tags:
            return _served(walker, meta)
    return _unfit(walker, f"it has no graph with the tag {TAG!r}")


def _served(walker: Walker, meta: _Meta) -> Signature:
    if DEFAULT not in meta.signatures:
        shown = ", ".join(paths.show(each) for each in sorted(meta.signatures)[:10]) or "none"
        _unfit(walker, f"it has the signatures {shown} and not {DEFAULT!r}; export the model with it")
    definition = meta.signatures[DEFAULT]
    inputs, outputs = (
        tuple(
            _tensor(walker, name, info) for name, info in sorted(_entries(walker, definition, SIGNATURE, field), key=lambda each: each[0])
        )
        for field in (1, 2)
    )
    return Signature(inputs, outputs, meta.tensorflow)


def _meta(walker: Walker, span: Span) -> _Meta:
    tags, version, signatures = list[str](), "", dict[str, Span]()
    for number, value in walker.fields(span, META_GRAPH):
        if number == 1 and isinstance(value, Span):
            tags = [walker.text(tag) for tag in _spans(walker, value, META_INFO, 4)]
            version = next((walker.text(text) for text in _spans(walker, value, META_INFO, 5)), "")
        elif number == 5 and isinstance(value, Span):
            name, definition = _entry(walker, value)
            signatures[name] = definition
    return _Meta(tags, version, signatures)


def _entries(walker: Walker, span: Span, schema: Schema, field: int) -> Iterator[tuple[str, Span]]:
    return (_entry(walker, each) for each in _spans(walker, span, schema, field))


def _entry(walker: Walker, span: Span) -> tuple[str, Span]:
    """A map is a repeated message of a key (1) and a value (2)."""
    key, value = "", Span(span.start, span.start, span.depth + 1)
    for number, found in walker.fields(span, ENTRY):
        if number == 1:
            key = walker.text(found)
        elif isinstance(found, Span):
            value = found
    return key, value


def _spans(walker: Walker, span: Span, schema: Schema, field: int) -> Iterator[Span]:
    return (value for number, value in walker.fields(span, schema) if number == field and isinstance(value, Span))


def _tensor(walker: Walker, name: str, info: Span) -> Tensor:
    found = dict(walker.fields(info, TENSOR_INFO))  # each occurs once: the walker refuses a second
    if not 1 <= len(name) <= limits.TENSOR_NAME:
        _unfit(walker, f"the tensor {paths.show(name)} has a name of {len(name)} characters")
    if 1 not in found:
        _unfit(walker, f"{paths.show(name)} is sparse or composite; export a signature with dense tensors")
    number = found.get(2, 0)
    datatype = _DATATYPES.get(number) if isinstance(number, int) else None
    if datatype is None:
        _unfit(walker, f"{paths.show(name)} has the data type {number}, which the inference protocol does not know")
    shape = found.get(3)
    return Tensor(name=name, datatype=datatype, shape=_shape(walker, name, shape) if isinstance(shape, Span) else ())


def _shape(walker: Walker, name: str, span: Span) -> tuple[int, ...]:
    """-1 is a free dimension."""
    sizes = list[int]()
    for number, value in walker.fields(span, _SHAPE):
        if number == 3 and value:
            _unfit(walker, f"{paths.show(name)} has no known rank; export the model with the shape of its inputs")
        elif isinstance(value, Span):
            found = dict(walker.fields(value, _DIMENSION)).get(1, 0)
            sizes.append(signed(found) if isinstance(found, int) else 0)
    if len(sizes) > limits.DIMENSIONS or not all(-1 <= size <= limits.DIMENSION for size in sizes):
        _unfit(walker, f"{paths.show(name)} has a shape that cannot be: {sizes[: limits.DIMENSIONS]}")
    return tuple(sizes)


def _unfit(walker: Walker, message: str) -> NoReturn:
    raise Refused(Reason.FORMAT_UNSUPPORTED, f"{walker.name} cannot be served: {message}")
