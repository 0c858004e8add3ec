import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from tests.unit.packaging import models
from volary import packaging
from volary.bundle import golden, limits, manifest
from volary.bundle.formats import Role
from volary.bundle.manifest import Golden, Tensor
from volary.bundle.metadata import Requirements
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import Bundle, onnx
from volary.packaging import bundle as bundles

X = np.array([[1, 2, 3], [0.1, -5, 1e6]], np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.double(tmp_path / "double.onnx")


def pack(model: Path, samples: Any = None, **changes: Any) -> Bundle:
    settings: dict[str, Any] = {"name": "double", "version": "1.0.0", "output": model.parent / "bundle", "samples": samples}
    return packaging.pack(model, **(settings | changes))


def refusal(model: Path, samples: Any = None, **changes: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        pack(model, samples, **changes)
    assert [each.name for each in model.parent.iterdir() if "bundle" in each.name] == []
    return caught.value


def test_a_bundle_holds_model_samples_and_manifest(model: Path) -> None:
    bundle = pack(model, X)
    assert sorted(each.name for each in bundle.path.iterdir()) == ["golden.json", "manifest.json", "model.onnx"]
    assert (bundle.path / "model.onnx").read_bytes() == model.read_bytes()
    assert bundle.digest == manifest.digest((bundle.path / "manifest.json").read_bytes())
    assert bundle.manifest.inputs == (Tensor(name="x", datatype=Datatype.FP32, shape=(-1, 3)),)
    assert bundle.manifest.outputs == (Tensor(name="y", datatype=Datatype.FP32, shape=(-1, 3)),)
    assert bundle.manifest.build["onnx.opset"] == str(models.OPSET)
    assert bundle.manifest.build["onnx.producer"] == "volary-test"
    assert bundles.load(bundle.path) == bundle
    bundles.verify(bundle)


def test_answers_are_recorded_as_the_shortest_decimals(model: Path) -> None:
    bundle = pack(model, X)
    samples = golden.parse((bundle.path / "golden.json").read_bytes(), bundle.manifest)
    assert [sample.inputs[0].data for sample in samples] == [(1.0, 2.0, 3.0), (0.1, -5.0, 1000000.0)]
    assert [sample.outputs[0].data for sample in samples] == [(2.0, 4.0, 6.0), (0.2, -10.0, 2000000.0)]
    assert samples[0].inputs[0].shape == (1, 3)


def test_packing_twice_gives_the_same_digest(model: Path, tmp_path: Path) -> None:
    assert pack(model, X).digest == pack(model, X, output=tmp_path / "again").digest
    assert pack(model, X, output=tmp_path / "other", absolute=0.5).digest != bundles.load(tmp_path / "again").digest


def test_without_samples(model: Path) -> None:
    bundle = pack(model)
    assert bundle.manifest.golden is None
    assert [file.role for file in bundle.manifest.files] == [Role.MODEL]


def test_an_empty_directory_is_taken_one_with_files_is_not(model: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    pack(model)
    with pytest.raises(Refused, match="is not an empty directory") as caught:
        pack(model)
    assert caught.value.reason is Reason.NAME_CONFLICT


@pytest.mark.parametrize(
    "changes",
    [{"name": "Double"}, {"name": "a/b"}, {"name": ""}, {"name": "double\n"}, {"version": ""}, {"version": "../1"}, {"version": "1 0"}],
)
def test_words_that_are_no_names(model: Path, changes: dict[str, str]) -> None:
    assert refusal(model, **changes).reason in (Reason.NAME_INVALID, Reason.SPEC_INVALID)


def test_weights_beside_the_model_come_along(tmp_path: Path) -> None:
    bundle = pack(models.external(tmp_path / "model.onnx"), X)
    assert {file.path: file.role for file in bundle.manifest.files} == {
        "golden.json": Role.GOLDEN,
        "model.onnx": Role.MODEL,
        "weights.bin": Role.DATA,
    }


def test_config_files_come_along(model: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text('["a"]')
    (tmp_path / "scale.toml").write_text("mean = 0.5")
    bundle = pack(model, config=(tmp_path / "labels.json", tmp_path / "scale.toml"))
    assert [file.path for file in bundle.manifest.files if file.role is Role.CONFIG] == ["config/labels.json", "config/scale.toml"]
    assert (bundle.path / "config" / "scale.toml").read_text() == "mean = 0.5"


CONFIG: dict[str, tuple[str, bytes, Reason, str]] = {
    "code": ("transform.py", b"import os", Reason.FORMAT_UNSUPPORTED, "those are data, and end in json, yaml"),
    "a pickle by name": ("scaler.pkl", b"x", Reason.FORMAT_UNSUPPORTED, "cannot be a config file"),
    "a pickle in disguise": ("scaler.json", b"\x80\x04.", Reason.FORMAT_UNSUPPORTED, "'config/scaler.json' is a pickle"),
    "not text": ("scaler.txt", b"a\0b", Reason.FORMAT_UNSUPPORTED, "is not text in UTF-8"),
    "a name with a space": ("my labels.json", b"[]", Reason.FORMAT_UNSUPPORTED, "cannot be a config file"),
    "too large": ("labels.txt", b" " * (limits.CONFIG_BYTES + 1), Reason.LIMIT_EXCEEDED, "a config file may have 32 MiB"),
}


@pytest.mark.parametrize(("name", "content", "reason", "said"), CONFIG.values(), ids=CONFIG)
def test_config_files_that_are_refused(model: Path, tmp_path: Path, name: str, content: bytes, reason: Reason, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    found = refusal(model, config=(tmp_path / name,))
    assert found.reason is reason
    assert said in found.message


def test_config_files_that_are_missing_or_would_be_one(model: Path, tmp_path: Path) -> None:
    assert refusal(model, config=(tmp_path / "none.json",)).reason is Reason.FILE_NOT_FOUND
    assert refusal(model, config=(tmp_path,)).reason is Reason.FILE_NOT_FOUND
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "labels.json", tmp_path / "a" / "labels.json"):
        path.write_text("[]")
    found = refusal(model, config=(tmp_path / "labels.json", tmp_path / "a" / "labels.json"))
    assert found.reason is Reason.NAME_CONFLICT
    assert "two config files are called labels.json" in found.message


def test_77_samples_that_are_too_large_together(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GOLDEN_BYTES", 100)
    found = refusal(model, X)
    assert found.reason is Reason.LIMIT_EXCEEDED
    assert found.message.startswith("the 2 golden samples have ")
    assert found.message.endswith("the limit is 100 bytes; give fewer")


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_is_a_number_of_0_or_more(model: Path, value: float) -> None:
    assert refusal(model, X, absolute=value).reason is Reason.SPEC_INVALID
    assert refusal(model, X, relative=value).reason is Reason.SPEC_INVALID


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": {"a b": ""}}, "labels.a b: found 'a b'"),
        ({"license": "MIT OR"}, "license: found 'MIT OR'"),
        ({"metrics": {"accuracy": float("nan")}}, "metrics.accuracy: found nan"),
        ({"training": {"a": "b" * 2000}}, "training.a: found 'bbb"),
    ],
)
def test_metadata_are_checked_before_anything_is_done(model: Path, changes: dict[str, Any], said: str) -> None:
    found = refusal(model.with_name("nowhere.onnx"), **changes)
    assert found.reason is Reason.SPEC_INVALID
    assert said in found.message


def test_a_runtime_must_know_the_opset_of_the_model(model: Path) -> None:
    found = refusal(model, requirements=Requirements(opset=models.OPSET - 1))
    assert (found.reason, found.message) == (
        Reason.SPEC_INVALID,
        "requirements.opset is 20, the model itself uses 21; write 21 or leave it out",
    )
    pack(model, requirements=Requirements(opset=models.OPSET))


def test_outputs_in_fp16_and_fp64_get_the_tolerance_of_their_type(tmp_path: Path) -> None:
    bundle = pack(models.halves(tmp_path / "h.onnx", out=TensorProto.FLOAT16), X[:1])
    assert bundle.manifest.golden == Golden(path="golden.json", absolute=1e-2, relative=1e-2)
    recorded = golden.parse((bundle.path / "golden.json").read_bytes(), bundle.manifest)
    bundle = pack(models.doubles(tmp_path / "d.onnx"), np.array([[0.1, 1 / 3, 2]]), output=tmp_path / "other")
    assert bundle.manifest.golden == Golden(path="golden.json", absolute=1e-8, relative=1e-6)
    assert recorded[0].outputs[0].data == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "missing.bin", ""])
def test_40_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    found = refusal(models.external(tmp_path / "model.onnx", location))
    assert found.reason in (Reason.NAME_INVALID, Reason.FILE_NOT_FOUND, Reason.FORMAT_UNSUPPORTED)


def test_78_a_model_with_randomness_cannot_be_proved(tmp_path: Path) -> None:
    found = refusal(models.random(tmp_path / "random.onnx"), X)
    assert found.reason is Reason.GOLDEN_INVALID
    assert "answered differently the second time: output 'y': index [0, 0]" in found.message
    assert "the graph draws random numbers: RandomNormalLike (noise)" in found.message


def test_76_an_answer_that_is_not_finite(tmp_path: Path) -> None:
    found = refusal(models.logarithm(tmp_path / "log.onnx"), -np.ones((1, 3), np.float32))
    assert found.reason is Reason.GOLDEN_INVALID
    assert "'y' is not finite everywhere" in found.message


def test_an_output_that_is_no_tensor(tmp_path: Path) -> None:
    found = refusal(models.sequence(tmp_path / "sequence.onnx"))
    assert found.reason is Reason.FORMAT_UNSUPPORTED
    assert "zipmap" in found.message


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"<html>", b"PK\x03\x04", b"\x08\x08"])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    assert refusal(tmp_path / "model.onnx").reason is Reason.FORMAT_UNSUPPORTED


def test_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "model.onnx").reason is Reason.FILE_NOT_FOUND


def test_integers_text_and_truths(tmp_path: Path) -> None:
    samples = {"i": np.array([[1, -(2**60)]]), "t": np.array([["a", "é"]], object), "b": np.array([[True, False]])}
    bundle = pack(models.mixed(tmp_path / "mixed.onnx"), samples)
    recorded = json.loads((bundle.path / "golden.json").read_bytes())["samples"][0]["outputs"]
    assert {tensor["datatype"]: tensor["data"] for tensor in recorded} == {
        "INT64": [1, -(2**60)],
        "BYTES": ["a", "é"],
        "BOOL": [True, False],
    }


@pytest.mark.parametrize(("shape", "wanted"), [(["batch", 3], (-1, 3)), ([2, 3], (2, 3)), (["a", "b"], (-1, -1)), ([], ())])
def test_shapes(tmp_path: Path, shape: list[Any], wanted: tuple[int, ...]) -> None:
    assert onnx.inspect(models.double(tmp_path / "m.onnx", shape)).inputs[0].shape == wanted


@pytest.mark.parametrize("spoil", [b"x", b""])
def test_a_spoilt_bundle_is_found_out(model: Path, spoil: bytes) -> None:
    bundle = pack(model)
    (bundle.path / "model.onnx").write_bytes(spoil.ljust(bundle.manifest.size if spoil else 0))
    with pytest.raises(Refused) as caught:
        bundles.verify(bundle)
    assert caught.value.reason in (Reason.DIGEST_MISMATCH, Reason.SIZE_MISMATCH)
    (bundle.path / "model.onnx").unlink()
    with pytest.raises(Refused) as caught:
        bundles.verify(bundle)
    assert caught.value.reason is Reason.FILE_NOT_FOUND
    with pytest.raises(Refused) as caught:
        bundles.load(model.parent / "nowhere")
    assert caught.value.reason is Reason.MANIFEST_INVALID
