"""Files in chunks on their way to the disk: what moves, what is taken from the disk, what is refused."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
from typing_extensions import override

from tests.unit.bundle import building
from volary.adapters.storage import InMemory
from volary.agent import fetcher, preflight, source
from volary.agent.fetcher import Fetched
from volary.agent.retry import Patience, Stopped
from volary.agent.source import Wanted
from volary.agent.store import Store
from volary.bundle import layout
from volary.bundle import manifest as manifests
from volary.bundle.manifest import Chunk, File, Manifest
from volary.common.errors import Refused, Transient, VolaryError
from volary.common.reasons import Reason

SIZE = 10_000


def noise(seed: int, count: int = 20) -> list[bytes]:
    return [hashlib.shake_256(f"{seed}.{number}".encode()).digest(SIZE) for number in range(count)]


def chunked(path: str, parts: list[bytes]) -> File:
    chunks = tuple(Chunk(sha256=hashlib.sha256(part).hexdigest(), size=len(part)) for part in parts)
    return building.file(path, b"".join(parts)).model_copy(update={"chunks": chunks})


def bundle(parts: list[bytes], version: str = "1.0.0") -> Manifest:
    made = building.manifest(version=version)
    return made.model_copy(update={"files": (*made.files, chunked("weights", parts))})


def put(storage: InMemory, made: Manifest, parts: list[bytes]) -> InMemory:
    version, _ = building.stored(made, *parts)
    storage.objects.update({key: data for key, data in version.objects.items() if key.startswith("blobs/")})
    storage.objects[layout.version_key(made.version)] = manifests.dump(made)
    return storage


def stored(parts: list[bytes], kind: type[InMemory] = InMemory) -> InMemory:
    return put(kind(), bundle(parts), parts)


def fetch(storage: InMemory, directory: Path, patience: Patience, version: str = "1.0.0") -> Fetched:
    return fetcher.fetch(storage, Wanted(version), directory, "digits", patience=patience)


def refusal(storage: InMemory, directory: Path, patience: Patience) -> VolaryError:
    with pytest.raises(VolaryError) as caught:
        fetch(storage, directory, patience)
    assert not (directory / "digits").exists()
    return caught.value


def test_a_file_is_its_chunks(tmp_path: Path, patience: Patience) -> None:
    parts = noise(1)
    moved: list[int] = []
    found = fetcher.fetch(stored(parts), Wanted("1.0.0"), tmp_path, "digits", patience=patience, progress=moved.append)
    assert (found.path / "weights").read_bytes() == b"".join(parts)
    assert (found.downloaded, found.reused) == (found.manifest.size, 0)
    assert sum(moved) == found.manifest.size


def test_the_same_chunk_twice_in_a_file(tmp_path: Path, patience: Patience) -> None:
    parts = [*noise(1, 3), *noise(1, 3)]
    assert (fetch(stored(parts), tmp_path, patience).path / "weights").read_bytes() == b"".join(parts)


def test_a_new_version_moves_the_chunks_that_are_new(tmp_path: Path, patience: Patience) -> None:
    old, head = noise(1), noise(2, 2)
    storage = stored(old)
    fetch(storage, tmp_path, patience)
    new = [head[0], *old[3:], head[1]]
    put(storage, bundle(new, "2.0.0"), new)
    storage.reads.clear()
    found = fetch(storage, tmp_path, patience, "2.0.0")
    assert (found.path / "weights").read_bytes() == b"".join(new)
    assert (found.downloaded, found.reused) == (2 * SIZE, 17 * SIZE)
    assert sorted(storage.reads) == sorted(layout.blob_key(hashlib.sha256(part).hexdigest()) for part in head)


def test_what_rotted_on_the_disk_is_not_copied(tmp_path: Path, patience: Patience) -> None:
    old = noise(1)
    storage = stored(old)
    rotten = fetch(storage, tmp_path, patience).path / "weights"
    rotten.chmod(0o644)
    with rotten.open("r+b") as stream:
        stream.seek(5 * SIZE)
        stream.write(b"rotten")
    new = [*noise(2, 1), *old]
    put(storage, bundle(new, "2.0.0"), new)
    found = fetch(storage, tmp_path, patience, "2.0.0")
    assert (found.path / "weights").read_bytes() == b"".join(new)
    assert found.downloaded == 2 * SIZE


def test_a_lying_manifest_on_the_disk_harms_nobody(tmp_path: Path, patience: Patience) -> None:
    """The store's index is made from manifests: what they say of a chunk is believed of no byte."""
    parts = noise(1)
    fetch(stored(parts), tmp_path, patience)
    liar = bundle(parts)
    chunks = liar.files[-1].chunks
    swapped = liar.files[-1].model_copy(update={"chunks": (chunks[1], chunks[0], *chunks[2:])})
    (tmp_path / "other" / "1").mkdir(parents=True)
    (tmp_path / "other" / "1" / "manifest.json").write_bytes(manifests.dump(liar.model_copy(update={"files": (*liar.files[:-1], swapped)})))
    new = [*noise(2, 1), *parts]
    found = fetch(put(stored(parts), bundle(new, "2.0.0"), new), tmp_path, patience, "2.0.0")
    assert (found.path / "weights").read_bytes() == b"".join(new)


# ---- refused ----------------------------------------------------------------------------------


def test_a_wrong_chunk_is_named_with_its_range_and_both_digests(tmp_path: Path, patience: Patience) -> None:
    parts = noise(1)
    storage = stored(parts)
    expected, wrong = hashlib.sha256(parts[3]).hexdigest(), bytes(SIZE)
    storage.objects[layout.blob_key(expected)] = wrong
    found = refusal(storage, tmp_path, patience)
    assert found.reason is Reason.DIGEST_MISMATCH
    for word in ("'weights'", "byte 30000 to 40000", expected, hashlib.sha256(wrong).hexdigest()):
        assert word in found.message
    assert not any(hashlib.sha256(each.read_bytes()).hexdigest() != each.name for each in Store(tmp_path).blobs.iterdir())
    with pytest.raises(Refused) as caught:
        preflight.check(storage, Wanted("1.0.0"), patience=patience)
    assert (caught.value.reason, "byte 30000 to 40000" in caught.value.message) == (Reason.DIGEST_MISMATCH, True)


def test_a_manifest_that_contradicts_itself_poisons_nothing(tmp_path: Path, patience: Patience) -> None:
    """Right chunks, but the sha256 of another file: whoever has that other file must get that one."""
    parts = noise(1)
    made = bundle(parts)
    liar = made.files[-1].model_copy(update={"sha256": hashlib.sha256(b"another").hexdigest()})
    storage = put(InMemory(), made.model_copy(update={"files": (*made.files[:-1], liar)}), parts)
    found = refusal(storage, tmp_path, patience)
    assert found.reason is Reason.DIGEST_MISMATCH
    assert hashlib.sha256(b"".join(parts)).hexdigest() in found.message
    assert not Store(tmp_path).path(liar.sha256).exists()
    with pytest.raises(Refused) as caught:
        preflight.check(storage, Wanted("1.0.0"), patience=patience)
    assert caught.value.reason is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize(
    ("content", "text"), [(b"x" * (SIZE + 1), "goes on after the 10000 bytes"), (b"x" * 9, "has 9 bytes, the manifest says 10000")]
)
def test_a_chunk_of_another_size(tmp_path: Path, patience: Patience, content: bytes, text: str) -> None:
    parts = noise(1)
    storage = stored(parts)
    storage.objects[layout.blob_key(hashlib.sha256(parts[3]).hexdigest())] = content
    found = refusal(storage, tmp_path, patience)
    assert found.reason is Reason.SIZE_MISMATCH
    assert text in found.message
    with pytest.raises(Refused) as caught:
        preflight.check(storage, Wanted("1.0.0"), patience=patience)
    assert caught.value.reason is Reason.SIZE_MISMATCH


def test_a_chunk_that_is_not_there(tmp_path: Path, patience: Patience) -> None:
    parts = noise(1)
    storage = stored(parts)
    del storage.objects[layout.blob_key(hashlib.sha256(parts[3]).hexdigest())]
    found = refusal(storage, tmp_path, patience)
    assert found.reason is Reason.FILE_NOT_FOUND
    assert "the chunk of 'weights' from byte 30000 to 40000 is not in memory" in found.message
    with pytest.raises(Refused) as caught:
        preflight.check(storage, Wanted("1.0.0"), patience=patience)
    assert caught.value.message == found.message


def test_a_good_chunked_bundle_passes_the_preflight(patience: Patience) -> None:
    assert preflight.check(stored(noise(1)), Wanted("1.0.0"), patience=patience).reason is Reason.PREFLIGHT_PASSED


# ---- interrupted ------------------------------------------------------------------------------


class Ending(InMemory):
    """Is away after so many streams."""

    left = 10**9

    @override
    @contextmanager
    def stream(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        if not self.left:
            raise Transient(Reason.STORAGE_UNREACHABLE, "away")
        self.left -= 1
        with super().stream(key, start, stop) as pieces:
            yield pieces


def test_the_next_fetch_moves_only_what_is_missing(tmp_path: Path, patience: Patience) -> None:
    parts = noise(1)
    storage = stored(parts, Ending)
    storage.left = 9  # type: ignore[attr-defined]
    assert isinstance(refusal(storage, tmp_path, patience), Transient)
    arrived = len(storage.reads)
    storage.left = 10**9  # type: ignore[attr-defined]
    storage.reads.clear()
    found = fetch(storage, tmp_path, patience)
    assert (found.path / "weights").read_bytes() == b"".join(parts)
    assert found.reused >= (arrived - 2) * SIZE
    assert len(storage.reads) == len(parts) + 2 - arrived


def test_a_large_blob_goes_on_where_another_process_stopped(tmp_path: Path, patience: Patience) -> None:
    weights = b"".join(noise(1))
    storage, _ = building.stored(building.manifest(data={"weights": weights}), weights)
    storage.chunk = SIZE
    stopping = Patience()
    seen: list[int] = []

    def stop(count: int) -> None:
        seen.append(count)
        if sum(seen) >= 5 * SIZE:
            stopping.stop.set()

    with pytest.raises(Stopped):
        fetcher.fetch(storage, Wanted("1.0.0"), tmp_path, "digits", patience=stopping, progress=stop)
    found = fetch(storage, tmp_path, patience)
    assert (found.path / "weights").read_bytes() == weights
    assert found.reused >= 4 * SIZE
    assert found.downloaded <= found.manifest.size - 4 * SIZE


def test_a_wrong_start_from_an_earlier_life_is_found_and_not_kept(tmp_path: Path, patience: Patience) -> None:
    weights = b"".join(noise(1))
    storage, _ = building.stored(building.manifest(data={"weights": weights}), weights)
    local = Store(tmp_path)
    local.prepare()
    (local.partial / hashlib.sha256(weights).hexdigest()).write_bytes(b"wrong")
    assert refusal(storage, tmp_path, patience).reason is Reason.DIGEST_MISMATCH
    assert (fetch(storage, tmp_path, patience).path / "weights").read_bytes() == weights


def test_what_arrived_of_another_bundle_makes_room(tmp_path: Path, patience: Patience) -> None:
    local = Store(tmp_path)
    local.prepare()
    (local.partial / ("0" * 64)).write_bytes(b"of an earlier version")
    fetch(stored(noise(1)), tmp_path, patience)
    assert list(local.partial.iterdir()) == []


def test_proofs_and_starts_of_before_the_machine_started_do_not_count(
    tmp_path: Path, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = noise(1)
    storage = stored(parts)
    path = fetch(storage, tmp_path, patience).path / "weights"
    times = path.stat()
    path.chmod(0o644)
    path.write_bytes(bytes(len(parts) * SIZE))  # pages that were lost
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fetch(storage, tmp_path, patience).downloaded == 0  # a fault nobody can see without reading
    monkeypatch.setattr("volary.agent.store._mark", lambda: 12345)
    assert fetch(storage, tmp_path, patience).downloaded == len(parts) * SIZE
    assert path.read_bytes() == b"".join(parts)


def test_two_fetches_into_one_directory_take_turns(tmp_path: Path, patience: Patience) -> None:
    storage = stored(noise(1))
    with Store(tmp_path).locked(patience):
        thread = threading.Thread(target=fetch, args=(storage, tmp_path, Patience()))
        thread.start()
        impatient = Patience()
        impatient.stop.set()
        with pytest.raises(Stopped):
            fetch(storage, tmp_path, impatient)
        assert not (tmp_path / "digits").exists()
    thread.join()
    assert (tmp_path / "digits" / "1.0.0" / "manifest.json").is_file()


def test_a_killed_process_leaves_what_it_had(tmp_path: Path, patience: Patience) -> None:
    script = dedent("""
        import os, sys
        from pathlib import Path
        from tests.unit.agent import test_fetcher_chunks as test
        from volary.agent.retry import Patience
        class Killing(test.Ending):
            def stream(self, key, start=0, stop=None):
                if len(self.reads) >= 8:
                    os.kill(os.getpid(), 9)
                return super().stream(key, start, stop)
        test.fetch(test.stored(test.noise(1), Killing), Path(sys.argv[1]), Patience())
    """)
    paths = {"PYTHONPATH": f"{Path(__file__).parents[3]}:{Path(__file__).parents[3] / 'operator'}"}
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, env=os.environ | paths)
    assert ended.returncode == -9
    assert not (tmp_path / "digits").exists()
    storage = stored(noise(1))
    found = fetch(storage, tmp_path, patience)
    assert (found.path / "weights").read_bytes() == b"".join(noise(1))
    assert len(storage.reads) <= 22 - 4  # eight had begun, at most four of them had not ended


# ---- looking into files -----------------------------------------------------------------------


@pytest.mark.parametrize(("start", "size"), [(0, 10), (SIZE - 5, 10), (5, 3 * SIZE), (20 * SIZE - 3, 10), (20 * SIZE, 1), (7, 0)])
@pytest.mark.parametrize("whole", [True, False])
def test_a_reader_reads_over_the_borders_of_chunks(start: int, size: int, *, whole: bool) -> None:
    parts = noise(1)
    content = b"".join(parts)
    file = building.file("weights", content) if whole else chunked("weights", parts)
    storage, _ = building.stored(None, content, *parts)
    assert source.reader(storage, file)(start, size) == content[start : start + size]


def test_a_reader_asks_once_for_small_reads_that_follow_each_other() -> None:
    content = b"".join(noise(1))
    storage, _ = building.stored(None, content)
    read = source.reader(storage, building.file("weights", content))
    assert b"".join(read(at, 100) for at in range(0, 10_000, 100)) == content[:10_000]
    assert len(storage.reads) == 1
