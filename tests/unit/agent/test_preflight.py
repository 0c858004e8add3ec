import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typing_extensions import override

from tests.unit.bundle import building
from volary.adapters.storage import InMemory
from volary.agent import preflight, source
from volary.agent.retry import Patience
from volary.agent.source import Wanted
from volary.bundle import layout, limits
from volary.bundle import manifest as manifests
from volary.bundle.manifest import File
from volary.common import outcome
from volary.common.errors import Refused
from volary.common.reasons import Reason

WANTED = Wanted("1.0.0", runtime="onnxruntime")
MODEL_KEY = layout.blob_key(hashlib.sha256(building.MODEL).hexdigest())


def refusal(storage: InMemory, patience: Patience, wanted: Wanted = WANTED) -> Refused:
    with pytest.raises(Refused) as caught:
        preflight.check(storage, wanted, patience=patience)
    return caught.value


def test_a_good_bundle_passes_with_its_facts(patience: Patience) -> None:
    storage, data = building.stored()
    found = preflight.check(storage, WANTED, patience=patience)
    assert found.reason is Reason.PREFLIGHT_PASSED
    assert found.digest == manifests.digest(data)
    assert (found.version, found.format, found.golden) == ("1.0.0", "onnx", 2)
    assert found.size == len(building.MODEL) + len(building.GOLDEN)
    assert found.inputs[0].shape == (-1, 2)
    assert outcome.parse(found.dump()) == found


def test_a_bundle_without_golden_samples_passes(patience: Patience) -> None:
    storage, _ = building.stored(building.manifest(golden=None))
    assert preflight.check(storage, WANTED, patience=patience).golden == 0


def test_one_flipped_bit_is_refused_before_any_pod(patience: Patience) -> None:
    storage, _ = building.stored()
    storage.objects[MODEL_KEY] = building.MODEL[:-1] + b"!"
    assert refusal(storage, patience).reason is Reason.DIGEST_MISMATCH


@pytest.mark.parametrize("content", [b"", building.MODEL + b"x", building.MODEL[:-1]])
def test_a_size_that_differs(patience: Patience, content: bytes) -> None:
    storage, _ = building.stored()
    storage.objects[MODEL_KEY] = content
    found = refusal(storage, patience)
    assert found.reason is Reason.SIZE_MISMATCH
    assert f"'model.onnx' has {len(content)} bytes in memory, the manifest says 2056" in found.message


def test_a_file_that_is_not_there(patience: Patience) -> None:
    storage, _ = building.stored()
    del storage.objects[MODEL_KEY]
    found = refusal(storage, patience)
    assert found.reason is Reason.FILE_NOT_FOUND
    assert "'model.onnx' is not in memory" in found.message


def test_no_such_version(patience: Patience) -> None:
    assert refusal(InMemory(), patience).reason is Reason.VERSION_NOT_FOUND


def test_a_digest_that_is_not_pinned_one(patience: Patience) -> None:
    wanted = Wanted("1.0.0", "sha256:" + "0" * 64, "onnxruntime")
    assert refusal(building.stored()[0], patience, wanted).reason is Reason.MANIFEST_DIGEST_MISMATCH


def test_a_runtime_of_another_format(patience: Patience) -> None:
    wanted = Wanted("1.0.0", runtime="tensorflow-serving")
    assert refusal(building.stored()[0], patience, wanted).reason is Reason.FORMAT_UNSUPPORTED


@pytest.mark.parametrize("golden", [b"{}", b'{"samples":[]}', b"\x80\x04."])
def test_golden_samples_that_are_none(patience: Patience, golden: bytes) -> None:
    storage, _ = building.stored(golden=golden)
    assert refusal(storage, patience).reason in (Reason.GOLDEN_INVALID, Reason.FORMAT_UNSUPPORTED)


def with_model(content: bytes) -> InMemory:
    made = building.manifest()
    files: tuple[File, ...] = (building.file("model.onnx", content, made.files[0].role), *made.files[1:])
    return building.stored(made.model_copy(update={"files": files}), content)[0]


@pytest.mark.parametrize("size", [10, limits.PREFLIGHT_BYTES + 1], ids=["small", "large"])
def test_59_an_error_page_for_a_model(patience: Patience, size: int) -> None:
    storage = with_model(b"<!DOCTYPE html>".ljust(size))
    assert refusal(storage, patience).reason is Reason.FORMAT_UNSUPPORTED


def test_of_a_large_model_only_the_graph_is_read(patience: Patience) -> None:
    storage = with_model(building.onnx(bytes(limits.PREFLIGHT_BYTES)))
    read: list[int] = []
    whole = storage.objects

    class Counting(InMemory):
        @override
        @contextmanager
        def stream(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
            read.append((len(self.objects[key]) if stop is None else stop) - start)
            with super().stream(key, start, stop) as chunks:
                yield chunks

    counting = Counting(whole)
    assert preflight.check(counting, WANTED, patience=patience).reason is Reason.PREFLIGHT_PASSED
    assert len(read) <= 5  # the golden samples, the first bytes, what stands before the weights and after them
    assert sum(read) < limits.MIB


@pytest.mark.parametrize(("renamed", "passes"), [({}, True), ({"name": "other"}, False)])
def test_clients_of_the_stable_version_get_on_with_it(patience: Patience, renamed: dict[str, str], passes: bool) -> None:
    storage, data = building.stored()
    old = manifests.parse(data)
    inputs = tuple(tensor.model_copy(update=renamed) for tensor in old.inputs)
    found = source.Found(old.model_copy(update={"inputs": inputs, "version": "2.0.0"}), b"")
    if passes:
        preflight.check_clients(storage, WANTED, found, patience=patience)
        return
    with pytest.raises(Refused, match=r"clients of version 1.0.0 .* the input 'x' is gone.*set spec.model.schemaChange: Allow") as caught:
        preflight.check_clients(storage, WANTED, found, patience=patience)
    assert caught.value.reason is Reason.SCHEMA_CHANGED
    preflight.check_clients(InMemory(), WANTED, found, patience=patience)  # its bundle was deleted: nothing can be said
