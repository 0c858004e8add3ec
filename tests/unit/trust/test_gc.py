"""Garbage: what no version needs goes, what one needs never does, and on doubt nothing does."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from tests.unit.bundle import building
from tests.unit.trust import bundles
from tests.unit.trust.conftest import Command
from volary import packaging
from volary.adapters.storage import InMemory
from volary.bundle import garbage, layout
from volary.bundle import manifest as manifests
from volary.bundle.blobs import blobs
from volary.bundle.garbage import Blob
from volary.common.errors import Refused
from volary.packaging import gc
from volary.packaging.gc import Collector

URI = "s3://models/digits"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)


def orphan(storage: InMemory, content: bytes, age: timedelta) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    storage.objects[layout.blob_key(sha256)] = content
    storage.modified[layout.blob_key(sha256)] = NOW - age
    return sha256


def collect(storage: InMemory, grace: timedelta = WEEK) -> list[Blob]:
    collector = Collector(storage, NOW, grace)
    return [blob for batch in gc.batches(collector.look().garbage) for blob in collector.delete(batch)]


@pytest.fixture
def storage(tmp_path: Path) -> InMemory:
    """Two versions that share files, pushed a year ago."""
    found = InMemory(clock=lambda: NOW - timedelta(days=365))
    for version in ("1.0.0", "2.0.0"):
        packaging.push(bundles.make(tmp_path / version, version, data={"w.bin": version.encode()}).path, URI, storage=found)
    return found


def test_only_what_no_version_needs_and_is_old_goes(storage: InMemory) -> None:
    before = dict(storage.objects)
    old, young = orphan(storage, b"old", WEEK + HOUR), orphan(storage, b"young", WEEK - HOUR)
    found = Collector(storage, NOW, WEEK).look()
    assert [blob.sha256 for blob in found.garbage] == [old]
    assert [blob.sha256 for blob in found.young] == [young]
    assert [blob.sha256 for blob in collect(storage)] == [old]
    assert storage.objects == before | {layout.blob_key(young): b"young"}


def test_what_is_not_ours_stays(storage: InMemory) -> None:
    for key in ("blobs/sha256/README", "blobs/sha256/" + "A" * 64, "blobs/md5/" + "a" * 64, "blobs/sha256/" + "a" * 64 + ".tmp"):
        storage.objects[key] = b"x"
        storage.modified[key] = NOW - 9 * WEEK
    before = dict(storage.objects)
    assert collect(storage) == []
    assert storage.objects == before


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("versions/3.0.0.json", b"nonsense"),
        ("versions/3.0.0.json", b'{"schemaVersion":2}'),
        ("versions/3.0.0.json", manifests.dump(building.manifest(version="4.0.0"))),
        ("versions/3.0.0.json.bak", b"{}"),
        ("versions/old/1.json", b"{}"),
        ("versions/", b""),
    ],
)
def test_on_doubt_nothing_is_deleted(storage: InMemory, key: str, data: bytes) -> None:
    orphan(storage, b"old", 2 * WEEK)
    storage.objects[key] = data
    before = dict(storage.objects)
    with pytest.raises(Refused):
        collect(storage)
    assert storage.objects == before


def test_a_version_pushed_while_we_look_is_noticed(storage: InMemory, tmp_path: Path) -> None:
    """An old blob without a version, and a push that finds it there and needs it now."""
    bundle = bundles.make(tmp_path / "3.0.0", "3.0.0", data={"w.bin": b"old"})
    old = orphan(storage, b"old", 2 * WEEK)
    collector = Collector(storage, NOW, WEEK)
    found = collector.look()
    assert [blob.sha256 for blob in found.garbage] == [old]
    packaging.push(bundle.path, URI, storage=storage)
    assert collector.delete(found.garbage) == []
    assert storage.objects[layout.blob_key(old)] == b"old"


def test_a_push_brings_again_what_was_deleted_under_its_feet(storage: InMemory, tmp_path: Path) -> None:
    """The push saw the blob; then gc, which saw no version, deleted it; then the version was written."""
    old = orphan(storage, b"old", 2 * WEEK)

    class Racing(InMemory):
        @override
        def put_if_absent(self, key: str, data: bytes) -> bool:
            assert [blob.sha256 for blob in collect(self)] == [old]
            return InMemory.put_if_absent(self, key, data)

    racing = Racing(storage.objects, modified=storage.modified, clock=storage.clock)
    bundle = bundles.make(tmp_path / "3.0.0", "3.0.0", data={"w.bin": b"old"})
    pushed = packaging.push(bundle.path, URI, storage=racing)
    assert all(layout.blob_key(sha256) in racing.objects for sha256 in blobs(bundle.manifest))
    assert pushed.uploaded == len(b"old")


def test_a_broken_version_that_appears_stops_the_rest(storage: InMemory) -> None:
    orphan(storage, b"old", 2 * WEEK)
    collector = Collector(storage, NOW, WEEK)
    found = collector.look()
    storage.objects["versions/3.0.0.json"] = b"nonsense"
    before = dict(storage.objects)
    with pytest.raises(Refused):
        collector.delete(found.garbage)
    assert storage.objects == before


def test_batches_are_as_large_as_one_request() -> None:
    blobs = [Blob(f"{number:064x}", 1, NOW) for number in range(2001)]
    assert [len(batch) for batch in gc.batches(blobs)] == [1000, 1000, 1]
    assert [blob for batch in gc.batches(blobs) for blob in batch] == blobs


def test_shown_first_and_deleted_when_asked(memory: InMemory, command: Command, tmp_path: Path) -> None:
    packaging.push(bundles.make(tmp_path / "b").path, URI, storage=memory)
    for number in range(25):
        orphan(memory, bytes([number]), 9 * WEEK)
    before = dict(memory.objects)
    assert "and 5 smaller ones" in command("gc", URI, "--grace", "1d")
    assert memory.objects == before
    found = command("gc", URI, "--grace", "1d", "--delete", "-o", "json")
    assert found["deleted"] == found["garbage"] == {"blobs": 25, "bytes": 25}
    assert all(blob["deleted"] for blob in found["blobs"])
    assert command("gc", URI, "--grace", "1d", "-o", "json")["garbage"]["blobs"] == 0


@pytest.mark.parametrize("text", ["7", "7 days", "-1d", "1d2h", "99999d", ""])
def test_a_grace_that_is_none(text: str, capsys: pytest.CaptureFixture[str], memory: InMemory, command: Command) -> None:
    with pytest.raises(SystemExit):
        command("gc", URI, f"--grace={text}")
    assert "write it like 7d, 36h or 90m" in capsys.readouterr().err


AGES = st.integers(0, 20).map(lambda days: timedelta(days=days))
CONTENTS = st.integers(0, 9).map(lambda number: b"content %d" % number)


@given(
    versions=st.lists(st.lists(CONTENTS, max_size=4, unique=True), max_size=5),
    later=st.lists(CONTENTS, max_size=4, unique=True),
    ages=st.dictionaries(CONTENTS, AGES),
    grace=AGES,
)
def test_a_needed_blob_is_never_deleted_and_garbage_always_is(
    versions: Sequence[list[bytes]], later: list[bytes], ages: dict[bytes, timedelta], grace: timedelta
) -> None:
    """Versions over ten contents, blobs of any age, and one version more that is pushed between looking and deleting."""
    storage, needed = InMemory(clock=lambda: NOW - 9 * WEEK), set[str]()

    def push(number: int, contents: list[bytes]) -> None:
        made = building.manifest(version=f"{number}", data={f"file{index}.bin": each for index, each in enumerate(contents)})
        for content in (building.MODEL, building.GOLDEN, *contents):
            storage.objects.setdefault(layout.blob_key(hashlib.sha256(content).hexdigest()), content)
        storage.put_if_absent(layout.version_key(made.version), manifests.dump(made))
        needed.update(blobs(made))

    for content, age in ages.items():
        orphan(storage, content, age)
    for number, contents in enumerate(versions):
        push(number, contents)
    collector = Collector(storage, NOW, grace)
    batches = list(gc.batches(collector.look().garbage))
    push(len(versions), later)
    for batch in batches:
        collector.delete(batch)
    left = {sha256 for each in storage.list(layout.BLOBS) if (sha256 := layout.sha256_in(each.key))}
    assert needed <= left
    orphans = {hashlib.sha256(content).hexdigest(): age for content, age in ages.items()}
    assert left - needed == {sha256 for sha256, age in orphans.items() if sha256 not in needed and age < grace}


def test_the_edge_of_the_grace_period() -> None:
    edge = [Blob("a", 1, NOW - WEEK), Blob("b", 1, NOW - WEEK + timedelta(seconds=1)), Blob("c", 1, NOW + HOUR)]
    found = garbage.sort(edge, set(), NOW, WEEK)
    assert (found.garbage, found.young) == ((edge[0],), (edge[1], edge[2]))
