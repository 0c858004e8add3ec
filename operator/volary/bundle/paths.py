"""Which file names a manifest may hold.

A name is used as a path below the bundle's directory, so it is data from a stranger that becomes
a system call. The grammar is an allow-list: ASCII letters, digits, `.`, `_`, `-` and `/` between
parts, no part that starts with a dot. That leaves no `..`, no absolute path, no NUL, no
backslash, no percent escape, no Unicode spelling of any of them.
"""

import re
from collections.abc import Iterable

from volary.bundle import limits
from volary.common.errors import Refused
from volary.common.reasons import Reason

MANIFEST = "manifest.json"  # written by the agent beside the files
SIGNATURE = "manifest.json.sig"  # of the manifest, so of every byte; beside it where there is one
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def check(path: str) -> None:
    """Raise Refused (NameInvalid, LimitExceeded) unless `path` is a name a bundle may hold."""
    if len(path.encode("utf-8", "surrogatepass")) > limits.PATH_BYTES:
        raise Refused(Reason.LIMIT_EXCEEDED, f"the file name {show(path)} is longer than {limits.PATH_BYTES} bytes")
    parts = path.split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        raise Refused(
            Reason.NAME_INVALID,
            f"the file name {show(path)} is not allowed; use letters, digits, '.', '_', '-' and '/', no part starting with '.'",
        )
    if len(parts) > limits.PATH_DEPTH:
        raise Refused(Reason.LIMIT_EXCEEDED, f"the file name {show(path)} has {len(parts)} parts; the limit is {limits.PATH_DEPTH}")
    if any(len(part) > limits.PATH_PART for part in parts):
        raise Refused(Reason.LIMIT_EXCEEDED, f"a part of the file name {show(path)} is longer than {limits.PATH_PART} characters")


def check_all(paths: Iterable[str]) -> None:
    """Check each name, then that no two of them would be one file somewhere.

    `A.onnx` and `a.onnx` are one file on a disk that folds case; `a` and `a/b` cannot both exist.
    """
    seen: dict[str, str] = {MANIFEST: MANIFEST, SIGNATURE: SIGNATURE}
    names = list(paths)
    for path in names:
        check(path)
        folded = path.casefold()
        if folded in seen:
            raise Refused(Reason.NAME_CONFLICT, f"the file names {show(seen[folded])} and {show(path)} would be one file")
        seen[folded] = path
    for path in names:
        for parent in _parents(path.casefold()):
            if parent in seen:
                raise Refused(Reason.NAME_CONFLICT, f"{show(seen[parent])} is a file, so {show(path)} cannot be below it")


def _parents(path: str) -> list[str]:
    """`a/b/c` -> [`a`, `a/b`]."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def show(path: str) -> str:
    """The name as harmless ASCII in quotes, shortened: control and bidirectional characters are escaped."""
    text = ascii(path)
    return text if len(text) <= limits.PATH_PART else f"{text[: limits.PATH_PART]}...'"
