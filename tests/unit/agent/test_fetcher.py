"""Hostile bundles on their way to the disk: numbers are those of the list of hostile inputs."""

import errno
import hashlib
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import override

from tests.unit.agent.conftest import Clock
from tests.unit.bundle import building
from volary.adapters.storage import InMemory
from volary.agent import fetcher, store
from volary.agent.fetcher import Fetched
from volary.agent.retry import Patience, Stopped
from volary.agent.source import Wanted
from volary.bundle import layout
from volary.bundle import manifest as manifests
from volary.bundle.manifest import Manifest
from volary.common.errors import Refused, Transient, VolaryError
from volary.common.reasons import Reason

WANTED = Wanted("1.0.0", runtime="onnxruntime")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The volume, in a directory where anything that escapes would be seen."""
    path = tmp_path / "outside" / "models"
    path.mkdir(parents=True)
    return path


def fetch(storage: InMemory, models: Path, patience: Patience, wanted: Wanted = WANTED) -> Fetched:
    return fetcher.fetch(storage, wanted, models, "digits", patience=patience)


def tree(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in sorted(path.rglob("*")) if each.is_file()}


def refusal(storage: InMemory, models: Path, patience: Patience, wanted: Wanted = WANTED) -> VolaryError:
    """What the fetch says. Nothing is published, nothing is left half done, nothing is outside."""
    with pytest.raises(VolaryError) as caught:
        fetch(storage, models, patience, wanted)
    assert not (models / "digits").exists()
    assert list((models / ".store" / "tmp").iterdir()) == []
    for blob in (models / ".store" / "sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert [each.name for each in models.parent.iterdir()] == ["models"]
    assert [each.name for each in models.parent.parent.iterdir()] == ["outside"]
    return caught.value


def test_a_bundle_is_published_whole(models: Path, patience: Patience) -> None:
    weights = os.urandom(1_000_000)
    storage, data = building.stored(building.manifest(data={"sub/weights": weights}), weights)
    fetched = fetch(storage, models, patience)
    assert fetched.path == models / "digits" / "1.0.0"
    assert tree(fetched.path) == {
        "golden.json": building.GOLDEN,
        "manifest.json": data,
        "model.onnx": building.MODEL,
        "sub/weights": weights,
    }
    assert fetched.downloaded == fetched.manifest.size
    assert {stat.S_IMODE(each.stat().st_mode) for each in fetched.path.rglob("*") if each.is_file()} == {0o444}


def test_a_second_run_downloads_nothing(models: Path, patience: Patience) -> None:
    storage, data = building.stored()
    wanted = Wanted("1.0.0", manifests.digest(data), "onnxruntime")
    first = fetch(storage, models, patience, wanted)
    before = (first.path / "model.onnx").stat().st_ino
    storage.reads.clear()
    second = fetch(storage, models, patience, wanted)
    assert second.downloaded == 0
    assert storage.reads == []
    assert (second.path / "model.onnx").stat().st_ino == before


def test_a_restarted_container_needs_no_storage(models: Path, patience: Patience) -> None:
    storage, data = building.stored()
    wanted = Wanted("1.0.0", manifests.digest(data), "onnxruntime")
    fetch(storage, models, patience, wanted)
    assert fetch(InMemory(), models, patience, wanted).downloaded == 0


def test_the_same_content_is_fetched_once(models: Path, patience: Patience) -> None:
    storage, _ = building.stored(building.manifest(data={"a": b"same", "b/c": b"same"}), b"same")
    fetched = fetch(storage, models, patience)
    assert len(storage.reads) == 3
    assert (fetched.path / "a").read_bytes() == (fetched.path / "b/c").read_bytes() == b"same"


def test_an_empty_file(models: Path, patience: Patience) -> None:
    storage, _ = building.stored(building.manifest(data={"empty": b""}), b"")
    assert (fetch(storage, models, patience).path / "empty").read_bytes() == b""


def test_a_file_that_rotted_on_the_disk_is_fetched_again(models: Path, patience: Patience) -> None:
    storage, _ = building.stored()
    first = fetch(storage, models, patience)
    rotten = first.path / "model.onnx"
    rotten.chmod(0o644)
    rotten.write_bytes(building.MODEL[:-1] + b"!")
    again = fetch(storage, models, patience)
    assert again.downloaded == len(building.MODEL)
    assert (again.path / "model.onnx").read_bytes() == building.MODEL


def test_what_a_crash_left_is_removed(models: Path, patience: Patience) -> None:
    storage, _ = building.stored()
    (models / ".store" / "tmp" / "bundle.x").mkdir(parents=True)
    (models / ".store" / "tmp" / "half").write_bytes(b"half")
    fetch(storage, models, patience)
    assert list((models / ".store" / "tmp").iterdir()) == []


def test_another_bundle_in_its_place_is_replaced(models: Path, patience: Patience) -> None:
    fetch(building.stored()[0], models, patience)
    other = building.sample(7.0)
    golden = building.encoded({"samples": [other]})
    fetched = fetch(building.stored(golden=golden)[0], models, patience)
    assert (fetched.path / "golden.json").read_bytes() == golden


HOSTILE_NAMES = [
    "../x",
    "/etc/volary-test",
    "a/../../x",
    "..\\x",
    "%2e%2e/x",
    "a\0b",
    "a\nb",
    "a\u202eb",
    "a//b",
    "./a",
    "a/",
    ".hidden",
    "é",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_1_to_8_a_hostile_name_writes_no_byte(models: Path, patience: Patience, name: str) -> None:
    found = building.fields()
    found["files"][0]["path"] = name
    storage, _ = building.stored()
    storage.objects["versions/1.0.0.json"] = building.encoded(found)
    with pytest.raises(Refused) as caught:
        fetch(storage, models, patience)
    assert caught.value.reason is Reason.NAME_INVALID
    assert tree(models.parent.parent) == {}
    assert storage.reads == []


@dataclass
class Case:
    """How the storage is spoilt, and what is said then."""

    spoil: Callable[[InMemory], None]
    reason: Reason
    text: str


MODEL_KEY = layout.blob_key(hashlib.sha256(building.MODEL).hexdigest())


def replace(data: bytes) -> Callable[[InMemory], None]:
    return lambda storage: storage.objects.__setitem__(MODEL_KEY, data)


def remove(storage: InMemory) -> None:
    del storage.objects[MODEL_KEY]


def flip(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


CASES = {
    "17 longer by a byte": Case(replace(building.MODEL + b"x"), Reason.SIZE_MISMATCH, "goes on after the 2056 bytes"),
    "17 longer by much": Case(replace(building.MODEL * 1000), Reason.SIZE_MISMATCH, "goes on after the 2056 bytes"),
    "18 shorter": Case(replace(building.MODEL[:-1]), Reason.SIZE_MISMATCH, "has 2055 bytes, the manifest says 2056"),
    "18 empty": Case(replace(b""), Reason.SIZE_MISMATCH, "has 0 bytes, the manifest says 2056"),
    "19 one bit flipped": Case(replace(flip(building.MODEL)), Reason.DIGEST_MISMATCH, "'model.onnx' has the sha256"),
    "file not there": Case(remove, Reason.FILE_NOT_FOUND, "'model.onnx' is not in memory"),
    "no such version": Case(lambda storage: storage.objects.clear(), Reason.VERSION_NOT_FOUND, "there is no version 1.0.0 in memory"),
    "28 unknown field": Case(
        lambda storage: storage.objects.update({"versions/1.0.0.json": building.encoded(building.fields(extra=1))}),
        Reason.MANIFEST_INVALID,
        "extra",
    ),
    "35 another version's manifest": Case(
        lambda storage: storage.objects.update({"versions/1.0.0.json": manifests.dump(building.manifest(version="0.9"))}),
        Reason.MANIFEST_INVALID,
        "version 1.0.0 holds the manifest of version 0.9",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_spoilt_bundle_is_refused(models: Path, patience: Patience, case: Case) -> None:
    storage, _ = building.stored()
    case.spoil(storage)
    found = refusal(storage, models, patience)
    assert isinstance(found, Refused)
    assert found.reason is case.reason
    assert case.text in found.message


def test_31_another_manifest_than_the_pinned_one(models: Path, patience: Patience) -> None:
    storage, data = building.stored()
    found = refusal(storage, models, patience, Wanted("1.0.0", "sha256:" + "0" * 64, "onnxruntime"))
    assert found.reason is Reason.MANIFEST_DIGEST_MISMATCH
    assert manifests.digest(data) in found.message
    assert storage.reads == []


def test_59_a_model_that_is_a_pickle(models: Path, patience: Patience) -> None:
    pickle = b"\x80\x04\x95\x00\x00"
    made = building.manifest()
    files = (building.file("model.onnx", pickle, made.files[0].role), *made.files[1:])
    storage, _ = building.stored(made.model_copy(update={"files": files}), pickle)
    assert refusal(storage, models, patience).reason is Reason.FORMAT_UNSUPPORTED


@pytest.mark.parametrize("runtime", ["tensorflow-serving", "triton"])
def test_a_runtime_that_does_not_fit(models: Path, patience: Patience, runtime: str) -> None:
    found = refusal(building.stored()[0], models, patience, Wanted("1.0.0", runtime=runtime))
    assert found.reason in (Reason.FORMAT_UNSUPPORTED, Reason.RUNTIME_UNSUPPORTED)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".store", "A", "a\n"])
def test_the_models_name_is_no_path(models: Path, patience: Patience, name: str) -> None:
    with pytest.raises(Refused) as caught:
        fetcher.fetch(building.stored()[0], WANTED, models, name, patience=patience)
    assert caught.value.reason is Reason.SPEC_INVALID
    assert list(models.iterdir()) == []


def test_a_symbolic_link_in_the_store_is_not_followed(models: Path, patience: Patience, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    blobs = models / ".store" / "sha256"
    blobs.mkdir(parents=True)
    (blobs / hashlib.sha256(building.MODEL).hexdigest()).symlink_to(victim)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        fetch(building.stored()[0], models, patience)
    assert victim.read_bytes() == b"precious"


# ---- a full disk ------------------------------------------------------------------------------


def test_39_a_small_disk_is_told_before_the_first_byte(models: Path, patience: Patience, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "free", lambda _: 1000)
    storage, _ = building.stored()
    found = refusal(storage, models, patience)
    assert found.reason is Reason.DISK_FULL
    assert "the disk has 1000 bytes left" in found.message
    assert storage.reads == []


@contextmanager
def tiny(path: Path) -> Iterator[bool]:
    """A disk of 256 KiB at `path`, if we may mount one."""
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)], check=False, capture_output=True).returncode == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(path)], check=True)


def test_39_a_disk_that_fills_up_meanwhile(models: Path, patience: Patience, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = os.urandom(1_000_000)
    storage, _ = building.stored(building.manifest(data={"weights": weights}), weights)
    storage.chunk = 65536
    monkeypatch.setattr(store, "free", lambda _: 10**12)  # somebody else fills it after we looked
    with tiny(models) as mounted:
        if not mounted:

            def full(*_: object) -> None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            monkeypatch.setattr(store.Incoming, "add", full)
        found = refusal(storage, models, patience)
        assert found.reason is Reason.DISK_FULL
        assert "no space left on the disk for " in found.message


# ---- a storage in trouble ---------------------------------------------------------------------


class Flaky(InMemory):
    """Breaks each stream after so many chunks, so many times."""

    breaks = 3
    after = 2

    @override
    @contextmanager
    def stream(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        with super().stream(key, start, stop) as chunks:
            yield self._breaking(chunks)

    def _breaking(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks):
            if self.breaks and number == self.after:
                self.breaks -= 1
                raise Transient(Reason.STORAGE_UNREACHABLE, "broke")
            yield chunk


def flaky(made: Manifest, *contents: bytes) -> Flaky:
    storage = Flaky(building.stored(made, *contents)[0].objects)
    storage.chunk = 1000
    return storage


def test_a_broken_transfer_goes_on_where_it_broke(models: Path, patience: Patience) -> None:
    weights = os.urandom(50_000)
    storage = flaky(building.manifest(data={"weights": weights}), weights)
    fetched = fetch(storage, models, patience)
    assert (fetched.path / "weights").read_bytes() == weights
    assert fetched.downloaded == fetched.manifest.size  # nothing came twice


def test_20_an_object_that_changes_meanwhile_is_refused(models: Path, patience: Patience) -> None:
    weights = os.urandom(50_000)
    storage = flaky(building.manifest(data={"weights": weights}), weights)
    key = layout.blob_key(hashlib.sha256(weights).hexdigest())
    seen: list[int] = []

    def change(_: int) -> None:
        seen.append(1)
        storage.objects[key] = os.urandom(50_000)

    with pytest.raises(Refused) as caught:
        fetcher.fetch(storage, WANTED, models, "digits", patience=patience, progress=change)
    assert caught.value.reason is Reason.DIGEST_MISMATCH


def test_a_storage_that_stays_away_is_transient(models: Path, patience: Patience, clock: Clock) -> None:
    storage = flaky(building.manifest())
    storage.breaks, storage.after = 10**9, 0
    found = refusal(storage, models, patience)
    assert isinstance(found, Transient)
    assert found.reason is Reason.STORAGE_UNREACHABLE
    assert clock.now >= 1000 + 59.9


class Stalled(InMemory):
    """Sends a byte, then nothing, for ever."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        super().__init__(objects)
        self.release = threading.Event()

    @override
    @contextmanager
    def stream(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        def chunks() -> Iterator[bytes]:
            yield self.objects[key][:1]
            self.release.wait(30)

        yield chunks()


def test_23_a_storage_that_stalls_is_given_up(models: Path) -> None:
    storage = Stalled(building.stored()[0].objects)
    try:
        with pytest.raises(Transient, match="next to nothing"):
            fetch(storage, models, Patience(budget=0.2))
    finally:
        storage.release.set()


def test_a_stop_ends_a_stalled_fetch(models: Path) -> None:
    storage = Stalled(building.stored()[0].objects)
    patience = Patience()
    try:
        with pytest.raises(Stopped):
            fetcher.fetch(storage, WANTED, models, "digits", patience=patience, progress=lambda _: patience.stop.set())
    finally:
        storage.release.set()
