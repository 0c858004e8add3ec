"""Which framework a file or a directory comes from: by its first bytes, by what an archive holds, by its name last.

Nothing is loaded here. What would run code when it is opened is told apart from what would not.
"""

import zipfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NoReturn

from volary.bundle import formats
from volary.bundle.formats import Role
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.convert.source import Kind, Source

ACCEPTED = (
    "an ONNX file, a SavedModel directory, a Keras .keras or .h5 file, a .pt2 file of torch.export.save, "
    "a PyTorch state dict with --network MODULE:CLASS, a .tflite file, or --from MODULE:FUNCTION for a model made by your code"
)
SAVED_MODEL = "saved_model.pb"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_TFLITE = b"TFL3"  # at byte 4: the identifier of the FlatBuffers schema
_PICKLE_SUFFIXES = (".pkl", ".pickle", ".joblib", ".skops")
_WEIGHTS_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
_ENTRIES = 10_000  # of an archive are looked at


def find(path: Path) -> Source:
    """The source at `path`; of a folder as KServe and TensorFlow Serving have it, the model in it. Raises Refused."""
    found = _model_in(path) if path.is_dir() else path
    return Source(kind=detect(found), path=found)


def detect(path: Path) -> Kind:
    """What the file, or the SavedModel directory, is. Raises Refused (FileNotFound, FormatUnsupported)."""
    if path.is_dir():
        path /= SAVED_MODEL
    try:
        with path.open("rb") as stream:
            head = stream.read(formats.MAGIC_BYTES)
    except OSError as error:
        raise Refused(Reason.FILE_NOT_FOUND, f"cannot read the model {path}: {error.strerror}") from None
    return _of_content(path, head) or _of_name(path, head)


def _of_content(path: Path, head: bytes) -> Kind | None:
    if head[4:8] == _TFLITE:
        return Kind.TFLITE
    if head.startswith(_HDF5):
        return Kind.KERAS
    if head.startswith(_ZIP):
        return _of_archive(path)
    if head.startswith(_PICKLES):
        return Kind.TORCH_WEIGHTS if path.suffix.lower() in _WEIGHTS_SUFFIXES else Kind.SKLEARN
    return None


def _of_archive(path: Path) -> Kind:
    """Keras, PyTorch and skops all write zip files; the names inside tell them apart."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2]: name for name in islice(archive.namelist(), _ENTRIES)}
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        _refuse(path, f"is a zip archive that cannot be read ({error})")
    if {"config.json", "metadata.json"} <= names.keys():
        return Kind.KERAS
    if "archive_format" in names or any(name.startswith("serialized_exported_program") for name in names):
        return Kind.TORCH_PROGRAM
    if "data.pkl" in names:
        if "constants.pkl" in names or "/code/" in " ".join(names.values()):
            _refuse(
                path, "is a TorchScript archive; export the network with torch.export.save(torch.export.export(model, inputs), 'model.pt2')"
            )
        return Kind.TORCH_WEIGHTS
    if "schema.json" in names:
        return Kind.SKLEARN
    return _refuse(path, f"is a zip archive of something else (it holds {_listed(names)})")


def _of_name(path: Path, head: bytes) -> Kind:
    suffix = path.suffix.lower()
    if suffix in _PICKLE_SUFFIXES:
        return Kind.SKLEARN  # compressed by joblib: any first bytes
    if suffix == ".safetensors":
        return Kind.TORCH_WEIGHTS
    formats.check_magic(Role.MODEL, path.name, head)
    if path.name == SAVED_MODEL:
        return Kind.SAVEDMODEL
    if suffix == ".onnx":
        return Kind.ONNX
    return _refuse(path, "is none of the models that can be packed")


def _model_in(directory: Path) -> Path:
    """`DIR`, `DIR/1` or the highest number -> a SavedModel's directory, or the one ONNX or other model file in it."""
    versions = sorted((each for each in directory.iterdir() if each.name.isdecimal() and each.is_dir()), key=lambda each: int(each.name))
    for folder in (directory, *reversed(versions)):
        if (folder / SAVED_MODEL).is_file():
            return folder
        models = sorted(each for each in folder.iterdir() if each.suffix.lower() in (".onnx", ".tflite", ".keras", ".pt2"))
        if len(models) == 1:
            return models[0]
        if models:
            _refuse(directory, f"holds several models ({_listed(each.name for each in models)}); name one")
    return _refuse(directory, f"holds no {SAVED_MODEL} and no model file, neither itself nor in a folder named by a number")


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(ascii(name[:60])[1:-1] for name in shown[:5]) + (", ..." if len(shown) > 5 else "")


def _refuse(path: Path, what: str) -> NoReturn:
    raise Refused(Reason.FORMAT_UNSUPPORTED, f"{path} {what}; accepted: {ACCEPTED}") from None
