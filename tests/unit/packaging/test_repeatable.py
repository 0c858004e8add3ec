"""The same input gives the same digest, wherever and by whomever it is packed; and the example in the docstring runs."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.support.install import REPOSITORY
from tests.unit.packaging import models
from volary import packaging
from volary.packaging import facts

PROJECT = """
model: model.onnx
name: digits
version: 1.0.0
output: bundle
golden: auto
tolerances: {probabilities: {argmax: true}}
config: [labels.json]
labels: {b: x, a: y, c: z}
training: {Größe: "1,5", Ort: Zürich}
evaluate: evaluation:scores
"""

SCORES = """
import numpy as np

def scores(predict):
    answer = predict({"x": np.linspace(-1, 1, 300).reshape(100, 3)})
    return {name: float(answer["probabilities"][:, 0].mean()) for name in {"mean", "other", "third"}}  # a set has no order
"""


def project(folder: Path) -> Path:
    folder.mkdir(parents=True)
    models.classifier(folder / "model.onnx")
    (folder / "labels.json").write_text("[]")
    (folder / "evaluation.py").write_text(SCORES)
    (folder / "volary.yaml").write_text(PROJECT, "utf-8")
    return folder


def packed(folder: Path, umask: int, **environment: str) -> str:
    """The digest, by the command in a process of its own."""
    found = subprocess.run(
        [sys.executable, "-m", "volary", "pack"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "operator"), **environment},
        umask=umask,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return found.stdout.splitlines()[1]


def test_place_umask_time_zone_locale_and_hash_seed_do_not_matter(tmp_path: Path) -> None:
    here = packed(project(tmp_path / "a"), 0o022, TZ="UTC", LC_ALL="C", PYTHONHASHSEED="1", PYTHONUTF8="0")
    there = packed(project(tmp_path / "é" / "b c"), 0o077, TZ="Asia/Kathmandu", LC_ALL="C.UTF-8", PYTHONHASHSEED="4242", USER="nobody")
    assert here == there
    assert here.startswith("sha256:")
    for name in ("golden.json", "manifest.json", "config/labels.json", "model.onnx"):
        assert (tmp_path / "a" / "bundle" / name).read_bytes() == (tmp_path / "é" / "b c" / "bundle" / name).read_bytes()


def test_what_is_recorded_of_the_making_has_neither_time_nor_place(tmp_path: Path) -> None:
    folder = project(tmp_path / "a")
    bundle = packaging.pack(folder / "model.onnx", name="m", version="1", output=tmp_path / "out", samples=packaging.Auto())
    assert set(bundle.manifest.build) == {"numpy", "onnx", "onnx.opset", "onnx.producer", "onnxruntime", "python", "volary"}
    data = bundle.data.decode()
    assert str(tmp_path) not in data
    assert os.uname().nodename not in data


@pytest.mark.parametrize(
    ("producer", "found"),
    [
        (f"skl2onnx {facts._installed('skl2onnx')}", {"skl2onnx", "scikit-learn"}),
        ("skl2onnx 0.0.1", set()),  # written elsewhere: what is installed here says nothing of it
        ("pytorch 2.9.0+cpu", set()),
        ("somebody", set()),
        ("", set()),
    ],
)
def test_frameworks_are_those_that_wrote_the_file(producer: str, found: set[str]) -> None:
    build = facts.build({"onnx.producer": producer, "convert.source": "scikit-learn"})
    assert set(build) - {"volary", "python", "onnx.producer"} == found | {"convert.source"}


def test_the_example_of_the_docstring_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert packaging.__doc__ is not None
    lines = [line for line in packaging.__doc__.splitlines() if not line or line.startswith("    ")]
    iris(tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(textwrap.dedent("\n".join(lines)), "docstring", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out.startswith("sha256:")
    shutil.rmtree(tmp_path / "bundle")


def iris(path: Path) -> Path:
    """What the docstring speaks of: `x` FP32 [-1, 4] -> `probabilities` FP32 [-1, 3]."""
    from onnx import helper, numpy_helper

    weights = numpy_helper.from_array(np.eye(4, 3, dtype=np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["probabilities"], axis=-1)]
    return models.write(path, nodes, [models.value("x", ["n", 4])], [models.value("probabilities", ["n", 3])], [weights])
