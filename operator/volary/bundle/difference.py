"""What is different between two bundles, by their manifests alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from volary.bundle.blobs import blobs
from volary.bundle.manifest import Manifest

_APART = {"files", "inputs", "outputs"}  # compared by name; all else by path


class Kind(StrEnum):
    """Of what."""

    INPUT = "input"
    OUTPUT = "output"
    FILE = "file"
    TENSOR = "tensor"  # weights inside a model file
    METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not what it was. Values as JSON has them; None: it is not there."""

    kind: Kind
    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """From one bundle to another."""

    changes: tuple[Change, ...]
    move: int  # bytes of blobs that the second has and the first has not


def compare(before: Manifest, after: Manifest) -> Difference:
    """Schema first, then files, then the rest, each by name."""
    old, new = (manifest.model_dump(mode="json", by_alias=True, exclude_none=True) for manifest in (before, after))
    changes = (
        *changed(Kind.INPUT, _named(old["inputs"], "name"), _named(new["inputs"], "name")),
        *changed(Kind.OUTPUT, _named(old["outputs"], "name"), _named(new["outputs"], "name")),
        *changed(Kind.FILE, _named(old["files"], "path"), _named(new["files"], "path")),
        *changed(Kind.METADATA, dict(_flat("", old)), dict(_flat("", new))),
    )
    return Difference(changes, new_bytes(after, blobs(before)))


def changed(kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Change]:
    """What is in one and not in the other, or not the same in both."""
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Change(kind, name, before.get(name), after.get(name))


def new_bytes(manifest: Manifest, there: Iterable[str]) -> int:
    """Bytes to move where the blobs `there` are already."""
    known = frozenset(there)
    return sum(size for sha256, size in blobs(manifest).items() if sha256 not in known)


def _named(items: Iterable[dict[str, Any]], key: str) -> dict[str, Any]:
    return {item[key]: {name: value for name, value in item.items() if name != key} for item in items}


def _flat(path: str, value: Any) -> Iterable[tuple[str, Any]]:
    """`{"build": {"a": "1"}}` -> `build.a`, so that a field added to the manifest later is compared too."""
    if not isinstance(value, dict):
        yield path, value
        return
    for name, each in value.items():
        if path or name not in _APART:
            yield from _flat(f"{path}.{name}" if path else name, each)
