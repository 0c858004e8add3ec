"""sha256 of parts of files, in bounded memory."""

import hashlib
import os

_BUFFER = 1 << 20  # bytes; OpenSSL lets other threads run meanwhile


def update(digest: "hashlib._Hash", descriptor: int, start: int, size: int) -> int:
    """Feed `size` bytes of an open file from `start` on; how many there were."""
    buffer = memoryview(bytearray(min(size, _BUFFER)))
    done = 0
    while done < size:
        count = os.preadv(descriptor, [buffer[: size - done]], start + done)
        if not count:
            break
        digest.update(buffer[:count])
        done += count
    return done


def of_part(descriptor: int, start: int, size: int) -> str:
    """Hex digest of `size` bytes of an open file from `start` on; of fewer where the file ends."""
    digest = hashlib.sha256()
    update(digest, descriptor, start, size)
    return digest.hexdigest()
