"""Protocol buffers on the wire, read without a library and without trust.

A model's graph is a tree of fields, each `tag, payload`. This reads the tree through a function that
fetches bytes by position, a page at a time. What is not asked for is skipped, not read: of a file
with gigabytes of weights only the fields around them are fetched. A length is compared with what
its parent has left before anything is done with it, so a field that claims 2 GiB in a small file
allocates nothing.

Stricter than protobuf's own parsers, so that no two of them can read one file differently: a field
that the schema does not name is refused, and so is a second value for a field that has one only.
The encoding: https://protobuf.dev/programming-guides/encoding/
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from types import MappingProxyType

from volary.bundle import limits, paths
from volary.common.errors import Refused
from volary.common.reasons import Reason

Reader = Callable[[int, int], bytes]  # (offset, size) -> that many bytes; fewer mean that the file ends early

DEPTH = 64  # of messages in messages; protobuf's own parsers stop at 100
_VARINT_BYTES = 10  # 10 * 7 bits hold 64
_U64 = 2**64 - 1
_TAG = 2**32 - 1
_TEXT = 64 * limits.KIB  # of one name
_TEXTS = 128 * limits.MIB  # of all names that are read: what is kept in memory is a small multiple
_PAGE = 4 * limits.KIB  # after a jump: 5,000 tensors of a large model cost 20 MiB of reading
_LARGE_PAGE = limits.MIB  # of what is read from end to end: a storage is not asked for every field


class Wire(IntEnum):
    """How a payload is encoded. 3 and 4 are groups, which nobody writes any more."""

    VARINT = 0
    FIXED64 = 1
    LENGTH = 2
    FIXED32 = 5


_NOTHING: Mapping[int, Wire] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of a message, by number. A repeated number may also come packed, several in one payload."""

    name: str
    singular: Mapping[int, Wire] = field(default_factory=lambda: _NOTHING)
    repeated: Mapping[int, Wire] = field(default_factory=lambda: _NOTHING)
    bulk: frozenset[int] = frozenset()  # repeated numbers whose values nobody asks for: a run of them is skipped as one


@dataclass(frozen=True, slots=True)
class Span:
    """A payload that was not read: its bytes are [start, end) of the file."""

    start: int
    end: int
    depth: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


Value = int | Span  # a number as an unsigned integer of 64 bits; all else as the place where it is
Field = tuple[int, Value]  # number, value


class Walker:
    """One file. Raises Refused: ModelInvalid for what is no protocol buffer, LimitExceeded when the budget is used up."""

    def __init__(
        self, reader: Reader, size: int, name: str, *, budget: int = limits.GRAPH_BYTES, fields: int = limits.GRAPH_FIELDS
    ) -> None:
        self.name = paths.show(name)
        self.root = Span(0, size)
        self._reader = reader
        self._budget = budget
        self._fields_left = fields
        self._text_left = _TEXTS
        self._page = _PAGE
        self._data = b""
        self._start = 0
        self._stop = 0  # position after the last byte of _data

    def fields(self, message: Span, schema: Schema) -> Iterator[Field]:
        """The fields of a message in their order. Bulk runs come as one Span each."""
        if message.depth > DEPTH:
            raise self.invalid(message.start, f"messages are nested more than {DEPTH} deep")
        position, end, seen = message.start, message.end, set[int]()
        while position < end:
            begin = position
            tag, position = self._varint(position, end)
            number, wire = self._known(schema, tag, begin)
            if number in schema.singular:
                if number in seen:
                    raise self.invalid(begin, f"field {number} of {schema.name} occurs twice")
                seen.add(number)
            if wire is Wire.VARINT:
                value, position = self._varint(position, end)
                found: Value = value
            else:
                length, position = self._varint(position, end) if wire is Wire.LENGTH else (8 if wire is Wire.FIXED64 else 4, position)
                if length > end - position:
                    raise self.invalid(begin, f"field {number} of {schema.name} claims {length} bytes where {end - position} are left")
                found = Span(position, position + length, message.depth + 1)
                position += length
            if number in schema.bulk and wire is not Wire.LENGTH:
                position = self._run(tag, wire, position, end)
                found = Span(begin, position, message.depth + 1)
            yield number, found

    def text(self, value: Value) -> str:
        """A string; what is not UTF-8 is replaced, so it equals no name that is allowed."""
        span = self._span(value)
        self._text_left -= span.size
        if span.size > _TEXT or self._text_left < 0:
            raise self.beyond(
                f"has names that are too long at byte {span.start}; one may have {limits.show(_TEXT)}, all {limits.show(_TEXTS)}"
            )
        return self._bytes(span).decode("utf-8", "replace")

    def integers(self, value: Value) -> Iterator[int]:
        """A repeated integer: one, or several that are packed."""
        if isinstance(value, int):
            yield value
            return
        position = value.start
        while position < value.end:
            found, position = self._varint(position, value.end)
            yield found

    def invalid(self, position: int, what: str) -> Refused:
        """What to raise for a broken file."""
        return Refused(Reason.MODEL_INVALID, f"{self.name} cannot be read as a model: {what} (at byte {position}); export it again")

    def beyond(self, what: str) -> Refused:
        """What to raise for a file that is too large in some way."""
        return Refused(Reason.LIMIT_EXCEEDED, f"{self.name} {what}")

    def _known(self, schema: Schema, tag: int, begin: int) -> tuple[int, Wire]:
        """Field number and encoding, if the schema has them."""
        self._fields_left -= 1
        if self._fields_left < 0:
            raise self.beyond(
                "has more fields outside of its weights than are looked at; keep weights in one tensor, not in many attributes"
            )
        number, wire = tag >> 3, tag & 7
        expected = schema.singular.get(number)
        if expected is None:
            expected = schema.repeated.get(number)
        if expected is None or tag > _TAG:
            raise self.invalid(begin, f"{schema.name} has no field {number}")
        if wire == expected or (wire == Wire.LENGTH and number in schema.repeated):
            return number, Wire(wire)
        raise self.invalid(begin, f"field {number} of {schema.name} has the wire type {wire}, expected {int(expected)}")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """Value and position after it. Bits above the 64th are dropped, as protobuf does."""
        value = shift = 0
        for at in range(position, min(position + _VARINT_BYTES, end)):
            if not self._start <= at < self._stop:
                self._load(at)
            byte = self._data[at - self._start]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & _U64, at + 1
            shift += 7
        raise self.invalid(position, "a number has more than 10 bytes" if end - position >= _VARINT_BYTES else "a number is cut off")

    def _run(self, tag: int, wire: Wire, position: int, end: int) -> int:
        """Position after the values of the same field that follow directly, as far as the page has them."""
        if not self._start <= position < self._stop:
            return position
        found = _values(tag, wire).match(self._data, position - self._start, min(end, self._stop) - self._start)
        return position if found is None else self._start + found.end()

    def _span(self, value: Value) -> Span:
        assert isinstance(value, Span)  # noqa: S101 -- the schema says which fields are
        return value

    def _bytes(self, span: Span) -> bytes:
        found = bytearray()
        while (at := span.start + len(found)) < span.end:
            if not self._start <= at < self._stop:
                self._load(at)
            found += self._data[at - self._start : span.end - self._start]
        return bytes(found)

    def _load(self, position: int) -> None:
        """Make the page the one that begins at `position`; pages grow while they (nearly) follow each other."""
        follows = 0 <= position - self._stop <= self._page
        self._page = min(self._page * 2, _LARGE_PAGE) if follows else _PAGE
        size = min(self._page, self.root.end - position)
        self._budget -= size
        if self._budget < 0:
            raise self.beyond("has more bytes outside of its weights than are looked at; keep weights in tensors or in external data")
        self._data = self._reader(position, size)
        if len(self._data) != size:
            raise self.invalid(position, f"{size} bytes were asked for and {len(self._data)} came")
        self._start, self._stop = position, position + size


def signed(value: int) -> int:
    """64 bits as a signed number."""
    return value - 2**64 if value >= 2**63 else value


def small(value: int) -> int:
    """The signed number of 32 bits that protobuf keeps of a varint in an enum or int32."""
    low = value & 0xFFFF_FFFF
    return low - 2**32 if low >= 2**31 else low


_PAYLOADS = {Wire.VARINT: rb"[\x80-\xff]{0,9}+[\x00-\x7f]", Wire.FIXED32: rb".{4}", Wire.FIXED64: rb".{8}"}


@cache
def _values(tag: int, wire: Wire) -> re.Pattern[bytes]:
    """A run of one field. A forest of a million nodes has ten million numbers: a loop in Python takes half a minute for them."""
    encoded = bytearray()
    while tag >= 0x80:
        encoded.append(tag & 0x7F | 0x80)
        tag >>= 7
    encoded.append(tag)
    return re.compile(rb"(?:%s%s)++" % (re.escape(bytes(encoded)), _PAYLOADS[wire]), re.DOTALL)
