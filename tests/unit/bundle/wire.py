"""Protocol buffers by hand: what no library would write, and SavedModels without TensorFlow."""

from collections.abc import Mapping

Part = int | str | bytes


def varint(value: int) -> bytes:
    """A number; negative ones as 64 bits."""
    value %= 2**64
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def tag(number: int, wire: int) -> bytes:
    return varint(number << 3 | wire)


def field(number: int, value: Part) -> bytes:
    """One field: a number as a varint, all else with its length before it."""
    if isinstance(value, int):
        return tag(number, 0) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return tag(number, 2) + varint(len(content)) + content


def message(*fields: tuple[int, Part]) -> bytes:
    return b"".join(field(number, value) for number, value in fields)


def entries(number: int, found: Mapping[str, Part]) -> bytes:
    """A map field, and the string entries of ONNX, which look the same."""
    return b"".join(field(number, message((1, key), (2, value))) for key, value in found.items())
