"""Files of other frameworks, made by hand: the test environment has none of them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped] # ONNX Runtime brings it

from tests.unit.bundle.wire import entries, field, message

Shape = tuple[int, ...] | None  # None: the rank is not known
FLOAT, INT64, COMPLEX = 1, 9, 8  # of TensorFlow's DataType


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as found:
        for name in names:
            found.writestr(name, b"{}")
    return path


# ---- protobuf ---------------------------------------------------------------------------------


def tensor_info(shape: Shape, datatype: int = FLOAT, *, dense: bool = True) -> bytes:
    dims = b"".join(field(2, field(1, size)) for size in shape) if shape is not None else field(3, 1)
    encoding = field(1, "StatefulPartitionedCall:0") if dense else field(4, b"")
    return encoding + field(2, datatype) + field(3, dims)


def saved_model(
    inputs: Mapping[str, bytes] | None = None,
    outputs: Mapping[str, bytes] | None = None,
    *,
    name: str = "serving_default",
    tag: str = "serve",
) -> bytes:
    """By default y of [batch, 2] for x of [batch, 3]."""
    takes = {"x": tensor_info((-1, 3))} if inputs is None else inputs
    gives = {"y": tensor_info((-1, 2))} if outputs is None else outputs
    signature = entries(1, takes) + entries(2, gives) + field(3, "tensorflow/serving/predict")
    meta = field(1, field(4, tag) + field(5, "2.20.0"))
    training = field(2, field(1, field(4, "train")))  # another graph of the same file
    node = field(1, message((1, "StatefulPartitionedCall"), (2, "Identity")))
    return field(1, 1) + training + field(2, meta + field(2, node) + entries(5, {name: signature}))


def saved_model_directory(path: Path, data: bytes | None = None) -> Path:
    (path / "variables").mkdir(parents=True)
    (path / "assets").mkdir()
    (path / "saved_model.pb").write_bytes(saved_model() if data is None else data)
    (path / "fingerprint.pb").write_bytes(b"\x08\x01")
    (path / "variables" / "variables.index").write_bytes(b"index")
    (path / "variables" / "variables.data-00000-of-00001").write_bytes(b"weights")
    (path / "assets" / "words.txt").write_bytes(b"one\ntwo\n")
    return path


# ---- FlatBuffers ------------------------------------------------------------------------------


def tflite(*, signed: bool = True, datatype: int = 0, name: str = "image", operator: str = "") -> bytes:
    """scores of [batch, 10] for image of [batch, 8, 8], batch 1 unless the server resizes it."""
    builder = flatbuffers.Builder(256)
    tensors = [_tensor(builder, f"serving_default_{name}:0", (1, 8, 8), datatype), _tensor(builder, "call:0", (1, 10), 0)]
    graph = _table(builder, {0: _vector(builder, tensors), 1: _numbers(builder, [0]), 2: _numbers(builder, [1])})
    fields = {2: _vector(builder, [graph])}
    if operator:
        fields[1] = _vector(builder, [_table(builder, {1: builder.CreateString(operator)})])
    if signed:
        maps = [_vector(builder, [_map(builder, name, 0)]), _vector(builder, [_map(builder, "scores", 1)])]
        fields[7] = _vector(builder, [_table(builder, {0: maps[0], 1: maps[1], 2: builder.CreateString("serving_default")})])
    builder.Finish(_table(builder, fields), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensor(builder: Any, name: str, shape: tuple[int, ...], datatype: int) -> int:
    text, sizes, signature = builder.CreateString(name), _numbers(builder, list(shape)), _numbers(builder, [-1, *shape[1:]])
    builder.StartObject(8)
    builder.PrependUOffsetTRelativeSlot(0, sizes, 0)
    builder.PrependInt8Slot(1, datatype, 0)
    builder.PrependUOffsetTRelativeSlot(3, text, 0)
    builder.PrependUOffsetTRelativeSlot(7, signature, 0)
    return int(builder.EndObject())


def _map(builder: Any, name: str, index: int) -> int:
    text = builder.CreateString(name)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, text, 0)
    builder.PrependUint32Slot(1, index, 0)
    return int(builder.EndObject())


def _table(builder: Any, fields: dict[int, int]) -> int:
    builder.StartObject(8)
    for slot, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return int(builder.EndObject())


def _vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _numbers(builder: Any, numbers: list[int]) -> int:
    builder.StartVector(4, len(numbers), 4)
    for value in reversed(numbers):
        builder.PrependInt32(value)
    return int(builder.EndVector())
