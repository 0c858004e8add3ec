"""Bundles of the digits in format tensorflow-savedmodel, made without TensorFlow: the signature is real, the answers are the twin's."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

from tests.tfserving.twin import TWIN
from tests.unit.packaging.convert import wire
from volary import packaging
from volary.bundle import manifest
from volary.bundle.formats import Format, Role
from volary.bundle.manifest import File

if TYPE_CHECKING:
    from pathlib import Path

    from volary.packaging import Bundle


def digits() -> bytes:
    """saved_model.pb: `x` FP32 [-1, 64] -> `label` INT64 [-1], `probabilities` FP32 [-1, 10]."""
    gives = {"label": wire.tensor_info((-1,), wire.INT64), "probabilities": wire.tensor_info((-1, 10))}
    return wire.saved_model({"x": wire.tensor_info((-1, 64))}, gives)


def lay_out(directory: Path, twin: bytes, graph: bytes | None = None) -> Path:
    """A version's directory as the server wants it."""
    (directory / TWIN).parent.mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(digits() if graph is None else graph)
    (directory / TWIN).write_bytes(twin)
    return directory


def saved(bundle: Bundle, output: Path, version: str) -> Bundle:
    """An ONNX bundle of the digits, its golden samples too, as a SavedModel of another version."""
    old = bundle.manifest
    lay_out(output, (bundle.path / old.model_file.path).read_bytes())
    files = [_file(output, "saved_model.pb", Role.MODEL), _file(output, TWIN, Role.DATA)]
    if old.golden_file is not None:
        shutil.copy(bundle.path / old.golden_file.path, output / old.golden_file.path)
        files.append(old.golden_file)
    made = old.model_copy(update={"format": Format.TENSORFLOW_SAVEDMODEL, "version": version, "files": tuple(files)})
    (output / "manifest.json").write_bytes(manifest.dump(made))
    return packaging.load(output)


def _file(directory: Path, path: str, role: Role) -> File:
    data = (directory / path).read_bytes()
    return File(path=path, role=role, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
