"""Is there room for one more model in this process? Asked before it is loaded: the kernel's answer would end what serves.

Measured with ONNX Runtime 1.32 and 48 MiB of weights: inside the model file they take 2.9 times
their size at the peak (the file, the graph read from it, the weights laid out for the processor) and
1.0 times once that is over; in files of their own 1.1 times at the peak, because they are mapped.
"""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

from volary.bundle import limits
from volary.bundle.formats import Role
from volary.bundle.manifest import Manifest
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.serving.cores import CGROUP

_IN_GRAPH = 3.0  # of the bytes of the model file, at the peak of a load
_BESIDE = 1.2  # of the bytes of files with weights alone
_FIXED = 32 * limits.MIB  # for a session itself and its first requests
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


def estimate(manifest: Manifest) -> int:
    """Bytes that loading this takes at its peak."""
    beside = sum(file.size for file in manifest.files if file.role is Role.DATA)
    return round(_IN_GRAPH * manifest.model_file.size + _BESIDE * beside) + _FIXED


def check(manifest: Manifest, resident: int, limit: int | None) -> None:
    """Raise Refused (MemoryTooSmall) where the model does not fit beside `resident` bytes. `limit` None: there is none."""
    needed = estimate(manifest)
    if limit is None or resident + needed <= limit:
        return
    enough = -(-(resident + needed) // limits.MIB)
    raise Refused(
        Reason.MEMORY_TOO_SMALL,
        f"version {manifest.version} takes about {limits.show(needed)} while it is loaded, the server has {limits.show(resident)} "
        f"resident, the limit of its container is {limits.show(limit)}; a memory limit of {enough}Mi would do",
    )


def resident() -> int:
    """Bytes of memory this process has."""
    return int(_STATM.read_text().split()[1]) * _PAGE


def limit(cgroup: Path = CGROUP) -> int | None:
    """Bytes the container may have, or None where nothing says. cgroup v2 first, then v1."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            found = int((cgroup / name).read_text())
            return found if found < limits.TOTAL_BYTES * limits.KIB else None  # v1 says "none" by 2**63 less a page
    return None


def give_back() -> None:
    """Return what was freed to the system: the allocator keeps it otherwise, and the next load adds to it.

    Takes 3 to 6 ms; other threads run meanwhile.
    """
    with suppress(OSError, AttributeError):  # musl has none
        ctypes.CDLL(None).malloc_trim(0)
