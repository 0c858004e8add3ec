"""Durations as Kubernetes people write them: `90s`, `2m`, `1h30m`."""

import re
from datetime import timedelta

PATTERN = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,6}s)?$"
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
