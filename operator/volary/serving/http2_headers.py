"""Header blocks of requests: decoded, proved to be a request's, and remembered."""

from collections.abc import Sequence
from typing import cast

from hpack import Decoder

Headers = Sequence[tuple[bytes, bytes]]

LIST_LIMIT = 65536  # bytes of decoded headers
_CACHED = 64  # blocks whose meaning is remembered
_PSEUDO = {b":method", b":scheme", b":path", b":authority"}
_NEEDED = {b":method", b":scheme", b":path"}
_OF_HTTP_1 = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
_WITH_INDEX, _LONG_INDEX = 0x80, 0xFF  # first byte of a field that is an index alone (RFC 7541, 6.1); one of more bytes


class Reader:
    """Of one connection."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=LIST_LIMIT)
        self._known: dict[bytes, Headers | None] = {}

    def read(self, block: bytes) -> Headers | None:
        """The headers; None where they are not those of a request. Raises HPACKError.

        Clients repeat themselves: a block of indices alone changes no table, so it means the same until one
        that is not changes the table.
        """
        if block in self._known:
            return self._known[block]
        headers = cast("Headers", self._decoder.decode(block, raw=True))
        sound = headers if _is_request(headers) else None
        if not _only_indices(block):
            self._known.clear()
        elif len(self._known) < _CACHED:
            self._known[block] = sound
        return sound


def _is_request(headers: Headers) -> bool:
    """As RFC 9113, 8.2 and 8.3.1 say."""
    pseudo = [name for name, _ in headers if name.startswith(b":")]
    if pseudo != [name for name, _ in headers[: len(pseudo)]] or len(set(pseudo)) < len(pseudo):
        return False
    return set(pseudo) >= _NEEDED and set(pseudo) <= _PSEUDO and all(_is_sound(name, value) for name, value in headers)


def _is_sound(name: bytes, value: bytes) -> bool:
    if name != name.lower() or name in _OF_HTTP_1:
        return False
    return (name != b":path" or bool(value)) and (name != b"te" or value == b"trailers")


def _only_indices(block: bytes) -> bool:
    return min(block, default=0) >= _WITH_INDEX and max(block) < _LONG_INDEX
