"""Bundles for tests: small, in memory, good unless told otherwise."""

import hashlib
import json
from typing import Any

from tests.unit.bundle.wire import message
from volary.adapters.storage import InMemory
from volary.bundle import layout
from volary.bundle import manifest as manifests
from volary.bundle.formats import Format, Role
from volary.bundle.manifest import File, Golden, Manifest, Tensor
from volary.bundle.tensors import Datatype


def onnx(weights: bytes, *nodes: bytes) -> bytes:
    """The smallest model that is one: y = x + weights, and more nodes if wanted."""
    add = message((1, "x"), (1, "w"), (2, "y"), (4, "Add"))
    tensor = message((1, len(weights)), (2, 3), (8, "w"), (9, weights))  # INT8
    graph = message((1, add), *((1, node) for node in nodes), (2, "test"), (5, tensor), (11, message((1, "x"))), (12, message((1, "y"))))
    return message((1, 8), (2, "test"), (7, graph), (8, message((2, 21))))


MODEL = onnx(bytes(range(256)) * 7 + bytes(203))  # 2056 bytes
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
