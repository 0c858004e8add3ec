"""A TensorFlow SavedModel without TensorFlow: what its serving signature takes and gives.

Messages and field numbers are those of tensorflow/core/protobuf/{saved_model,meta_graph}.proto and
tensorflow/core/framework/{types,tensor_shape}.proto. Weights are elsewhere, so the file is small.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from volary.bundle import limits, protobuf
from volary.bundle.manifest import Tensor
from volary.bundle.protobuf import Malformed
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason

SIGNATURE = "serving_default"  # the one TensorFlow Serving answers with when a request names none
_TAG = "serve"

# DataType of types.proto
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
    """What `serving_default` takes and gives, by the names requests use, sorted."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    tensorflow: str  # the version that wrote it; may be empty


def signature(data: bytes) -> Signature:
    """Read `saved_model.pb`. Raises Refused (FormatUnsupported)."""
    try:
        graph = _serving(memoryview(data))
        found = dict(_entries(graph, 5))
        if SIGNATURE not in found:
            _unfit(f"it has the signatures {_shown(found)} and not {SIGNATURE!r}; export the model with it")
        definition = found[SIGNATURE]
        return Signature(
            inputs=tuple(_tensor(name, info) for name, info in sorted(_entries(definition, 1))),
            outputs=tuple(_tensor(name, info) for name, info in sorted(_entries(definition, 2))),
            tensorflow=protobuf.text(protobuf.message(protobuf.message(graph, 1), 5)),
        )
    except Malformed as error:
        _unfit(f"it is no SavedModel: {error}")


def _serving(data: memoryview) -> memoryview:
    """The MetaGraphDef with the tag `serve`."""
    for graph in protobuf.messages(data, 2):
        if _TAG in [protobuf.text(tag) for tag in protobuf.messages(protobuf.message(graph, 1), 4)]:
            return graph
    return _unfit(f"it has no graph with the tag {_TAG!r}")


def _entries(data: memoryview, number: int) -> Iterator[tuple[str, memoryview]]:
    """A map is a repeated message of a key (1) and a value (2)."""
    for entry in protobuf.messages(data, number):
        yield protobuf.text(protobuf.message(entry, 1)), protobuf.message(entry, 2)


def _tensor(name: str, info: memoryview) -> Tensor:
    """TensorInfo: name 1 (of a dense tensor), dtype 2, tensor_shape 3."""
    if not 1 <= len(name) <= limits.TENSOR_NAME:
        _unfit(f"the tensor {name[: limits.TENSOR_NAME]!r} has a name of {len(name)} characters")
    if not any(True for _ in protobuf.messages(info, 1)):
        _unfit(f"{name!r} is sparse or composite; export a signature with dense tensors")
    datatype = _DATATYPES.get(protobuf.integer(info, 2))
    if datatype is None:
        _unfit(f"{name!r} has the data type {protobuf.integer(info, 2)}, which the inference protocol does not know")
    return Tensor(name=name, datatype=datatype, shape=_shape(name, protobuf.message(info, 3)))


def _shape(name: str, shape: memoryview) -> tuple[int, ...]:
    """TensorShapeProto: dim 2 with a size 1 (-1 is free), unknown_rank 3."""
    if protobuf.integer(shape, 3):
        _unfit(f"{name!r} has no known rank; export the model with the shape of its inputs")
    sizes = [protobuf.integer(dimension, 1) for dimension in protobuf.messages(shape, 2)]
    if len(sizes) > limits.DIMENSIONS or not all(-1 <= size <= limits.DIMENSION for size in sizes):
        _unfit(f"{name!r} has a shape that cannot be: {sizes[: limits.DIMENSIONS]}")
    return tuple(sizes)


def _shown(names: dict[str, memoryview]) -> str:
    return ", ".join(ascii(name[:100]) for name in sorted(names)[:10]) or "none"


def _unfit(message: str) -> NoReturn:
    raise Refused(Reason.FORMAT_UNSUPPORTED, f"saved_model.pb cannot be served: {message}")
