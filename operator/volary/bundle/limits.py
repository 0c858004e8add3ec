"""How large anything in a bundle may be: one list, so that `pack`, preflight and agent agree.

A limit that a real model could meet is generous; a limit that only an attacker meets is tight.
"""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

MANIFEST_BYTES = MIB
SIGNATURE_BYTES = 256 * KIB  # with a chain of certificates; 1 KiB with a key
ALIAS_BYTES = 4 * KIB
REVISIONS_BYTES = 16 * KIB  # three revisions have 1 KiB
URI = 1_024  # characters
FILES = 5_000  # 200 bytes a file in a manifest of 1 MiB: the limits meet
TOTAL_BYTES = 256 * GIB  # all files of a bundle together
CHUNKS = 8_192  # of all files together: 95 bytes a chunk, so 760 KiB of the manifest's 1 MiB
CHUNK_BYTES = 256 * MIB  # 8,192 chunks of the largest bundle have 32 MiB on average
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

GRAPH_BYTES = 256 * MIB  # of a model file that are read to look at its graph; weights in tensors are skipped and do not count
GRAPH_FIELDS = 5_000_000  # protobuf fields looked at: about 15 s; a graph of 30,000 nodes has 400,000
GRAPH_OPERATORS = 20_000  # different ones, functions of the model included
TENSOR_RANK = 64  # dimensions of a constant
GRAPH_WRITTEN = 500_000  # nodes of a SavedModel, which are kept to follow what they are given: 300 MB at worst
GRAPH_NODES = 10_000_000  # after every call of a function is replaced by its body, as runtimes do

PREFLIGHT_BYTES = 64 * MIB  # a preflight proves the digests of this much; the pods prove all


def show(size: int) -> str:
    """Bytes for people: 1572864 -> `1.5 MiB`."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"
