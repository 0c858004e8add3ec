"""The weights inside an ONNX file, each by its name and the sha256 of its value: to tell what training changed.

`onnx` is imported when it is asked.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from volary.bundle.formats import Format
from volary.packaging.bundle import Bundle

Weight = dict[str, Any]  # type, shape and the first digits of the sha256, as JSON has them
_SHOWN = 12


def read(bundle: Bundle) -> Mapping[str, Weight] | None:
    """Name -> weight; None where they cannot be told apart: another format, or a file onnx cannot read."""
    if bundle.manifest.format is not Format.ONNX:
        return None
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # it has no types
    from onnx import ModelProto, TensorProto

    model = ModelProto()
    try:
        model.ParseFromString((bundle.path / bundle.manifest.model_file.path).read_bytes())
    except DecodeError:
        return None
    files = {file.path for file in bundle.manifest.files}
    return {
        tensor.name: {
            "datatype": TensorProto.DataType.Name(tensor.data_type),
            "shape": list(tensor.dims),
            "sha256": _sha256(tensor, bundle.path, files)[:_SHOWN],
        }
        for tensor in model.graph.initializer
    }


def _sha256(tensor: Any, directory: Path, files: set[str]) -> str:
    """Of the value as it is stored; of one in a file beside, of its bytes there."""
    where = {entry.key: entry.value for entry in tensor.external_data}
    if where.get("location") not in files:  # inside the model; or a name the manifest does not have, which is not followed
        return hashlib.sha256(tensor.raw_data or _without_name(tensor)).hexdigest()
    with (directory / where["location"]).open("rb") as stream:
        stream.seek(_number(where.get("offset", "0")))
        return hashlib.sha256(stream.read(_number(where["length"])) if "length" in where else stream.read()).hexdigest()


def _without_name(tensor: Any) -> bytes:
    copy = type(tensor)()
    copy.CopyFrom(tensor)
    copy.ClearField("name")
    return bytes(copy.SerializeToString(deterministic=True))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
