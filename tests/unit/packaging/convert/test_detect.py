"""What a file is, by what is in it; and that each kind has a way to a bundle."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.packaging import models
from tests.unit.packaging.convert import wire
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert
from volary.packaging.convert import Kind, Source, Target
from volary.packaging.convert.source import WAYS, target

Make = Callable[[Path], Path]


def file(name: str, content: bytes) -> Make:
    def make(directory: Path) -> Path:
        (directory / name).write_bytes(content)
        return directory / name

    return make


def zipped(name: str, *entries: str) -> Make:
    return lambda directory: wire.archive(directory / name, *entries)


KNOWN: dict[str, tuple[Make, Kind]] = {
    "ONNX": (lambda path: models.double(path / "m.onnx"), Kind.ONNX),
    "SavedModel": (lambda path: wire.saved_model_directory(path / "saved"), Kind.SAVEDMODEL),
    "saved_model.pb alone": (file("saved_model.pb", wire.saved_model()), Kind.SAVEDMODEL),
    "TFLite": (file("m.tflite", wire.tflite()), Kind.TFLITE),
    "TFLite under another name": (file("m.bin", wire.tflite()), Kind.TFLITE),
    "Keras": (zipped("m.keras", "metadata.json", "config.json", "model.weights.h5"), Kind.KERAS),
    "Keras of old": (file("m.h5", b"\x89HDF\r\n\x1a\n\x00"), Kind.KERAS),
    "torch.export": (zipped("m.pt2", "m/data/weights/weight_0", "m/models/model.json", "m/archive_format"), Kind.TORCH_PROGRAM),
    "torch.export of old": (zipped("m.pt2", "serialized_exported_program.json", "version"), Kind.TORCH_PROGRAM),
    "state dict": (zipped("m.pth", "m/data.pkl", "m/data/0", "m/version"), Kind.TORCH_WEIGHTS),
    "state dict of old": (file("m.pt", b"\x80\x02\x8a\x0al\xfc"), Kind.TORCH_WEIGHTS),
    "safetensors": (file("m.safetensors", b"\x40\x00\x00\x00\x00\x00\x00\x00{}"), Kind.TORCH_WEIGHTS),
    "pickle": (file("m.pkl", pickle.dumps([1])), Kind.SKLEARN),
    "joblib, compressed": (file("m.joblib", b"x\x9c\x00"), Kind.SKLEARN),
    "pickle under another name": (file("m.onnx", pickle.dumps([1])), Kind.SKLEARN),
    "skops": (zipped("m.skops", "schema.json", "1.npy"), Kind.SKLEARN),
}


@pytest.mark.parametrize(("make", "kind"), KNOWN.values(), ids=KNOWN)
def test_a_source_is_known_by_what_it_holds(make: Make, kind: Kind, tmp_path: Path) -> None:
    assert convert.detect(make(tmp_path)) is kind


UNKNOWN: dict[str, tuple[Make, str]] = {
    "TorchScript": (zipped("m.pt", "m/data.pkl", "m/code/__torch__.py", "m/constants.pkl"), "torch.export.save"),
    "another archive": (zipped("m.zip", "readme.txt"), "it holds readme.txt"),
    "half an archive": (file("m.keras", b"PK\x03\x04\x00"), "cannot be read"),
    "a page": (file("m.onnx", b"<!doctype html>"), "a page of HTML"),
    "a Git LFS pointer": (file("m.onnx", b"version https://git-lfs.github.com/spec/v1"), "git lfs pull"),
    "a program": (file("m.bin", b"\x7fELF"), "a program"),
    "a text": (file("m.txt", b"hello"), "accepted: an ONNX file"),
    "a TensorFlow graph": (file("frozen.pb", b"\x0a\x00"), "accepted: an ONNX file"),
}


@pytest.mark.parametrize(("make", "said"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_no_source_is_refused_with_what_would_be(make: Make, said: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        convert.detect(make(tmp_path))
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED
    assert said in caught.value.message


def test_a_name_inside_an_archive_is_shown_as_harmless_text(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        convert.detect(wire.archive(tmp_path / "m.zip", "\x1b[31mred", *(f"{number}" for number in range(20))))
    assert "\\x1b[31mred" not in caught.value.message or "\x1b" not in caught.value.message
    assert "\x1b" not in caught.value.message


@pytest.mark.parametrize("name", ["nothing.onnx", "nothing"])
def test_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot read the model") as caught:
        convert.detect(tmp_path / name)
    assert caught.value.reason is Reason.FILE_NOT_FOUND


def test_the_folders_of_other_servers_are_looked_into(tmp_path: Path) -> None:
    wire.saved_model_directory(tmp_path / "tf" / "2")
    wire.saved_model_directory(tmp_path / "tf" / "10")
    assert convert.find(tmp_path / "tf").path == tmp_path / "tf" / "10"
    (tmp_path / "triton" / "1").mkdir(parents=True)
    models.double(tmp_path / "triton" / "1" / "model.onnx")
    found = convert.find(tmp_path / "triton")
    assert (found.kind, found.path) == (Kind.ONNX, tmp_path / "triton" / "1" / "model.onnx")
    (tmp_path / "kserve").mkdir()
    models.double(tmp_path / "kserve" / "model.onnx")
    assert convert.find(tmp_path / "kserve").path == tmp_path / "kserve" / "model.onnx"


def test_a_folder_without_a_model_and_one_with_two(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="neither itself nor in a folder named by a number"):
        convert.find(tmp_path)
    models.double(tmp_path / "a.onnx")
    models.double(tmp_path / "b.onnx")
    with pytest.raises(Refused, match=r"several models \(a\.onnx, b\.onnx\); name one"):
        convert.find(tmp_path)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_way_and_refuses_the_others(kind: Kind) -> None:
    assert target(Source(kind=kind)) is WAYS[kind][0]
    for to in Target:
        source = Source(kind=kind, path=Path("model"), to=to)
        if to in WAYS[kind]:
            assert target(source) is to
        else:
            with pytest.raises(Refused, match=f"model is {kind}, which cannot become {to}; it can become"):
                target(source)
