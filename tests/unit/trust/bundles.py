"""Bundles on the disk, made by hand: no model is run to sign or to zip one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.bundle import building
from volary.bundle import manifest as manifests
from volary.bundle import paths
from volary.packaging import bundle as bundles

if TYPE_CHECKING:
    from pathlib import Path

    from volary.packaging import Bundle


def make(path: Path, version: str = "1.0.0", data: dict[str, bytes] | None = None, **changes: Any) -> Bundle:
    """model.onnx, golden.json and what `data` says."""
    content = {"model.onnx": building.MODEL, "golden.json": building.GOLDEN} | (data or {})
    for name, each in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(each)
    made = building.manifest(data=data, version=version, **changes)
    (path / paths.MANIFEST).write_bytes(manifests.dump(made))
    return bundles.load(path)
