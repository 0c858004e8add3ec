"""Protocol Buffers, the wire format alone: enough to look into a file without the classes generated for it.

Encoding: https://protobuf.dev/programming-guides/encoding/. A field is a varint `number << 3 | type`
and a value: type 0 a varint, 1 eight bytes, 2 a length and as many bytes, 5 four bytes.
"""

from collections.abc import Iterator

_LONGEST = 10  # bytes of a varint of 64 bits: 7 bits a byte
_MASK = 2**64 - 1

Value = int | memoryview  # of a varint, else the bytes


class Malformed(ValueError):
    """These bytes are no message."""


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """The fields of a message as (number, value), in the order of the file. Raises Malformed."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise Malformed("a field has the number 0")
        match kind:
            case 0:
                value, at = _varint(data, at)
                yield number, value
                continue
            case 1:
                size = 8
            case 2:
                size, at = _varint(data, at)
            case 5:
                size = 4
            case _:
                raise Malformed(f"field {number} has the unknown wire type {kind}")
        if size > len(data) - at:
            raise Malformed(f"field {number} has {size} bytes, {len(data) - at} are left")
        yield number, data[at : at + size]
        at += size


def messages(data: memoryview, number: int) -> Iterator[memoryview]:
    """The values of a repeated field that are bytes: messages or text. Raises Malformed."""
    return (value for found, value in fields(data) if found == number and isinstance(value, memoryview))


def message(data: memoryview, number: int) -> memoryview:
    """The last value of a field that is a message; an empty one when it is absent, as the format has it."""
    *_, last = (memoryview(b""), *messages(data, number))
    return last


def integer(data: memoryview, number: int) -> int:
    """The last value of a varint as a signed number of 64 bits; 0 when it is absent. Raises Malformed."""
    *_, last = (0, *(value for found, value in fields(data) if found == number and isinstance(value, int)))
    return last - 2**64 if last >= 2**63 else last


def text(data: memoryview) -> str:
    """Bytes as text. Raises Malformed."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise Malformed("a text is not UTF-8") from None


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, seven bits a byte, the lowest first; and where the next thing begins."""
    value = 0
    for count, byte in enumerate(data[at : at + _LONGEST]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value & _MASK, at + count + 1
    raise Malformed("a number has no end")
