"""Compressed bodies."""

import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.serving.encoding import inflate
from volary.serving.protocol import Rejected

_LIMIT = 1000


def _bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(("encoding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress), (b"deflate", _bare)])
@pytest.mark.parametrize("size", [0, 1, 999, 1000])
def test_bodies_are_unpacked(encoding: bytes, pack: Callable[[bytes], bytes], size: int) -> None:
    assert inflate(pack(b"x" * size), encoding, _LIMIT) == b"x" * size


@pytest.mark.parametrize(("encoding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress), (b"deflate", _bare)])
@pytest.mark.parametrize("size", [1001, 100_000_000])
def test_bombs_are_refused(encoding: bytes, pack: Callable[[bytes], bytes], size: int) -> None:
    with pytest.raises(Rejected) as caught:
        inflate(pack(bytes(size)), encoding, _LIMIT)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "its end is missing"),
        (b"plain", "the body is not gzip: Error -3"),
        (gzip.compress(b"cut off", mtime=0)[:-3], "its end is missing"),
        (gzip.compress(b"once", mtime=0) + gzip.compress(b"twice", mtime=0), "bytes after its end"),
    ],
    ids=["empty", "not-gzip", "cut-off", "two"],
)
def test_damaged_bodies(body: bytes, message: str) -> None:
    with pytest.raises(Rejected, match=message) as caught:
        inflate(body, b"gzip", _LIMIT)
    assert caught.value.status == 400


@given(st.binary(max_size=60), st.sampled_from([b"gzip", b"deflate"]))
def test_any_bytes_are_unpacked_or_refused(body: bytes, encoding: bytes) -> None:
    with suppress(Rejected):
        assert len(inflate(body, encoding, _LIMIT)) <= _LIMIT
