"""Where tensors lie in files: ONNX, its external data, safetensors. Only places are read, no weights.

A file that cannot be followed has no tensors: it is then cut like any other, which is never wrong.
"""

import json
import mmap
from collections.abc import Iterator, Mapping
from pathlib import Path

from volary.bundle import limits

Tensors = tuple[tuple[int, int], ...]  # (start, stop) in bytes

# Field numbers of onnx.proto: ModelProto, GraphProto, TensorProto, StringStringEntryProto.
_GRAPH, _INITIALIZER, _EXTERNAL_DATA = 7, 5, 13
_KEY, _VALUE = 1, 2
_BYTES = 2  # wire type of what has a length
_HEADER_BYTES = 100 * limits.MIB  # of safetensors; the format allows no more
_SMALL = 4 * limits.KIB  # an entry of external data is shorter


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
        except (ValueError, IndexError, KeyError, TypeError, AttributeError):
            continue
    return found


def _onnx(path: Path) -> tuple[Tensors, dict[str, list[tuple[int, int]]]]:
    """Places of initializers in the file itself, and in each file with external data."""
    inside: list[tuple[int, int]] = []
    outside: dict[str, list[tuple[int, int]]] = {}
    if not path.stat().st_size:
        return (), outside
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for _, first, last in _fields(data, 0, len(data), _GRAPH):
            for tag, start, stop in _fields(data, first, last, _INITIALIZER):
                inside.append((tag, stop))
                for location, place in _external(data, start, stop):
                    outside.setdefault(location, []).append(place)
    return tuple(inside), outside


def _external(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[str, tuple[int, int]]]:
    entries: dict[str, str] = {}
    for _, first, last in _fields(data, start, stop, _EXTERNAL_DATA):
        if last - first < _SMALL:
            pair = {number: bytes(data[a:b]).decode() for number in (_KEY, _VALUE) for _, a, b in _fields(data, first, last, number)}
            entries[pair.get(_KEY, "")] = pair.get(_VALUE, "")
    if "location" in entries and "length" in entries:
        offset = int(entries.get("offset", "0"))
        yield entries["location"], (offset, offset + int(entries["length"]))


def _fields(data: mmap.mmap, start: int, stop: int, wanted: int) -> Iterator[tuple[int, int, int]]:
    """Of each field `wanted` of a message: where its tag is, where its content begins and ends. Raises ValueError, IndexError."""
    while start < stop:
        tag = start
        key, start = _varint(data, start)
        kind, size = key & 7, 0
        match kind:
            case 0:  # a number
                _, start = _varint(data, start)
            case 1:
                size = 8
            case 2:  # bytes, text, messages
                size, start = _varint(data, start)
            case 5:
                size = 4
            case _:
                raise ValueError(f"wire type {kind}")
        if start + size > stop:
            raise ValueError("a field goes on after its message")
        if key >> 3 == wanted and kind == _BYTES:
            yield tag, start, start + size
        start += size


def _varint(data: mmap.mmap, start: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
    raise ValueError("a number of more than ten bytes")


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
