"""How large anything in a bundle may be: one list, so that `pack`, preflight and agent agree.

A limit that a real model could meet is generous; a limit that only an attacker meets is tight.
"""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MANIFEST_BYTES = MIB
FILES = 5_000  # 200 bytes a file in a manifest of 1 MiB: the limits meet
TOTAL_BYTES = 256 * GIB  # all files of a bundle together
GOLDEN_BYTES = 16 * MIB  # the golden samples are read into memory
GOLDEN_SAMPLES = 1_000
CONFIG_BYTES = 32 * MIB  # one file for before and after the model; the largest tokenizers have 17 MiB

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
LABELS = 64
METRICS = 64
LICENSE = 200  # characters
OPSET = 1_000

PREFLIGHT_BYTES = 64 * MIB  # a preflight proves the digests of this much; the pods prove all


def show(size: int) -> str:
    """Bytes for people: 1572864 -> `1.5 MiB`."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"
