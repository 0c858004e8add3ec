"""Which formats there are, which runtime serves which, and which files each may hold.

Formats that run code when they are opened (pickle, Keras archives, PyTorch checkpoints) are not
formats of Volary; they are refused by name, by place and by their first bytes.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from volary.bundle import paths
from volary.common.errors import Refused
from volary.common.reasons import Reason


class Format(StrEnum):
    """How a model is written down."""

    ONNX = "onnx"
    TENSORFLOW_SAVEDMODEL = "tensorflow-savedmodel"
    TFLITE = "tflite"  # for phones and boards: stored, proved and fetched like the others, served by no runtime here


class Role(StrEnum):
    """What a file of a bundle is for."""

    MODEL = "model"  # the graph; exactly one
    DATA = "data"  # what the graph refers to: weights, vocabularies
    GOLDEN = "golden"  # samples with the answers recorded when the bundle was packed; at most one
    CONFIG = "config"  # for before and after the model: class names, a vocabulary, means and scales; data, never code


# The names are those of spec.runtime.name.
RUNTIMES: Mapping[str, Format] = MappingProxyType(
    {
        "onnxruntime": Format.ONNX,
        "tensorflow-serving": Format.TENSORFLOW_SAVEDMODEL,
    }
)

_SAFE = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_CONFIG = re.compile(rf"config/{_SAFE}(/{_SAFE})*\.(json|yaml|yml|txt|csv|tsv|toml)")
_ALLOWED: Mapping[Format, Mapping[Role, re.Pattern[str]]] = MappingProxyType(
    {
        Format.ONNX: {
            Role.MODEL: re.compile(rf"{_SAFE}\.onnx"),
            Role.DATA: re.compile(rf"{_SAFE}(/{_SAFE})*"),
            Role.GOLDEN: re.compile(rf"{_SAFE}\.json"),
            Role.CONFIG: _CONFIG,
        },
        Format.TENSORFLOW_SAVEDMODEL: {
            Role.MODEL: re.compile(r"saved_model\.pb"),
            Role.DATA: re.compile(
                rf"fingerprint\.pb|variables/variables\.(index|data-\d{{5}}-of-\d{{5}})|assets(\.extra)?/{_SAFE}(/{_SAFE})*"
            ),
            Role.GOLDEN: re.compile(rf"{_SAFE}\.json"),
            Role.CONFIG: _CONFIG,
        },
        Format.TFLITE: {
            Role.MODEL: re.compile(rf"{_SAFE}\.tflite"),
            Role.DATA: re.compile(rf"{_SAFE}\.txt"),  # labels and vocabularies; the weights are in the model
            Role.GOLDEN: re.compile(rf"{_SAFE}\.json"),
            Role.CONFIG: _CONFIG,
        },
    }
)

# A data file may begin with any bytes, so these are refused by name.
_CODE_SUFFIXES = (
    *(".so", ".dll", ".dylib", ".exe", ".sh", ".py", ".pyc", ".jar", ".js"),
    *(".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".keras", ".h5", ".hdf5"),
    *(".zip", ".tar", ".tgz", ".gz", ".7z", ".whl"),
)

MAGIC_BYTES = 512  # of a file are enough to tell what it is

# First bytes -> what it is, for the message. A protobuf of ONNX or TensorFlow starts with none of them.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a program (PE)"),
    (b"#!", "a script"),
    (b"PK\x03\x04", "a zip archive (PyTorch and Keras files are)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras .h5)"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"BZh", "bzip2-compressed"),
    (b"\xfd7zXZ\x00", "xz-compressed"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer: run `git lfs pull` and pack again"),
)
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<error")


def check_runtime(format_: Format, runtime: str) -> None:
    """Raise Refused (RuntimeUnsupported, FormatUnsupported) unless the runtime serves the format."""
    served = RUNTIMES.get(runtime)
    if served is None:
        raise Refused(Reason.RUNTIME_UNSUPPORTED, f"there is no runtime {runtime!r}; there are {', '.join(sorted(RUNTIMES))}")
    if served is not format_:
        raise Refused(
            Reason.FORMAT_UNSUPPORTED, f"the bundle's format is {format_}, the runtime {runtime} serves {served}; {_way_out(format_)}"
        )


def _way_out(format_: Format) -> str:
    fitting = sorted(name for name, its in RUNTIMES.items() if its is format_)
    if fitting:
        return f"set spec.runtime.name to {', '.join(fitting)}"
    served = ", ".join(f"{name} serves {its}" for name, its in sorted(RUNTIMES.items()))
    return f"no runtime serves it ({served}): pack the model in one of their formats"


def check_file(format_: Format, role: Role, path: str) -> None:
    """Raise Refused (FormatUnsupported) unless a bundle of this format may hold this file in this role."""
    if not _ALLOWED[format_][role].fullmatch(path) or path.casefold().endswith(_CODE_SUFFIXES):
        raise Refused(Reason.FORMAT_UNSUPPORTED, f"a bundle of format {format_} holds no {role} file {paths.show(path)}")


def check_magic(role: Role, path: str, head: bytes) -> None:
    """Raise Refused (FormatUnsupported) when the first bytes (`MAGIC_BYTES` or the whole file) tell of something else.

    Weights are arbitrary bytes, so of a data file only programs are refused.
    """
    found = _recognise(head)
    if role is Role.CONFIG and found is None and b"\0" in head:
        found = "not text in UTF-8"
    if found is None or (role is Role.DATA and not head.startswith(b"\x7fELF")):
        return
    raise Refused(Reason.FORMAT_UNSUPPORTED, f"the {role} file {paths.show(path)} is {found}")


def _recognise(head: bytes) -> str | None:
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head.lstrip()[:16].lower().startswith(_MARKUP):
        return "a page of HTML or XML, perhaps an error message saved as a file"
    return None


def folder(format_: Format, version: str) -> str:
    """The name of the directory a version is published in: TensorFlow Serving looks only at integers."""
    return "1" if format_ is Format.TENSORFLOW_SAVEDMODEL else version
