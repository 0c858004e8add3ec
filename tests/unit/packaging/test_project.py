"""`volary.yaml`: what it says, what overrides it, and how it tells a mistake."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.install import REPOSITORY
from tests.unit.packaging import models
from volary import packaging
from volary.bundle.formats import Role
from volary.bundle.manifest import Manifest, Rule
from volary.bundle.metadata import Requirements
from volary.cli.main import main
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import Auto, project
from volary.packaging.recipe import Recipe

EXAMPLE = REPOSITORY / "manifests" / "examples" / "volary.yaml"

EVALUATION = """
import numpy as np

def accuracy(predict):
    rows = np.eye(3)
    return np.mean(predict({"x": rows})["label"] == rows.argmax(1))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with all that the example names beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    models.classifier(folder / "model.onnx")
    np.savez(folder / "samples.npz", x=np.eye(3, dtype=np.float32))
    (folder / "labels.json").write_text('["a", "b", "c"]')
    (folder / "evaluation.py").write_text(EVALUATION)
    shutil.copyfile(EXAMPLE, folder / "volary.yaml")
    monkeypatch.delitem(sys.modules, "evaluation", raising=False)
    return folder


def manifest(folder: Path) -> Manifest:
    return packaging.load(folder).manifest


def parsed(text: str, tmp_path: Path) -> project.Project:
    (tmp_path / "volary.yaml").write_text(text)
    return project.read(tmp_path / "volary.yaml")


def recipe(text: str, tmp_path: Path, **cli: Any) -> Recipe:
    return project.recipe(project.override(parsed(text, tmp_path), project.parse("the command line", cli)), tmp_path)


def refused(text: str, tmp_path: Path, **cli: Any) -> str:
    with pytest.raises(Refused) as caught:
        recipe(text, tmp_path, **cli)
    assert caught.value.reason is Reason.SPEC_INVALID
    assert "\n" not in caught.value.message
    return caught.value.message


def test_the_example_packs(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    assert main(["pack"]) == 0
    found = manifest(folder / "bundle")
    assert {file.path: file.role for file in found.files} == {
        "config/labels.json": Role.CONFIG,
        "golden.json": Role.GOLDEN,
        "model.onnx": Role.MODEL,
    }
    assert found.golden is not None
    assert found.golden.outputs == {"probabilities": Rule(argmax=True)}
    assert found.metrics == {"accuracy": 1.0}
    assert found.labels == {"team": "ocr", "example.com/tier": "gold"}
    assert found.license == "Apache-2.0"
    assert found.training == {"data": "scikit-learn digits", "rows": "1200", "commit": "4f2a9c1"}
    assert found.requirements == Requirements(opset=21, memory=64 * 2**20)
    shown = capsys.readouterr().out
    for words in ("digits 1.0.0, 3 files", "accuracy = 1", "team=ocr", "samples  3", "needs    memory 64 MiB", "largest at the same place"):
        assert words in shown


def test_the_example_shows_every_field() -> None:
    shown = {line.lstrip("# ").partition(":")[0] for line in EXAMPLE.read_text("utf-8").splitlines()}
    assert set(project.Project.model_fields) <= shown


def test_inspect_shows_what_is_said_of_the_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", "-f", str(folder / "volary.yaml")]) == 0
    capsys.readouterr()
    assert main(["inspect", str(folder / "bundle")]) == 0
    shown = capsys.readouterr().out
    for words in (
        "golden samples: label must be equal",
        "golden samples: probabilities within 0.0001 + 0.001 of the recorded value, largest at the same place",
        "metric accuracy = 1",
        "label team=ocr",
        "training rows: 1200",
        "license Apache-2.0",
        "needs opset 21",
    ):
        assert words in shown


def test_paths_are_those_of_the_file_options_those_of_the_person(folder: Path, tmp_path: Path) -> None:
    words = ["-f", str(folder / "volary.yaml"), "-o", str(tmp_path / "elsewhere"), "--version", "2.0.0", "--label", "team=speech"]
    assert main(["pack", *words]) == 0
    found = manifest(tmp_path / "elsewhere")
    assert found.version == "2.0.0"
    assert found.labels == {"team": "speech", "example.com/tier": "gold"}
    assert not (folder / "bundle").exists()


def test_all_of_it_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", "-f", str(folder / "volary.yaml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["path"] == str(folder / "bundle")
    assert found["digest"].startswith("sha256:")
    assert found["manifest"]["metrics"] == {"accuracy": 1.0}


def test_without_model_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["pack"]) == 1
    assert "there is no volary.yaml here that says what to pack; write one, or give MODEL" in capsys.readouterr().err


BASE = "{model: m.onnx, name: m, version: v1, output: b}"


def test_what_a_recipe_becomes(tmp_path: Path) -> None:
    found = recipe(BASE, tmp_path, golden="auto", dims={"batch": 4}, absolute=0.5)
    assert (found.model, found.output, found.samples, found.absolute) == (tmp_path / "m.onnx", tmp_path / "b", Auto({"batch": 4}), 0.5)
    assert recipe(BASE, tmp_path).samples is None
    assert recipe(BASE[:-1] + ", golden: s.npz}", tmp_path).samples == tmp_path / "s.npz"
    assert recipe(BASE[:-1] + ", golden: s.npz}", tmp_path, golden="t.npz").samples == Path("t.npz")
    assert recipe(BASE[:-1] + ", requirements: {memory: 2Gi}}", tmp_path).requirements == Requirements(memory=2 * 2**30)


def test_sizes_belong_to_the_samples_they_were_written_for(tmp_path: Path) -> None:
    text = BASE[:-1] + ", golden: auto, dims: {batch: 4}}"
    assert recipe(text, tmp_path, golden="auto").samples == Auto({"batch": 4})
    assert recipe(text, tmp_path, dims={"length": 2}).samples == Auto({"batch": 4, "length": 2})
    assert recipe(text, tmp_path, golden="s.npz").samples == Path("s.npz")


def test_options_override_key_by_key(tmp_path: Path) -> None:
    text = BASE[:-1] + ", tolerances: {p: {absolute: 1e-4, argmax: true}, q: {relative: 0.5}}, config: [a.json], minimums: {f1: 0.5}}"
    found = recipe(text, tmp_path, tolerances={"p": {"absolute": 0.25}}, config=["b.json"], minimums={"accuracy": 0.9})
    assert found.tolerances == {"p": Rule(absolute=0.25, argmax=True), "q": Rule(relative=0.5)}
    assert found.config == (Path("b.json"),)
    assert found.minimums == {"f1": 0.5, "accuracy": 0.9}
    needs = recipe(BASE[:-1] + ", requirements: {opset: 18, memory: 1Ki}}", tmp_path, requirements={"memory": "2Ki"}).requirements
    assert needs == Requirements(opset=18, memory=2048)


@pytest.mark.parametrize(
    ("number", "value"), [("1e-4", 1e-4), ("1E3", 1000.0), ("2.5e+1", 25.0), ("1.0e-4", 1e-4), ("3", 3.0), (".5", 0.5)]
)
def test_numbers_as_people_write_them(tmp_path: Path, number: str, value: float) -> None:
    assert recipe(BASE[:-1] + f", absolute: {number}}}", tmp_path).absolute == value


def test_a_commit_that_looks_like_a_number_is_told_to_be_quoted(tmp_path: Path) -> None:
    assert "training.commit: found 12000000000.0 (a number), expected text; put it in quotes" in refused(
        BASE[:-1] + ", training: {commit: 12e9}}", tmp_path
    )


WRONG: dict[str, tuple[str, str]] = {
    "unknown field": ("nmae: m", "nmae: there is no such field; did you mean name?"),
    "nothing near": ("zzz: m", "zzz: there is no such field; there are absolute, config, dims, evaluate, golden, "),
    "unknown field of a tolerance": ("tolerances: {p: {abs: 1}}", "tolerances.p.abs: there is no such field; did you mean absolute?"),
    "unknown need": ("requirements: {memroy: 1Gi}", "requirements.memroy: there is no such field; did you mean memory?"),
    "a version of a number": ("version: 1.0", 'version: found 1.0 (a number), expected text; put it in quotes, like "1.0"'),
    "a version of a date": ("version: 2024-01-31", "version: found 2024-01-31 (a date), expected text; put it in quotes"),
    "a label of a truth": ("labels: {gold: yes}", "labels.gold: found true (a truth value), expected text; put it in quotes"),
    "a label of nothing": ("labels: {gold: }", "labels.gold: found nothing, expected text"),
    "a tolerance of text": ("absolute: small", "absolute: found 'small', expected a number"),
    "a tolerance below 0": ("absolute: -1", "absolute: found -1 (a number), expected greater than or equal to 0"),
    "a tolerance of infinity": ("absolute: .inf", "absolute: found inf (a number), expected a finite number"),
    "a tolerance of nothing but a number": ("tolerances: {p: 1e-3}", "tolerances.p: found 0.001 (a number), expected fields, like {a: b}"),
    "config of one file": ("config: labels.json", "config: found 'labels.json', expected a list, like [a, b]"),
    "labels of a list": ("labels: [a]", "labels: found a list, expected fields, like {a: b}"),
    "a dimension of a fraction": ("dims: {batch: 1.5}", "dims.batch: found 1.5 (a number), expected a whole number"),
    "a dimension of 0": ("dims: {batch: 0}", "dims.batch: found 0 (a number), expected greater than or equal to 1"),
    "argmax of text": ("tolerances: {p: {argmax: sure}}", "tolerances.p.argmax: found 'sure', expected true or false"),
    "memory of a number": ("requirements: {memory: 64}", "requirements.memory: found 64 (a number), expected text"),
    "memory of kilobytes": ("requirements: {memory: 64kB}", "requirements.memory: found '64kB', expected"),
    "a key twice": ("name: a\nname: b", "line 2: the field 'name' occurs twice"),
    "a key twice inside": ("labels:\n  a: x\n  a: y", "line 3: the field 'a' occurs twice"),
    "no YAML": ("name: [", "line 1: "),
    "a Python object": ("name: !!python/object/apply:os.system [ls]", "line 1: could not determine a constructor"),
    "two documents": ("name: a\n---\nname: b", "line 2: "),
    "a list": ("[a]", "found a list, expected fields such as `model: model.onnx`"),
    "nothing": ("", "found nothing, expected fields such as"),
    "control characters": ("name: \x00", "is not YAML"),
    "a key of a number": ("1: a", "1: "),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_told_with_its_field(tmp_path: Path, text: str, said: str) -> None:
    message = refused(text, tmp_path)
    assert message.startswith(str(tmp_path / "volary.yaml"))
    assert said in message


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    message = refused("{version: 1, name: 2, model: 3, output: 4, golden: 5, license: 6, evaluate: 7}", tmp_path)
    assert message.count("put it in quotes") == 5
    assert message.endswith("and 2 more")


@pytest.mark.parametrize(
    ("text", "cli", "said"),
    [
        ("{name: m, version: v1, output: b}", {}, "there is no model: give MODEL, or write `model: ...` into volary.yaml"),
        ("{model: m, version: v1, output: b}", {}, "there is no name: give --name NAME"),
        ("{model: m, name: m, output: b}", {}, "there is no version: give --version VERSION"),
        ("{model: m, name: m, version: v1}", {}, "there is no output: give --output DIR"),
        (BASE, {"dims": {"batch": 4}}, "sizes of the axes ['batch'] are for samples that are made up: use them with golden 'auto'"),
        (BASE, {"absolute": float("nan")}, "the command line: absolute: found nan (a number), expected a finite number"),
        (BASE[:-1] + ", requirements: {providers: [CUDA]}}", {}, "requirements: providers.0: found 'CUDA', expected"),
    ],
)
def test_what_is_missing_or_does_not_go_together(tmp_path: Path, text: str, cli: dict[str, Any], said: str) -> None:
    assert said in refused(text, tmp_path, **cli)


def test_a_huge_file_and_none(tmp_path: Path) -> None:
    assert "is larger than 1 MiB" in refused("#" * (2**20 + 1), tmp_path)
    with pytest.raises(Refused) as caught:
        project.read(tmp_path / "other.yaml")
    assert caught.value.reason is Reason.FILE_NOT_FOUND


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("labels: {my team: a}", "labels.my team: found 'my team': a label's key is [PREFIX/]NAME"),
        ("license: ask Anna", "license: found 'ask Anna': 'Anna' does not fit here; write an SPDX expression"),
    ],
)
def test_words_that_the_manifest_would_refuse(folder: Path, capsys: pytest.CaptureFixture[str], field: str, said: str) -> None:
    (folder / "volary.yaml").write_text(f"{{model: model.onnx, name: m, version: v1, output: b, {field}}}")
    assert main(["pack", "-f", str(folder / "volary.yaml")]) == 1
    assert said in capsys.readouterr().err
