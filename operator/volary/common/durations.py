"""Durations as Kubernetes people write them: `90s`, `2m`, `1h30m`."""

import re
from datetime import timedelta

PATTERN = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$"
_SHORT = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s|m)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_PARTS = re.compile(r"(?:([0-9]{1,5})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6})s)?")


def parse(text: str) -> timedelta:
    """`1h30m` -> 5400 s. Raises ValueError for anything else, the empty string included."""
    match = _PARTS.fullmatch(text)
    if not text or match is None:
        raise ValueError(f"{text!r} is not a duration; write it like 30s, 2m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def show(duration: timedelta) -> str:
    """The shortest spelling: 5400 s -> `1h30m`, 0 -> `0s`."""
    seconds = max(0, round(duration.total_seconds()))
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [f"{value}{unit}" for value, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if value]
    return "".join(parts) or "0s"


def seconds(text: str) -> float:
    """Short ones: `250ms` -> 0.25, `1.5s` or `1.5` -> 1.5, `2m` -> 120. Raises ValueError for anything else."""
    match = _SHORT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time; write it like 250ms, 1.5s or 2m")
    return float(match[1]) * _UNITS[match[2] or "s"]
