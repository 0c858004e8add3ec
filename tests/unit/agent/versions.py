"""Versions of one model, each with its own factor: y = factor * x. What answered can be told by the answer."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.unit.serving import bundles
from volary.adapters.storage import InMemory
from volary.bundle import layout
from volary.bundle import manifest as manifests
from volary.bundle import split as splits
from volary.bundle.formats import Role
from volary.bundle.manifest import File, Golden, Manifest
from volary.bundle.split import Share, Split
from volary.packaging import chunking

URI = "s3://models/fraud"
X = [1.0, 2.0, 3.0, 4.0]


def request() -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": X}]}


def make(directory: Path, factor: float, version: str, *, padding: int = 0, head: int = 0, said: float | None = None) -> Manifest:
    """A packed bundle in a directory. `said`: the factor that its golden samples claim."""
    bundles.scaling(directory, factor, version, padding, head)
    claimed = factor if said is None else said
    output = {"name": "y", "datatype": "FP32", "shape": [1, 4], "data": [claimed * x for x in X]}
    golden = json.dumps({"samples": [request() | {"outputs": [output]}]}).encode()
    (directory / "golden.json").write_bytes(golden)
    bare = manifests.parse((directory / "manifest.json").read_bytes())
    file = File(path="golden.json", role=Role.GOLDEN, sha256=hashlib.sha256(golden).hexdigest(), size=len(golden))
    files = chunking.cut(directory, (*bare.files, file))
    made = bare.model_copy(update={"files": files, "golden": Golden(path="golden.json", absolute=1e-4, relative=1e-4)})
    (directory / "manifest.json").write_bytes(manifests.dump(made))
    return made


def store(storage: InMemory, factor: float, version: str, **options: Any) -> str:
    """Its digest."""
    with tempfile.TemporaryDirectory() as name:
        made = make(Path(name), factor, version, **options)
        for file in made.files:
            data = (Path(name) / file.path).read_bytes()
            storage.objects |= {layout.blob_key(blob.sha256): data[blob.start : blob.start + blob.size] for blob in file.blobs}
    data = manifests.dump(made)
    storage.objects[layout.version_key(version)] = data
    return manifests.digest(data)


def share(version: str, digest: str, weight: int, uri: str = URI) -> Share:
    return Share(f"r{version}", version, digest, uri, weight)


def write(path: Path, generation: int, *shares: Share) -> None:
    """At once, as the kubelet does."""
    replace(path, splits.render(Split(generation, shares)))


def replace(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.rename(path)
