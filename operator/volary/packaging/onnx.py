"""Look into an ONNX model: what goes in, what comes out, which other files it needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto

from volary.bundle import onnx_graph, paths
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging.bundle import reader
from volary.packaging.optimise.options import LINEAGE, TOOLS

_DATATYPES = {
    TensorProto.BOOL: Datatype.BOOL,
    TensorProto.UINT8: Datatype.UINT8,
    TensorProto.UINT16: Datatype.UINT16,
    TensorProto.UINT32: Datatype.UINT32,
    TensorProto.UINT64: Datatype.UINT64,
    TensorProto.INT8: Datatype.INT8,
    TensorProto.INT16: Datatype.INT16,
    TensorProto.INT32: Datatype.INT32,
    TensorProto.INT64: Datatype.INT64,
    TensorProto.FLOAT16: Datatype.FP16,
    TensorProto.FLOAT: Datatype.FP32,
    TensorProto.DOUBLE: Datatype.FP64,
    TensorProto.BFLOAT16: Datatype.BF16,
    TensorProto.STRING: Datatype.BYTES,
}
_DEFAULT_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a bundle says of its model."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    data: tuple[str, ...]  # names of files with weights, beside the model
    opset: int
    producer: str  # name and version, as far as the file tells
    lineage: tuple[tuple[str, str], ...] = ()  # what `volary optimise` wrote into the model


def inspect(path: Path) -> Inspected:
    """Read the graph, not the weights. Raises Refused (FormatUnsupported, FileNotFound, and those of `onnx_graph.check`)."""
    if not path.is_file():
        raise Refused(Reason.FILE_NOT_FOUND, f"there is no file {path}")
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(str(path), full_check=False)
    except Exception as error:  # noqa: BLE001 -- protobuf, checker and C++ each have their own
        raise Refused(Reason.FORMAT_UNSUPPORTED, f"{path} is not an ONNX model: {first_line(error)}") from None
    data = tuple(sorted(set(_external(path, model))))
    # Before ONNX Runtime opens it to record golden samples: a model from a stranger is looked at first.
    onnx_graph.check(reader(path), path.stat().st_size, path.name, {name: (path.parent / name).stat().st_size for name in data})
    constants = {tensor.name for tensor in model.graph.initializer}
    return Inspected(
        inputs=tuple(_tensor(path, value) for value in model.graph.input if value.name not in constants),
        outputs=tuple(_tensor(path, value) for value in model.graph.output),
        data=data,
        opset=max((each.version for each in model.opset_import if each.domain in _DEFAULT_DOMAINS), default=0),
        producer=" ".join(part for part in (model.producer_name, model.producer_version) if part),
        lineage=tuple((each.key, each.value) for each in model.metadata_props if each.key in (LINEAGE, TOOLS)),
    )


def _tensor(path: Path, value: Any) -> Tensor:
    if value.type.WhichOneof("value") != "tensor_type":
        raise Refused(
            Reason.FORMAT_UNSUPPORTED,
            f"{path}: {value.name!r} is no tensor; convert the model so that it is (scikit-learn: options={{'zipmap': False}})",
        )
    found = value.type.tensor_type
    datatype = _DATATYPES.get(found.elem_type)
    if datatype is None:
        name = TensorProto.DataType.Name(found.elem_type)
        raise Refused(Reason.FORMAT_UNSUPPORTED, f"{path}: {value.name!r} has the type {name}, which the inference protocol does not know")
    if not found.HasField("shape"):
        raise Refused(Reason.FORMAT_UNSUPPORTED, f"{path}: {value.name!r} has no shape; run onnx.shape_inference and pack again")
    shape = tuple(each.dim_value if each.HasField("dim_value") else -1 for each in found.shape.dim)
    return Tensor(name=value.name, datatype=datatype, shape=shape)


def _external(path: Path, model: Any) -> Iterator[str]:
    """Names of files with weights. They must be plain names beside the model, as the server opens them there."""
    for tensor in _tensors(model.graph):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        paths.check(location)
        if not (path.parent / location).is_file():
            raise Refused(Reason.FILE_NOT_FOUND, f"{path} needs {path.parent / location} for {tensor.name!r}, which is not there")
        yield location


def _tensors(graph: Any) -> Iterator[Any]:
    """All constants of a graph, those in branches and loop bodies included."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _tensors(inner)
