"""Bundles for tests: small, in memory, good unless told otherwise."""

import hashlib
import json
from typing import Any

from volary.adapters.storage import InMemory
from volary.bundle import layout
from volary.bundle import manifest as manifests
from volary.bundle.formats import Format, Role
from volary.bundle.manifest import File, Golden, Manifest, Tensor
from volary.bundle.tensors import Datatype

MODEL = b"\x08\x08\x12\x04test" + bytes(range(256)) * 8
TOLERANCE = Golden(path="golden.json", absolute=1e-4, relative=1e-3)


def tensor(name: str, data: list[Any], shape: list[int], datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def sample(number: float) -> dict[str, Any]:
    """y = 2 x."""
    return {"inputs": [tensor("x", [number, 1.0], [1, 2])], "outputs": [tensor("y", [2 * number, 2.0], [1, 2])]}


GOLDEN = json.dumps({"samples": [sample(1.0), sample(2.5)]}).encode()


def file(path: str, data: bytes, role: Role = Role.DATA) -> File:
    return File(path=path, role=role, sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def manifest(*, golden: bytes | None = GOLDEN, data: dict[str, bytes] | None = None, **changes: Any) -> Manifest:
    files = [file("model.onnx", MODEL, Role.MODEL), *(file(path, content) for path, content in (data or {}).items())]
    if golden is not None:
        files.append(file("golden.json", golden, Role.GOLDEN))
    fields: dict[str, Any] = {
        "name": "digits",
        "version": "1.0.0",
        "format": Format.ONNX,
        "files": tuple(files),
        "inputs": (Tensor(name="x", datatype=Datatype.FP32, shape=(-1, 2)),),
        "outputs": (Tensor(name="y", datatype=Datatype.FP32, shape=(-1, 2)),),
        "golden": TOLERANCE if golden is not None else None,
    }
    return Manifest(**(fields | changes))


def fields(**changes: Any) -> dict[str, Any]:
    """The manifest as a JSON object, to be spoilt."""
    found: dict[str, Any] = json.loads(manifests.dump(manifest()))
    return found | changes


def encoded(found: Any) -> bytes:
    return json.dumps(found).encode()


def stored(made: Manifest | None = None, *contents: bytes, golden: bytes = GOLDEN) -> tuple[InMemory, bytes]:
    """A storage that holds a bundle, and the bytes of its manifest."""
    data = manifests.dump(made or manifest(golden=golden))
    blobs = {layout.blob_key(hashlib.sha256(content).hexdigest()): content for content in (MODEL, golden, *contents)}
    return InMemory({layout.version_key("1.0.0"): data, **blobs}), data
