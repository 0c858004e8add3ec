"""Tiny models in bundles, made in milliseconds, each for one behaviour of the server."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from volary.bundle import golden
from volary.bundle import manifest as manifests
from volary.bundle.formats import Format, Role
from volary.bundle.golden import Sample
from volary.bundle.manifest import File, Golden, Manifest, Tensor
from volary.bundle.tensors import Datatype

_OPSET = 17
_IR = 10

Port = tuple[str, int, Sequence[int | str]]  # name, ONNX element type, shape


def tensor(name: str, datatype: str, *shape: int) -> Tensor:
    """A declared tensor."""
    return Tensor(name=name, datatype=Datatype(datatype), shape=shape)


def onnx_model(nodes: Sequence[NodeProto], inputs: Sequence[Port], outputs: Sequence[Port], **weights: object) -> bytes:
    """The bytes of model.onnx."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, list(shape)) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, kind, list(shape)) for name, kind, shape in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    data: bytes = model.SerializeToString()
    return data


def write(
    directory: Path,
    model: bytes,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    format_: Format = Format.ONNX,
    version: str = "1.4.0",
) -> Path:
    """A bundle as the agent publishes it."""
    directory.mkdir(parents=True, exist_ok=True)
    name = "model.onnx" if format_ is Format.ONNX else "saved_model.pb"
    (directory / name).write_bytes(model)
    manifest = Manifest(
        name="packed-as",
        version=version,
        format=format_,
        files=(File(path=name, role=Role.MODEL, sha256=hashlib.sha256(model).hexdigest(), size=len(model)),),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )
    (directory / "manifest.json").write_bytes(manifests.dump(manifest))
    return directory


def doubling_model() -> bytes:
    """y = 2 x for x of [batch, 4]; top = the place of the largest."""
    nodes = [helper.make_node("Add", ["x", "x"], ["y"]), helper.make_node("ArgMax", ["x"], ["top"], axis=1, keepdims=0)]
    outputs: list[Port] = [("y", TensorProto.FLOAT, ["batch", 4]), ("top", TensorProto.INT64, ["batch"])]
    return onnx_model(nodes, [("x", TensorProto.FLOAT, ["batch", 4])], outputs)


DOUBLING_INPUTS = (tensor("x", "FP32", -1, 4),)
DOUBLING_OUTPUTS = (tensor("y", "FP32", -1, 4), tensor("top", "INT64", -1))


def doubling(directory: Path) -> Path:
    """The ordinary model of these tests."""
    return write(directory, doubling_model(), DOUBLING_INPUTS, DOUBLING_OUTPUTS)


def with_golden(bundle: Path, samples: Sequence[Sample], tolerance: float = 1e-6) -> Manifest:
    """The bundle has these golden samples from now on."""
    data = golden.dump(samples)
    (bundle / "golden.json").write_bytes(data)
    plain = manifests.parse((bundle / "manifest.json").read_bytes())
    file = File(path="golden.json", role=Role.GOLDEN, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
    rule = Golden(path="golden.json", absolute=tolerance, relative=tolerance)
    manifest = plain.model_copy(update={"files": (*plain.files, file), "golden": rule})
    (bundle / "manifest.json").write_bytes(manifests.dump(manifest))
    return manifest


def doubled(*rows: Sequence[float]) -> Sample:
    """Rows of 4 for `x`, and what doubling says of them."""
    x = {"name": "x", "datatype": "FP32", "shape": (len(rows), 4), "data": tuple(float(value) for row in rows for value in row)}
    y = x | {"name": "y", "data": tuple(2.0 * value for row in rows for value in row)}
    return Sample.model_validate({"inputs": (x,), "outputs": (y,)}, strict=False)


def lookup(directory: Path) -> Path:
    """Fails on some inputs: rows of a table of 4, asked for by number."""
    model = onnx_model(
        [helper.make_node("Gather", ["table", "row"], ["y"])],
        [("row", TensorProto.INT64, ["n"])],
        [("y", TensorProto.FLOAT, ["n", 2])],
        table=np.arange(8, dtype=np.float32).reshape(4, 2),
    )
    return write(directory, model, [tensor("row", "INT64", -1)], [tensor("y", "FP32", -1, 2)])


def adding(directory: Path) -> Path:
    """Two inputs whose axes the graph calls by one name."""
    model = onnx_model(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [("a", TensorProto.FLOAT, ["n"]), ("b", TensorProto.FLOAT, ["n"])],
        [("y", TensorProto.FLOAT, ["n"])],
    )
    return write(directory, model, [tensor("a", "FP32", -1), tensor("b", "FP32", -1)], [tensor("y", "FP32", -1)])


def echo(directory: Path) -> Path:
    """Strings in, strings out."""
    model = onnx_model(
        [helper.make_node("Identity", ["text"], ["same"])],
        [("text", TensorProto.STRING, ["n"])],
        [("same", TensorProto.STRING, ["n"])],
    )
    return write(directory, model, [tensor("text", "BYTES", -1)], [tensor("same", "BYTES", -1)])


def squaring(directory: Path) -> Path:
    """As slow as asked for: the product of two matrices of size x size."""
    model = onnx_model(
        [
            helper.make_node("Concat", ["size", "size"], ["shape"], axis=0),
            helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.float32))),
            helper.make_node("MatMul", ["ones", "ones"], ["product"]),
            helper.make_node("ReduceMean", ["product"], ["y"], keepdims=0),
        ],
        [("size", TensorProto.INT64, [1])],
        [("y", TensorProto.FLOAT, [])],
    )
    return write(directory, model, [tensor("size", "INT64", 1)], [tensor("y", "FP32")])


def scaling(directory: Path, factor: float, version: str, padding: int = 0, head: int = 0) -> Path:
    """y = factor * x for x of [batch, 4].

    `padding`: MiB of weights that take part without effect, multiplied with no row of x; the last
    `head` of them are others for each factor.
    """
    nodes = [helper.make_node("Mul", ["x", "factor"], ["y0"]), helper.make_node("Slice", ["x", "none", "none"], ["rows"])]
    weights: dict[str, object] = {"factor": np.float32(factor), "none": np.zeros(1, np.int64)}
    for number in range(padding):
        weights[f"w{number}"] = np.random.default_rng(number if number < padding - head else [number, int(factor)]).random(
            (4, 65536), np.float32
        )
        nodes += [
            helper.make_node("MatMul", ["rows", f"w{number}"], [f"product{number}"]),
            helper.make_node("ReduceSum", [f"product{number}"], [f"zero{number}"], keepdims=0),
            helper.make_node("Add", [f"y{number}", f"zero{number}"], [f"y{number + 1}"]),
        ]
    nodes.append(helper.make_node("Identity", [f"y{padding}"], ["y"]))
    outputs: list[Port] = [("y", TensorProto.FLOAT, ["batch", 4])]
    model = onnx_model(nodes, [("x", TensorProto.FLOAT, ["batch", 4])], outputs, **weights)
    return write(directory, model, DOUBLING_INPUTS, (tensor("y", "FP32", -1, 4),), version=version)


_ONNX_TYPES = {
    Datatype.BOOL: TensorProto.BOOL,
    Datatype.UINT8: TensorProto.UINT8,
    Datatype.UINT16: TensorProto.UINT16,
    Datatype.UINT32: TensorProto.UINT32,
    Datatype.UINT64: TensorProto.UINT64,
    Datatype.INT8: TensorProto.INT8,
    Datatype.INT16: TensorProto.INT16,
    Datatype.INT32: TensorProto.INT32,
    Datatype.INT64: TensorProto.INT64,
    Datatype.FP16: TensorProto.FLOAT16,
    Datatype.BF16: TensorProto.BFLOAT16,
    Datatype.FP32: TensorProto.FLOAT,
    Datatype.FP64: TensorProto.DOUBLE,
    Datatype.BYTES: TensorProto.STRING,
}


def identity(directory: Path, datatype: Datatype) -> Path:
    """same = x, of shape [n, 2], for any datatype."""
    kind = _ONNX_TYPES[datatype]
    model = onnx_model([helper.make_node("Identity", ["x"], ["same"])], [("x", kind, ["n", 2])], [("same", kind, ["n", 2])])
    return write(directory, model, [tensor("x", datatype, -1, 2)], [tensor("same", datatype, -1, 2)])


def identities(directory: Path, datatypes: Sequence[Datatype]) -> Path:
    """For each datatype an input that comes back: FP32 as same-FP32, of shape [1, 2]."""
    kinds = [(each, _ONNX_TYPES[each]) for each in datatypes]
    model = onnx_model(
        [helper.make_node("Identity", [each], [f"same-{each}"]) for each in datatypes],
        [(each, kind, [1, 2]) for each, kind in kinds],
        [(f"same-{each}", kind, [1, 2]) for each, kind in kinds],
    )
    inputs = [tensor(each, each, 1, 2) for each in datatypes]
    return write(directory, model, inputs, [tensor(f"same-{each}", each, 1, 2) for each in datatypes])
