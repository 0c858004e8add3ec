"""Where tensors lie in files: ONNX, its external data, safetensors. Only places are read, no weights.

A file that cannot be followed has no tensors: it is then cut like any other, which is never wrong.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from volary.bundle import limits
from volary.bundle.onnx_schema import ENTRY, GRAPH, MODEL, TENSOR
from volary.bundle.protobuf import Schema, Span, Walker
from volary.common.errors import Refused
from volary.packaging.bundle import reader

Tensors = tuple[tuple[int, int], ...]  # (start, stop) in bytes

# Field numbers of onnx.proto: ModelProto, GraphProto, TensorProto, StringStringEntryProto.
_GRAPH, _INITIALIZER, _EXTERNAL_DATA = 7, 5, 13
_KEY, _VALUE = 1, 2
_HEADER_BYTES = 100 * limits.MIB  # of safetensors; the format allows no more


def tensors_of(files: Mapping[str, Path]) -> Mapping[str, Tensors]:
    """Name in the bundle -> places of tensors in that file."""
    found: dict[str, Tensors] = {}
    for name, path in files.items():
        try:
            if name.endswith(".onnx"):
                inside, outside = _onnx(path)
                found[name] = inside
                found.update({location: tuple(places) for location, places in outside.items() if location in files})
            elif name.endswith(".safetensors"):
                found[name] = _safetensors(path)
        except (Refused, ValueError, IndexError, KeyError, TypeError, AttributeError):
            continue
    return found


def _onnx(path: Path) -> tuple[Tensors, dict[str, list[tuple[int, int]]]]:
    """Places of initializers in the file itself, and in each file with external data. Raises Refused."""
    inside: list[tuple[int, int]] = []
    outside: dict[str, list[tuple[int, int]]] = {}
    walker = Walker(reader(path), path.stat().st_size, path.name)
    for graph in _spans(walker, walker.root, MODEL, _GRAPH):
        begin = graph.start  # of a field with its tag: so a tensor is the same bytes wherever it stands
        for number, span in walker.spans(graph, GRAPH):
            if number == _INITIALIZER:
                inside.append((begin, span.end))
                for location, place in _external(walker, span):
                    outside.setdefault(location, []).append(place)
            begin = span.end
    return tuple(inside), outside


def _external(walker: Walker, tensor: Span) -> Iterator[tuple[str, tuple[int, int]]]:
    entries: dict[str, str] = {}
    for entry in _spans(walker, tensor, TENSOR, _EXTERNAL_DATA):
        pair = dict(walker.spans(entry, ENTRY))
        if _KEY in pair and _VALUE in pair:
            entries[walker.text(pair[_KEY])] = walker.text(pair[_VALUE])
    if "location" in entries and "length" in entries:
        offset = int(entries.get("offset", "0"))
        yield entries["location"], (offset, offset + int(entries["length"]))


def _spans(walker: Walker, message: Span, schema: Schema, wanted: int) -> Iterator[Span]:
    return (span for number, span in walker.spans(message, schema) if number == wanted)


def _safetensors(path: Path) -> Tensors:
    """Its header is the size of a JSON object in 8 bytes, then the object: name -> data_offsets after the header."""
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if size > _HEADER_BYTES:
            raise ValueError("no header")
        header = json.loads(stream.read(size))
    begin = 8 + size
    places = (each["data_offsets"] for name, each in header.items() if name != "__metadata__")
    return tuple((begin + int(start), begin + int(stop)) for start, stop in places)
