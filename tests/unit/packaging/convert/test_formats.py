"""Bundles of SavedModels and TFLite files, assembled without TensorFlow."""

import sys
from pathlib import Path

import pytest

from tests.unit.bundle.wire import field, message
from tests.unit.packaging.convert import wire
from volary import packaging
from volary.bundle.formats import Format, Role
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.cli.main import main
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import Bundle
from volary.packaging import bundle as bundles
from volary.packaging.convert import Kind, Source, Target


def pack(source: Path, output: Path) -> Bundle:
    return packaging.pack(source, name="digits", version="1.0.0", output=output)


def test_a_saved_model_becomes_a_bundle_of_its_format(tmp_path: Path) -> None:
    saved = wire.saved_model_directory(tmp_path / "saved")
    (saved / "keras_metadata.pb").touch()
    (saved / "debug").mkdir()
    (saved / "debug" / "saved_model_debug_info.pb").touch()
    bundle = pack(saved, tmp_path / "bundle")
    assert bundle.manifest.format is Format.TENSORFLOW_SAVEDMODEL
    assert {file.path: file.role for file in bundle.manifest.files} == {
        "saved_model.pb": Role.MODEL,
        "fingerprint.pb": Role.DATA,
        "variables/variables.index": Role.DATA,
        "variables/variables.data-00000-of-00001": Role.DATA,
        "assets/words.txt": Role.DATA,
    }
    assert bundle.manifest.inputs == (Tensor(name="x", datatype=Datatype.FP32, shape=(-1, 3)),)
    assert bundle.manifest.outputs == (Tensor(name="y", datatype=Datatype.FP32, shape=(-1, 2)),)
    assert bundle.manifest.build["tensorflow"] == "2.20.0"
    bundles.verify(bundle)
    assert pack(saved, tmp_path / "again").digest == bundle.digest


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("golden.json", Reason.FORMAT_UNSUPPORTED),
        ("assets/run.sh", Reason.FORMAT_UNSUPPORTED),
        ("variables/.hidden", Reason.NAME_INVALID),
        ("assets/a b", Reason.NAME_INVALID),
    ],
)
def test_a_file_that_the_graph_may_need_but_that_has_no_place_is_refused(name: str, reason: Reason, tmp_path: Path) -> None:
    saved = wire.saved_model_directory(tmp_path / "saved")
    (saved / name).touch()
    with pytest.raises(Refused, match="take it out of the SavedModel if it is no part of it") as caught:
        pack(saved, tmp_path / "bundle")
    assert caught.value.reason is reason


def test_a_link_in_a_saved_model_is_not_followed(tmp_path: Path) -> None:
    saved = wire.saved_model_directory(tmp_path / "saved")
    (saved / "assets" / "passwords").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="is a symbolic link"):
        pack(saved, tmp_path / "bundle")


def test_a_tflite_file_becomes_a_bundle_that_no_runtime_serves_yet(tmp_path: Path) -> None:
    (tmp_path / "digits-v1.tflite").write_bytes(wire.tflite())
    bundle = pack(tmp_path / "digits-v1.tflite", tmp_path / "bundle")
    assert bundle.manifest.format is Format.TFLITE
    assert [file.path for file in bundle.manifest.files] == ["model.tflite"]
    assert bundle.manifest.inputs[0].shape == (-1, 8, 8)


def test_convert_lays_a_saved_model_out_and_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = wire.saved_model_directory(tmp_path / "saved")
    words = ["convert", str(saved), "--to", "savedmodel", "-o", str(tmp_path / "out")]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'out' / 'saved_model.pb'}: tensorflow-savedmodel, 5 files, ")
    assert (tmp_path / "out" / "variables" / "variables.index").read_bytes() == b"index"
    assert main(words) == 1
    assert "out exists; choose another --output" in capsys.readouterr().err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out", "saved"]


def test_what_cannot_be_converted_leaves_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(wire.tflite())
    assert main(["convert", str(tmp_path / "m.tflite"), "--to", "onnx", "-o", str(tmp_path / "out")]) == 1
    assert "is tflite, which cannot become onnx; it can become tflite" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["m.tflite"]


@pytest.mark.parametrize("kind", [Kind.ONNX, Kind.TFLITE, Kind.SAVEDMODEL])
def test_a_source_that_is_not_there(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no file") as caught:
        packaging.pack(Source(kind=kind, path=tmp_path / "nothing"), name="m", version="1", output=tmp_path / "bundle")
    assert caught.value.reason is Reason.FILE_NOT_FOUND
    assert list(tmp_path.iterdir()) == []


def test_a_saved_model_that_does_more_than_compute_is_refused_before_tensorflow_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # loading it would say that the package is missing
    node = message((1, "read"), (2, "ReadFile"))
    meta = field(1, field(4, "serve")) + field(2, field(1, node))
    saved = wire.saved_model_directory(tmp_path / "saved", field(1, 1) + field(2, meta))
    for to in (Target.ONNX, Target.TFLITE, Target.SAVEDMODEL):
        with pytest.raises(Refused, match="is of the operator 'ReadFile'") as caught:
            packaging.pack(Source(kind=Kind.SAVEDMODEL, path=saved, to=to), name="m", version="1", output=tmp_path / "bundle")
        assert caught.value.reason is Reason.OPERATOR_NOT_ALLOWED


def test_inspect_shows_a_tflite_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(wire.tflite())
    pack(tmp_path / "m.tflite", tmp_path / "bundle")
    assert main(["inspect", str(tmp_path / "bundle")]) == 0
    shown = capsys.readouterr().out
    assert "digits 1.0.0  tflite" in shown
    assert "any x 8 x 8" in shown
    assert "operator" not in shown
