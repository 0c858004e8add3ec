"""A folder of a bucket: which files are taken, and which names are refused before anything is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packaging import models
from tests.unit.packaging.convert import wire
from volary import packaging
from volary.adapters.storage import InMemory, Listed
from volary.bundle import layout, limits
from volary.bundle.formats import Format
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert, project
from volary.packaging.convert import remote


def listed(name: str, size: int = 1) -> Listed:
    return Listed(name, size, datetime.now(UTC))


def listing(*names: str) -> list[Listed]:
    return [listed(name) for name in sorted(names)]


FOLDERS: dict[str, tuple[tuple[str, ...], str, list[str]]] = {
    "KServe": (("model.onnx", "model.onnx.data"), "", ["model.onnx", "model.onnx.data"]),
    "TensorFlow Serving, the newest": (
        ("9/saved_model.pb", "10/saved_model.pb", "10/variables/variables.index"),
        "",
        ["10/saved_model.pb", "10/variables/variables.index"],
    ),
    "Triton": (("config.pbtxt", "1/model.onnx", "1/weights"), "", ["1/model.onnx", "1/weights"]),
    "folders of a console": (("", "model.onnx", "old/"), "", ["model.onnx"]),
    "one file": (("a.onnx", "a.onnx.data", "b.onnx"), "a.onnx", ["a.onnx", "a.onnx.data"]),
}


@pytest.mark.parametrize(("names", "name", "taken"), FOLDERS.values(), ids=FOLDERS)
def test_the_files_of_one_model_are_taken(names: tuple[str, ...], name: str, taken: list[str]) -> None:
    assert [each.key for each in remote.choose(listing(*names), name)] == taken


HOSTILE = [
    ("model.onnx", "../../etc/passwd"),
    ("model.onnx", "/etc/passwd"),
    ("model.onnx", "a/../../b"),
    ("model.onnx", ".bashrc"),
    ("model.onnx", "a//b"),
    ("model.onnx", "a\\b"),
    ("model.onnx", "a\x00b"),
    ("model.onnx", "a\nb"),
    ("model.onnx", "\u202egnp.exe"),
    ("1/saved_model.pb", "1/../x"),
    ("model.onnx", "x/" * 20 + "y"),
    ("model.onnx", "x" * 300),
    ("model.onnx", "a", "a/b"),
    ("model.onnx", "Model.onnx"),
]


@pytest.mark.parametrize("names", HOSTILE)
def test_a_hostile_name_is_refused_before_anything_is_written(names: tuple[str, ...], tmp_path: Path) -> None:
    storage = InMemory(dict.fromkeys(names, b"x"))
    with pytest.raises(Refused) as caught:
        remote.download(storage, tmp_path / "inner")
    assert caught.value.reason in (Reason.NAME_INVALID, Reason.NAME_CONFLICT, Reason.LIMIT_EXCEEDED)
    assert caught.value.message.isprintable()
    assert list(tmp_path.iterdir()) == []
    assert storage.reads == []


@given(st.lists(st.text(max_size=12), max_size=6), st.sampled_from(["model.onnx", "1/saved_model.pb"]))
def test_no_name_leads_out_of_the_directory(names: list[str], model: str) -> None:
    try:
        chosen = remote.choose(listing(*{*names, model}))
    except Refused:
        return
    root = Path("/somewhere/below")
    assert all((root / each.key).resolve().is_relative_to(root) for each in chosen)


def test_too_many_and_too_much() -> None:
    with pytest.raises(Refused, match="more than 5000 files"):
        remote.choose([listed(f"{number}.bin") for number in range(limits.FILES + 1)])
    with pytest.raises(Refused, match="the limit is 256 GiB"):
        remote.choose([listed("model.onnx", 300 * limits.GIB)])


@pytest.mark.parametrize(("names", "name"), [((), ""), (("readme.md", "x/model.onnx"), ""), (("a.onnx",), "b.onnx")])
def test_no_model(names: tuple[str, ...], name: str) -> None:
    with pytest.raises(Refused, match="the folder holds no ") as caught:
        remote.choose(listing(*names), name)
    assert caught.value.reason is Reason.FILE_NOT_FOUND


@pytest.mark.parametrize(
    ("uri", "folder", "name"),
    [
        ("s3://models/fraud", "s3://models/fraud", ""),
        ("s3://models/fraud/model.onnx", "s3://models/fraud", "model.onnx"),
        ("s3://models/model.onnx", "s3://models", "model.onnx"),
        ("s3://models/fraud/1", "s3://models/fraud/1", ""),
    ],
)
def test_a_file_and_a_folder(uri: str, folder: str, name: str) -> None:
    found, called = remote.split(layout.parse(uri))
    assert (str(found), called) == (folder, name)


class Growing(InMemory):
    """Somebody replaces an object between the listing and the download."""

    @contextmanager
    def stream(self, key: str, start: int = 0) -> Iterator[Iterator[bytes]]:
        with super().stream(key, start) as chunks:
            yield iter([*chunks, b"more"])


def test_an_object_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"'model\.onnx' in memory was listed with 1 bytes") as caught:
        remote.download(Growing({"model.onnx": b"x"}), tmp_path)
    assert caught.value.reason is Reason.SIZE_MISMATCH


def test_what_is_complete_is_not_fetched_again(tmp_path: Path) -> None:
    storage = InMemory({"model.onnx": b"graph", "model.onnx.data": b"weights"})
    moved: list[int] = []
    assert remote.download(storage, tmp_path, progress=moved.append) == tmp_path
    (tmp_path / "model.onnx").write_bytes(b"half")
    remote.download(storage, tmp_path, progress=moved.append)
    assert storage.reads == ["model.onnx", "model.onnx.data", "model.onnx"]
    assert sum(moved) == len("graph" + "weights" + "graph")


def test_a_saved_model_of_a_bucket_becomes_a_bundle(tmp_path: Path) -> None:
    saved = wire.saved_model_directory(tmp_path / "saved")
    files = {f"3/{each.relative_to(saved).as_posix()}": each.read_bytes() for each in saved.rglob("*") if each.is_file()}
    found = convert.find(remote.download(InMemory(files), tmp_path / "here"))
    bundle = packaging.pack(found, name="m", version="1", output=tmp_path / "bundle")
    assert bundle.manifest.format is Format.TENSORFLOW_SAVEDMODEL


def test_an_onnx_model_of_a_bucket_comes_with_its_weights(tmp_path: Path) -> None:
    models.external(tmp_path / "model.onnx")
    storage = InMemory({name: (tmp_path / name).read_bytes() for name in ("model.onnx", "weights.bin")})
    found = convert.find(remote.download(storage, tmp_path / "here"))
    bundle = packaging.pack(found, name="m", version="1", output=tmp_path / "bundle")
    assert {each.path for each in bundle.manifest.files} == {"model.onnx", "weights.bin"}


def test_volary_yaml_may_name_a_place_in_a_bucket() -> None:
    said = {"model": "s3://models/fraud/1", "name": "fraud", "version": "1", "output": "bundle"}
    recipe = project.recipe(project.parse("volary.yaml", said), Path())
    assert recipe.model == "s3://models/fraud/1"
    with pytest.raises(Refused, match="is no file; only `volary pack` fetches one from a bucket"):
        packaging.make(recipe)
