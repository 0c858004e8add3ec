from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from tests.unit.packaging import models
from volary import packaging
from volary.adapters.storage import InMemory, Progress
from volary.bundle import manifest as manifests
from volary.common.errors import Refused, Transient
from volary.common.reasons import Reason
from volary.packaging import Bundle

URI = "s3://models/double"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return packed(tmp_path, "1.0.0")


def packed(path: Path, version: str, output: str = "bundle", number: float = 1.0) -> Bundle:
    x = np.full((1, 3), number, np.float32)
    return packaging.pack(models.double(path / "double.onnx"), name="double", version=version, samples=x, output=path / output)


def test_files_first_then_the_version(bundle: Bundle) -> None:
    storage = InMemory()
    moved: list[int] = []
    pushed = packaging.push(bundle.path, URI, storage=storage, progress=moved.append)
    assert list(storage.objects)[-1] == "versions/1.0.0.json"
    assert storage.objects["versions/1.0.0.json"] == bundle.data
    assert (pushed.digest, pushed.already) == (bundle.digest, False)
    assert pushed.uploaded == sum(moved) == bundle.manifest.size


def test_the_same_again_is_already_pushed(bundle: Bundle) -> None:
    storage = InMemory()
    packaging.push(bundle.path, URI, storage=storage)
    before = dict(storage.objects)
    pushed = packaging.push(bundle.path, URI, storage=storage)
    assert (pushed.uploaded, pushed.skipped, pushed.already) == (0, bundle.manifest.size, True)
    assert storage.objects == before


def test_a_new_version_uploads_only_what_changed(bundle: Bundle, tmp_path: Path) -> None:
    storage = InMemory()
    packaging.push(bundle.path, URI, storage=storage)
    pushed = packaging.push(packed(tmp_path, "1.1.0", "next", 2.0).path, URI, storage=storage)
    assert 0 < pushed.uploaded < pushed.skipped + pushed.uploaded
    assert pushed.skipped == bundle.manifest.model_file.size


def test_a_version_never_changes(bundle: Bundle, tmp_path: Path) -> None:
    storage = InMemory()
    packaging.push(bundle.path, URI, storage=storage)
    before = dict(storage.objects)
    with pytest.raises(Refused, match="a version never changes: pack this one under another") as caught:
        packaging.push(packed(tmp_path, "1.0.0", "other", 2.0).path, URI, storage=storage)
    assert caught.value.reason is Reason.NAME_CONFLICT
    assert storage.objects == before


def test_of_two_that_push_at_once_one_is_refused(bundle: Bundle) -> None:
    class Race(InMemory):
        @override
        def put_if_absent(self, key: str, data: bytes) -> bool:
            self.objects.setdefault(key, b"another's")
            return super().put_if_absent(key, data)

    with pytest.raises(Refused, match="a version never changes"):
        packaging.push(bundle.path, URI, storage=Race())


def test_a_push_that_breaks_off_leaves_no_version_and_goes_on_later(bundle: Bundle) -> None:
    class Breaking(InMemory):
        @override
        def put_if_absent(self, key: str, data: bytes) -> bool:
            raise Transient(Reason.STORAGE_UNREACHABLE, f"{key} {len(data)}")

    broken = Breaking()
    with pytest.raises(Transient):
        packaging.push(bundle.path, URI, storage=broken)
    assert not any(key.startswith("versions/") for key in broken.objects)
    assert packaging.push(bundle.path, URI, storage=InMemory(broken.objects)).uploaded == 0


def test_a_spoilt_bundle_is_not_pushed(bundle: Bundle) -> None:
    (bundle.path / "golden.json").write_bytes(b"{}")
    storage = InMemory()
    with pytest.raises(Refused):
        packaging.push(bundle.path, URI, storage=storage)
    assert storage.objects == {}


def test_a_place_that_is_none(bundle: Bundle) -> None:
    with pytest.raises(Refused) as caught:
        packaging.push(bundle.path, "models/double", storage=InMemory())
    assert caught.value.reason is Reason.SPEC_INVALID


# ---- in chunks --------------------------------------------------------------------------------


def test_a_new_head_uploads_the_head(tmp_path: Path) -> None:
    """Bytes counted, not times: a backbone of 3 MB stays, a head of 300 KB goes."""
    storage = InMemory()
    uploaded = []
    for version in ("1.0.0", "2.0.0"):
        model = models.with_head(tmp_path / "head.onnx", seed=int(version[0]))
        made = packaging.pack(model, name="head", version=version, output=tmp_path / version)
        uploaded.append(packaging.push(made.path, URI, storage=storage).uploaded)
    assert models.HEAD_BYTES <= uploaded[1] <= 1.1 * models.HEAD_BYTES
    assert uploaded[0] > 10 * models.HEAD_BYTES


def test_a_push_that_broke_off_sends_the_rest(tmp_path: Path) -> None:
    class Breaking(InMemory):
        @override
        def put_file(self, key: str, path: Path, progress: Progress, start: int = 0, size: int | None = None) -> None:
            if len(self.objects) >= 4:
                raise Transient(Reason.STORAGE_UNREACHABLE, "away")
            super().put_file(key, path, progress, start, size)

    made = packaging.pack(models.with_head(tmp_path / "head.onnx", seed=1), name="head", version="1", output=tmp_path / "bundle")
    broken = Breaking()
    with pytest.raises(Transient):
        packaging.push(made.path, URI, storage=broken)
    there = sum(len(data) for data in broken.objects.values())
    pushed = packaging.push(made.path, URI, storage=InMemory(broken.objects))
    assert (pushed.skipped, pushed.uploaded) == (there, made.manifest.size - there)


def test_a_chunk_that_is_not_what_the_manifest_says_is_not_pushed(tmp_path: Path) -> None:
    """Whoever has a file with that chunk would fetch it."""
    made = packaging.pack(models.with_head(tmp_path / "head.onnx", seed=1), name="head", version="1", output=tmp_path / "bundle")
    file = made.manifest.model_file
    liar = file.model_copy(update={"chunks": (file.chunks[0].model_copy(update={"sha256": "0" * 64}), *file.chunks[1:])})
    (made.path / "manifest.json").write_bytes(manifests.dump(made.manifest.model_copy(update={"files": (liar,)})))
    storage = InMemory()
    with pytest.raises(Refused, match=r"bytes 0 to .* of .* have the sha256") as caught:
        packaging.push(made.path, URI, storage=storage)
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert f"blobs/sha256/{'0' * 64}" not in storage.objects
    assert not any(key.startswith("versions/") for key in storage.objects)
