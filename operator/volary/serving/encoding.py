"""Compressed bodies, never unpacked beyond what a body may have: ten kilobytes can hold ten megabytes of zeros.

`deflate` is the zlib format (RFC 1950), as RFC 9110 says; some clients send the bare one (RFC 1951),
which is told apart by its first two bytes.
"""

import zlib

from volary.serving.protocol import Rejected

ENCODINGS = (b"gzip", b"deflate")
_GZIP = 16 + zlib.MAX_WBITS
_BARE = -zlib.MAX_WBITS


def inflate(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The plain body, of at most `limit` bytes. Raises Rejected: 413 above the limit, 400 for what is damaged or cut off."""
    unpacker = zlib.decompressobj(_window(body, encoding))
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise Rejected(400, f"the body is not {encoding.decode()}: {error}") from None
    if len(plain) > limit:
        raise Rejected(413, f"the body is larger than {limit} bytes once unpacked, the most this server takes")
    if not unpacker.eof:
        raise Rejected(400, f"the body is not {encoding.decode()}: its end is missing")
    if unpacker.unused_data:
        raise Rejected(400, f"the body is not {encoding.decode()}: there are {len(unpacker.unused_data)} bytes after its end")
    return plain


def _window(body: bytes, encoding: bytes) -> int:
    if encoding == b"gzip":
        return _GZIP
    # A zlib header is a multiple of 31 and names method 8.
    is_wrapped = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return zlib.MAX_WBITS if is_wrapped else _BARE
