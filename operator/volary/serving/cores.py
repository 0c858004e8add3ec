"""How many CPUs the container may use: what ONNX Runtime itself does not look at."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def available(cgroup: Path = CGROUP) -> int:
    """The CPU limit rounded up, at least 1 and at most the CPUs of the affinity mask. 500m -> 1, 2500m -> 3."""
    allowed = len(os.sched_getaffinity(0))
    limit = _limit(cgroup)
    return allowed if limit is None else max(1, min(allowed, math.ceil(limit)))


def _limit(cgroup: Path) -> float | None:
    """CPUs, or None where there is no limit. cgroup v2 first, then v1."""
    words = _read(cgroup / "cpu.max") or [*_read(cgroup / "cpu/cpu.cfs_quota_us"), *_read(cgroup / "cpu/cpu.cfs_period_us")]
    if len(words) != 2 or words[0] in ("max", "-1"):  # quota and period
        return None
    quota, period = map(int, words)
    return quota / period


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
