"""A model that lies in a bucket as other servers like it: `model.onnx`, or `1/saved_model.pb` and what is beside it.

Whoever can write there chooses the names, and they become paths here: they pass the rules of a bundle first.
"""

import re
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from volary.adapters.storage import Listed, Storage
from volary.bundle import limits, paths
from volary.bundle.layout import Location
from volary.common.errors import Refused
from volary.common.reasons import Reason

_MODEL = re.compile(r"saved_model\.pb|.*\.(onnx|tflite|keras|h5|pt2|pth|pt|safetensors)")
_VERSION = re.compile(r"(\d{1,18})/([^/]+)")


def split(location: Location) -> tuple[Location, str]:
    """`s3://b/models/m.onnx` -> the folder and the file's name; a folder -> itself and ''."""
    folder, _, name = location.prefix.rpartition("/")
    return (Location(location.bucket, folder), name) if _MODEL.fullmatch(name) else (location, "")


def choose(listed: Iterable[Listed], name: str = "") -> list[Listed]:
    """The files of one model: of the named one, of the folder's, or of the highest version in it.

    Raises Refused (FileNotFound, NameInvalid, NameConflict, LimitExceeded): the names are a stranger's.
    """
    found = [each for each in listed if each.key and not each.key.endswith("/")]  # consoles leave empty objects for folders
    if len(found) > limits.FILES:
        raise Refused(Reason.LIMIT_EXCEEDED, f"the folder holds more than {limits.FILES} files; name the folder of one model")
    prefix = _prefix(found, name)
    chosen = [each for each in found if each.key.startswith(prefix) and (not name or each.key in (name, f"{name}.data"))]
    paths.check_all(each.key for each in chosen)
    total = sum(each.size for each in chosen)
    if total > limits.TOTAL_BYTES:
        raise Refused(Reason.LIMIT_EXCEEDED, f"the model has {limits.show(total)}; the limit is {limits.show(limits.TOTAL_BYTES)}")
    return chosen


def download(storage: Storage, directory: Path, name: str = "", progress: Callable[[int], None] = lambda _: None) -> Path:
    """Fetch one model below `directory`; what is complete is not fetched again. Where it is then. Raises Refused, Transient."""
    chosen = choose(islice(storage.list(""), limits.FILES + 1), name)
    for each in chosen:
        path = directory / each.key
        if path.is_file() and path.stat().st_size == each.size:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(storage, each, path, progress)
    return directory / name if name else directory


def _prefix(found: list[Listed], name: str) -> str:
    """`` when the model is in the folder itself, `3/` when its versions are below."""
    if name and any(each.key == name for each in found):
        return ""
    if not name and any(_MODEL.fullmatch(each.key) for each in found if "/" not in each.key):
        return ""
    versions = [match for each in found if (match := _VERSION.fullmatch(each.key)) and _MODEL.fullmatch(match[2])]
    if name or not versions:
        wanted = f"no {paths.show(name)}" if name else "no model, neither itself nor in a folder named by a number"
        raise Refused(Reason.FILE_NOT_FOUND, f"the folder holds {wanted}, among {len(found)} files")
    return f"{max(versions, key=lambda match: int(match[1]))[1]}/"


def _fetch(storage: Storage, listed: Listed, path: Path, progress: Callable[[int], None]) -> None:
    """No more bytes than were listed: an object that was replaced meanwhile would be half of each."""
    size = 0
    with path.open("wb") as stream, storage.stream(listed.key) as chunks:
        for chunk in chunks:
            size += len(chunk)
            if size > listed.size:
                break
            stream.write(chunk)
            progress(len(chunk))
    if size != listed.size:
        raise Refused(
            Reason.SIZE_MISMATCH, f"{paths.show(listed.key)} in {storage.place} was listed with {listed.size} bytes and has others now"
        )
