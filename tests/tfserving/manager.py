"""Which versions are loaded: what the aspired-versions manager and the server core of TensorFlow Serving do."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .twin import LoadError, Twin

if TYPE_CHECKING:
    from .config import Model
    from .flags import Flags


class NotFoundError(LookupError):
    """NOT_FOUND."""


class LabelError(Exception):
    """FAILED_PRECONDITION: the whole configuration is refused."""


@dataclass
class Version:
    """One that was seen. `state` is a name of ModelVersionStatus.State."""

    number: int
    state: str = "START"
    error: str = ""
    twin: Twin | None = None


@dataclass
class Held:
    """One model."""

    wanted: Model
    versions: dict[int, Version] = field(default_factory=dict)

    @property
    def available(self) -> list[int]:
        """Loaded versions, lowest first."""
        return sorted(number for number, version in self.versions.items() if version.state == "AVAILABLE")


class Manager:
    """All models. One thread changes it, others ask."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags
        self._lock = threading.RLock()
        self._held: dict[str, Held] = {}
        self._labels: dict[tuple[str, str], int] = {}
        self._gone: dict[str, Held] = {}

    def configure(self, models: list[Model]) -> None:
        """The new list replaces the old. Labels are looked at before anything is loaded. Raises LabelError."""
        with self._lock:
            labels = {(model.name, label): number for model in models for label, number in model.labels}
            for (name, label), number in labels.items():
                self._check_label(name, label, number)
            self._labels = labels
            wanted = {model.name: model for model in models}
            gone = {name: held for name, held in self._held.items() if name not in wanted}
            for held in gone.values():
                for version in held.versions.values():
                    _unload(version)
            for name, model in wanted.items():
                if name in self._held:
                    self._held[name].wanted = model
                else:
                    self._held[name] = Held(model)
            self._gone |= gone
            for name in gone:
                del self._held[name]

    def _check_label(self, name: str, label: str, number: int) -> None:
        if name in self._held and number in self._held[name].available:
            return
        if self._flags.allow_version_labels_for_unavailable_models and (name, label) not in self._labels:
            return
        raise LabelError(
            f"Request to assign label {label} to version {number} of model {name}, which is not currently available for inference"
        )

    def look(self) -> None:
        """One round of the file system source and the manager: load what is new, then unload what is not wanted."""
        with self._lock:
            held = list(self._held.values())
        for each in held:
            there = _there(Path(each.wanted.base_path))
            aspired = each.wanted.aspired(there)
            for number in aspired:
                known = each.versions.get(number)
                if known is None or (known.state == "END" and not known.error):
                    self._load(each, number)
            done = [number for number in aspired if each.versions[number].state == "AVAILABLE"]
            failed = [number for number in aspired if each.versions[number].error]
            for number in each.available:
                # The only one that is loaded stays while what should replace it has not loaded.
                if number not in aspired and (done or not failed):
                    with self._lock:
                        _unload(each.versions[number])

    def _load(self, held: Held, number: int) -> None:
        version = held.versions[number] = Version(number)
        version.state = "LOADING"
        for attempt in range(1 + self._flags.max_num_load_retries):
            if attempt:
                time.sleep(self._flags.load_retry_interval_micros / 1e6)
            try:
                version.twin = Twin(Path(held.wanted.base_path, str(number)))
            except LoadError as error:
                version.error = str(error)
            else:
                version.error, version.state = "", "AVAILABLE"
                return
        version.state = "END"

    @property
    def started(self) -> bool:
        """Every configured model has a version that is available; raises LoadError where one never will."""
        with self._lock:
            for name, held in self._held.items():
                failed = [version for version in held.versions.values() if version.error and version.state == "END"]
                if failed:
                    raise LoadError(f"Servable {{name: {name} version: {failed[0].number}}} failed: {failed[0].error}")
                wanted = held.wanted.specific or ()
                if not held.available or any(number not in held.available for number in wanted):
                    return False
            return True

    def find(self, name: str, number: int | None = None, label: str | None = None) -> Twin:
        """The loaded version a request means; the highest without a wish. Raises NotFoundError."""
        with self._lock:
            held = self._held.get(name)
            if label is not None:
                number = self._labels.get((name, label))
                if number is None:
                    raise NotFoundError(f"Unrecognized servable version label: {label}")
            if held is not None and number is None and held.available:
                number = held.available[-1]
            version = held.versions.get(number) if held is not None and number is not None else None
            if version is None or version.state != "AVAILABLE" or version.twin is None:
                asked = "Latest" if number is None else "Specific"
                raise NotFoundError(f"Servable not found for request: {asked}({name}{'' if number is None else f', {number}'})")
            return version.twin

    def resolved(self, name: str, number: int | None, label: str | None) -> int:
        """The number that `find` takes."""
        with self._lock:
            if label is not None:
                return self._labels[name, label]
            return number if number is not None else self._held[name].available[-1]

    def states(self, name: str, number: int | None, label: str | None) -> list[Version]:
        """Newest first, those that were unloaded too. Raises NotFoundError for what was never seen."""
        with self._lock:
            held = self._held.get(name) or self._gone.get(name)
            if label is not None:
                number = self._labels.get((name, label))
                if number is None:
                    raise NotFoundError(f"Unrecognized servable version label: {label}")
            known = sorted(held.versions.values(), key=lambda version: -version.number) if held is not None else []
            found = [version for version in known if number in {None, version.number}]
            if not found:
                raise NotFoundError(f"Could not find {'any versions' if number is None else f'version {number}'} of model {name}")
            return found


def _there(base: Path) -> list[int]:
    """Directories named by an integer; others are not looked at."""
    if not base.is_dir():
        return []
    return sorted(int(path.name) for path in base.iterdir() if path.name.isdecimal() and path.is_dir())


def _unload(version: Version) -> None:
    version.state, version.twin = "END", None
