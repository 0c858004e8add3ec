"""Each conversion names the package it lacks, and the extra that has it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.unit.packaging.convert import wire
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import convert
from volary.packaging.convert import Kind, Source, Target
from volary.packaging.convert.packages import LITERT, need

NEEDS = [
    (Kind.KERAS, Target.ONNX, "tensorflow", "tensorflow"),
    (Kind.KERAS, Target.SAVEDMODEL, "tensorflow", "tensorflow"),
    (Kind.SAVEDMODEL, Target.ONNX, "tensorflow", "tensorflow"),
    (Kind.SAVEDMODEL, Target.TFLITE, "tensorflow", "tensorflow"),
    (Kind.TORCH_PROGRAM, Target.ONNX, "torch", "torch"),
    (Kind.TORCH_WEIGHTS, Target.ONNX, "torch", "torch"),
    (Kind.TORCH_MODULE, Target.TFLITE, "torch", "torch"),
    (Kind.SKLEARN, Target.ONNX, "skl2onnx", "sklearn"),
]


@pytest.mark.parametrize(("kind", "to", "package", "extra"), NEEDS)
def test_a_missing_package_is_told_with_its_extra(
    kind: Kind, to: Target, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    path = wire.saved_model_directory(tmp_path / "saved") if kind is Kind.SAVEDMODEL else tmp_path / "model"
    model = object() if kind is Kind.SKLEARN else None
    with pytest.raises(Refused) as caught:
        convert.prepare(Source(kind=kind, path=path, model=model, to=to), tmp_path)
    assert caught.value.reason is Reason.PACKAGE_MISSING
    assert f"needs the package {package}; install it with: pip install 'volary[{extra}]'" in caught.value.message


def test_golden_samples_of_a_savedmodel_are_answered_by_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from volary import packaging

    monkeypatch.setitem(sys.modules, "tensorflow", None)
    saved = wire.saved_model_directory(tmp_path / "saved")
    with pytest.raises(Refused, match=r"pip install 'volary\[tensorflow\]'"):
        packaging.pack(saved, name="m", version="1", samples=np.ones((1, 3), np.float32), output=tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_the_package_that_a_package_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_other.py").write_text("import volary_no_such_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Refused, match="this needs the package volary_no_such_package"):
        need("needs_other", "torch", "this")


def test_what_no_extra_can_install_is_told_in_full() -> None:
    with pytest.raises(
        Refused, match=r"install it with: pip install 'litert-torch>=0\.10,<1' && pip install 'typing-extensions>=4\.14\.1'$"
    ):
        need("volary_no_such_package", "torch", "this", LITERT)
