"""How large anything in a bundle may be: one list, so that `pack`, preflight and agent agree.

A limit that a real model could meet is generous; a limit that only an attacker meets is tight.
"""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MANIFEST_BYTES = MIB
FILES = 5_000  # 200 bytes a file in a manifest of 1 MiB: the limits meet
TOTAL_BYTES = 256 * GIB  # all files of a bundle together
CHUNKS = 8_192  # of all files together: 95 bytes a chunk, so 760 KiB of the manifest's 1 MiB
CHUNK_BYTES = 256 * MIB  # 8,192 chunks of the largest bundle have 32 MiB on average
GOLDEN_BYTES = 16 * MIB  # the golden samples are read into memory
GOLDEN_SAMPLES = 1_000

PATH_BYTES = 255
PATH_PART = 100  # characters of one part of a path
PATH_DEPTH = 8

TENSORS = 1_000  # inputs, and outputs
TENSOR_NAME = 256  # characters
DIMENSIONS = 16
DIMENSION = 2**31 - 1
BUILD_ENTRIES = 64
BUILD_KEY = 128
BUILD_VALUE = 1_024

PREFLIGHT_BYTES = 64 * MIB  # a preflight proves the digests of this much; the pods prove all


def show(size: int) -> str:
    """Bytes for people: 1572864 -> `1.5 MiB`."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"
