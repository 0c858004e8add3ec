import json
from pathlib import Path

import numpy as np
import pytest

from tests.unit.packaging.optimise.given import Given
from volary.cli.main import main


@pytest.fixture
def words(digits: Given, tmp_path: Path) -> list[str]:
    np.savez(tmp_path / "x.npz", X=digits.samples)
    (tmp_path / "y.csv").write_text("\n".join(["digit", *map(str, digits.labels)]))
    given = ["--samples", str(tmp_path / "x.npz"), "--labels", str(tmp_path / "y.csv"), "--runs", "5"]
    return ["optimise", str(digits.path), "-o", str(tmp_path / "out.onnx"), *given]


def test_a_table_on_stdout_and_steps_on_stderr(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--simplify", "--quantise", "static", "--max-accuracy-drop", "0.02", "--report", str(tmp_path / "r.html")]) == 0
    told = capsys.readouterr()
    assert "BEFORE" in told.out
    assert "latency p99" in told.out
    assert told.err.splitlines() == ["simplifying ...", "quantising ...", "measuring ..."]
    assert (tmp_path / "out.onnx").is_file()
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_json_alone_on_stdout(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--fp16", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["steps"] == ["fp16"]
    assert found["after"]["bytes"] < found["before"]["bytes"]
    assert found["before"]["accuracy"] > 0.9
    assert found["samples"] == {"count": 300, "random": False}


def test_a_guard_ends_with_1_figures_and_no_file(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--prune", "0.95", "--max-accuracy-drop", "0.01"]) == 1
    told = capsys.readouterr()
    assert "accuracy" in told.out
    assert told.err.splitlines()[-1].startswith("volary optimise: the accuracy falls by ")
    assert told.err.rstrip().endswith("(AccuracyTooLow)")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("more", [[], ["--quantise", "static", "--fp16"], ["--prune", "2"]])
def test_what_cannot_be_asked_is_told(words: list[str], more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, *more]) == 1
    assert capsys.readouterr().err.rstrip().endswith("(OptionInvalid)")
