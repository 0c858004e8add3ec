"""Files for before and after the model: class names, vocabularies, means. They are data; nothing here runs."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from volary.bundle import formats, limits
from volary.bundle.formats import Format, Role
from volary.common.errors import Refused
from volary.common.reasons import Reason

FOLDER = "config"


def copy(files: Sequence[Path], directory: Path) -> dict[str, Role]:
    """Copy each as `config/NAME`. Raises Refused (FileNotFound, NameConflict, FormatUnsupported, LimitExceeded)."""
    roles: dict[str, Role] = {}
    for file in files:
        path = f"{FOLDER}/{file.name}"
        _check(file, path)
        if path in roles:
            raise Refused(Reason.NAME_CONFLICT, f"two config files are called {file.name}; rename one of them")
        (directory / FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(file, directory / path)
        roles[path] = Role.CONFIG
    return roles


def _check(file: Path, path: str) -> None:
    if not file.is_file():
        raise Refused(Reason.FILE_NOT_FOUND, f"there is no config file {file}")
    try:
        formats.check_file(Format.ONNX, Role.CONFIG, path)
    except Refused:
        kinds = "json, yaml, yml, txt, csv, tsv or toml"
        raise Refused(Reason.FORMAT_UNSUPPORTED, f"{file} cannot be a config file: those are data, and end in {kinds}") from None
    if (size := file.stat().st_size) > limits.CONFIG_BYTES:
        raise Refused(Reason.LIMIT_EXCEEDED, f"{file} has {limits.show(size)}; a config file may have {limits.show(limits.CONFIG_BYTES)}")
