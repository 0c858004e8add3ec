"""Cuts: what they must keep, and what a change may move."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from volary.bundle import limits
from volary.bundle.formats import Role
from volary.bundle.manifest import File
from volary.packaging import cdc, chunking, tensors
from volary.packaging.cdc import Sizes

SMALL = Sizes(least=64, average=256, most=512)


def pieces(data: bytes, ends: Sequence[int]) -> list[bytes]:
    return [data[start:stop] for start, stop in zip([0, *ends], ends, strict=False)]


def content_cuts(data: bytes, sizes: Sizes = SMALL) -> list[bytes]:
    return pieces(data, list(cdc.cut(lambda start, size: data[start : start + size], 0, len(data), sizes)))


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


# ---- by content -------------------------------------------------------------------------------


@given(st.integers(0, 20_000), st.integers(0, 9), st.booleans())
def test_chunks_are_the_input_and_have_their_sizes(size: int, seed: int, same: bool) -> None:
    data = bytes(size) if same else noise(size, seed)
    found = content_cuts(data)
    assert b"".join(found) == data
    assert all(SMALL.least <= len(each) <= SMALL.most for each in found[:-1])
    assert all(0 < len(each) <= SMALL.most for each in found)


@given(st.integers(0, 50_000), st.binary(min_size=1, max_size=300), st.integers(0, 300))
def test_bytes_put_in_or_taken_out_change_few_chunks(position: int, put_in: bytes, taken_out: int) -> None:
    data = noise(50_000)
    changed = data[:position] + put_in + data[position + taken_out :]
    new = set(content_cuts(changed)) - set(content_cuts(data))
    assert len(new) <= 12  # of about 170: those at the place, until a cut of before is met again


@given(st.integers(1, 1000), st.integers(1, 50_000))
def test_cuts_do_not_depend_on_how_the_input_is_read(block: int, size: int) -> None:
    data = noise(size)
    with pytest.MonkeyPatch.context() as patch:
        expected = content_cuts(data)
        patch.setattr(cdc, "_BLOCK", block + 31)
        assert content_cuts(data) == expected


def test_the_hash_is_the_sum_over_its_window() -> None:
    data = noise(100)
    found = cdc._Hashing().of(data)
    for index in range(100):
        window = data[max(0, index - 31) : index + 1][::-1]
        assert found[index] == sum(int(cdc._GEAR[byte]) << age for age, byte in enumerate(window)) % 2**32


def test_cuts_stay_as_they_are() -> None:
    """Other cuts would make every bundle new: this digest changes only on purpose."""
    found = "".join(str(len(each)) for each in content_cuts(noise(20_000)))
    assert hashlib.sha256(found.encode()).hexdigest()[:16] == "1f6435a8c0859d84"


# ---- by tensors -------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(-5, 3000), st.integers(-5, 3000)), max_size=20), st.integers(1, 3000))
def test_whatever_places_are_claimed_the_chunks_are_the_input(places: list[tuple[int, int]], size: int) -> None:
    data = noise(size)
    ends = list(chunking.borders(data, tuple(places), SMALL))
    assert ends[-1] == size
    assert ends == sorted(set(ends))
    assert b"".join(pieces(data, ends)) == data


def model(path: Path, weights: dict[str, bytes], nodes: int = 1) -> Path:
    """An ONNX file with these initializers, in this order."""
    initializers = [helper.make_tensor(name, TensorProto.UINT8, [len(data)], data, raw=True) for name, data in weights.items()]
    chain = [helper.make_node("Identity", ["x" if not number else f"n{number - 1}"], [f"n{number}"]) for number in range(nodes)]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", f"n{nodes - 1}")]
    graph = helper.make_graph(chain, "graph", values[:1], values[1:], initializers)
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def chunks_of(path: Path) -> tuple[File, ...]:
    files = [
        File(path=each.name, role=Role.DATA, sha256=hashlib.sha256(each.read_bytes()).hexdigest(), size=each.stat().st_size)
        for each in sorted(path.iterdir())
    ]
    return chunking.cut(path, files)


def blobs(files: tuple[File, ...]) -> dict[str, int]:
    return {blob.sha256: blob.size for file in files for blob in file.blobs}


def versions(path: Path, first: dict[str, bytes], second: dict[str, bytes], nodes: int = 1) -> int:
    """Bytes of the second model that the first has not."""
    for name in ("a", "b"):
        (path / name).mkdir()
    model(path / "a" / "model.onnx", first)
    model(path / "b" / "model.onnx", second, nodes)
    old = blobs(chunks_of(path / "a"))
    return sum(size for sha256, size in blobs(chunks_of(path / "b")).items() if sha256 not in old)


BACKBONE = {f"layer{number}": noise(700_000 + number, number) for number in range(6)}
HEAD = 300_000


def test_a_new_head_moves_the_head(tmp_path: Path) -> None:
    moved = versions(tmp_path, BACKBONE | {"head": noise(HEAD, 7)}, BACKBONE | {"head": noise(HEAD, 8)})
    assert HEAD < moved < 1.1 * HEAD


def test_another_graph_before_the_weights_moves_the_graph(tmp_path: Path) -> None:
    assert versions(tmp_path, BACKBONE, BACKBONE, nodes=500) < 30_000


def test_weights_in_another_order_do_not_move(tmp_path: Path) -> None:
    assert versions(tmp_path, BACKBONE, dict(reversed(BACKBONE.items()))) < 1000


def test_external_data_is_cut_at_its_tensors(tmp_path: Path) -> None:
    arrays = [np.frombuffer(noise(600_000, seed), np.float32) for seed in range(4)]
    graph = helper.make_graph([], "graph", [], [], [numpy_helper.from_array(each, f"w{at}") for at, each in enumerate(arrays)])
    onnx.save_model(helper.make_model(graph), str(tmp_path / "m.onnx"), save_as_external_data=True, location="weights", size_threshold=0)
    found = {file.path: file for file in chunks_of(tmp_path)}
    assert {chunk.sha256 for chunk in found["weights"].chunks} >= {hashlib.sha256(each.tobytes()).hexdigest() for each in arrays}
    assert found["m.onnx"].chunks == ()


def test_safetensors_are_cut_at_their_tensors(tmp_path: Path) -> None:
    parts = [noise(500_000 + at, at) for at in range(3)]
    ends = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    header = {"__metadata__": {"format": "pt"}} | {
        f"w{at}": {"dtype": "U8", "shape": [len(part)], "data_offsets": ends[at : at + 2]} for at, part in enumerate(parts)
    }
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))
    (file,) = chunks_of(tmp_path)
    assert {chunk.sha256 for chunk in file.chunks} >= {hashlib.sha256(part).hexdigest() for part in parts}


BROKEN = {
    "truncated": lambda data: data[: len(data) // 2],
    "noise": lambda data: noise(len(data)),
    "endless number": lambda data: b"\xff" * len(data),
    "a length beyond the end": lambda data: b"\x3a\xff\xff\xff\xff\x0f" + data,
}


@pytest.mark.parametrize("name", ["x.onnx", "x.safetensors"])
@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
def test_a_file_that_cannot_be_followed_is_cut_like_any_other(tmp_path: Path, name: str, spoil: object) -> None:
    data = spoil(model(tmp_path / name, BACKBONE).read_bytes())  # type: ignore[operator]
    (tmp_path / name).write_bytes(data)
    (file,) = chunks_of(tmp_path)
    assert sum(blob.size for blob in file.blobs) == len(data)
    tensors.tensors_of({name: tmp_path / name})


# ---- limits -----------------------------------------------------------------------------------


def test_a_small_file_stays_whole(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(noise(limits.MIB - 1))
    (file,) = chunks_of(tmp_path)
    assert file.chunks == ()


def test_chunks_grow_when_there_would_be_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHUNKS", 20)
    monkeypatch.setattr(chunking, "AVERAGE", 64 * limits.KIB)
    monkeypatch.setattr(chunking, "_CHUNKS_AIMED_AT", 10)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(noise(2 * limits.MIB, ord(name)))
    found = chunks_of(tmp_path)
    assert 6 <= sum(len(file.chunks) for file in found) <= 20


def test_the_largest_bundle_fits_into_its_manifest() -> None:
    per_chunk = len('{"sha256":"","size":268435456},') + 64
    assert limits.CHUNKS * per_chunk < 0.8 * limits.MANIFEST_BYTES
    assert limits.TOTAL_BYTES / limits.CHUNKS <= limits.CHUNK_BYTES / 4
