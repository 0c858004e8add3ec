"""The whole way, with real models through the real tools."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.unit.packaging import models
from tests.unit.packaging.optimise.given import Given, branches, recurrent
from volary import packaging
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import onnx as inspecting
from volary.packaging.optimise import Limits, Options, Quantise, Trial, graph, measure, optimise
from volary.packaging.optimise.options import steps
from volary.packaging.optimise.result import Optimised, total

STATIC, DYNAMIC = Quantise.STATIC, Quantise.DYNAMIC
EVERY_STEP = [
    Options(simplify=True),
    Options(prune=0.5),
    Options(fp16=True),
    Options(quantise=DYNAMIC),
    Options(quantise=STATIC, reduce_range=True),
    Options(simplify=True, prune=0.2, quantise=STATIC),
    Options(simplify=True, prune=0.2, per_layer=True, fp16=True),
]


def go(given: Given, options: Options, output: Path, limits: Limits | None = None, **more: Any) -> Optimised:
    return optimise(given.path, options, output=output, trial=Trial(given.samples, given.labels, runs=5), limits=limits or Limits(), **more)


def refusal(given: Given, options: Options, output: Path, **more: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        go(given, options, output, **more)
    assert list(output.parent.iterdir()) == []
    return caught.value


@pytest.mark.parametrize("options", EVERY_STEP, ids=lambda options: "-".join(steps(options)))
def test_the_schema_stays_and_the_lineage_is_written(convolutions: Given, tmp_path: Path, options: Options) -> None:
    found = go(convolutions, options, tmp_path / "out.onnx")
    before, after = inspecting.inspect(convolutions.path), inspecting.inspect(found.output)
    assert (after.inputs, after.outputs, after.producer) == (before.inputs, before.outputs, before.producer)
    assert dict(after.lineage)["volary.optimised"] == ",".join(found.steps) == ",".join(steps(options))
    assert found.measured.deviations[0].absolute is not None
    assert found.measured.after.size == found.output.stat().st_size


@pytest.mark.parametrize(("options", "drop"), [(EVERY_STEP[0], 0), (EVERY_STEP[2], 0.01), (EVERY_STEP[3], 0.02), (EVERY_STEP[4], 0.02)])
def test_digits_are_still_read(digits: Given, tmp_path: Path, options: Options, drop: float) -> None:
    found = go(digits, options, tmp_path / "out.onnx", Limits(accuracy_drop=drop))
    assert found.measured.before.accuracy is not None
    assert found.measured.before.accuracy > 0.85
    assert found.measured.samples == 300


@pytest.mark.parametrize("options", [Options(fp16=True), Options(quantise=STATIC), Options(quantise=DYNAMIC)])
def test_fewer_bits_are_fewer_bytes(digits: Given, tmp_path: Path, options: Options) -> None:
    measured = go(digits, options, tmp_path / "out.onnx").measured
    assert measured.after.size < 0.75 * measured.before.size


def test_simplifying_changes_no_answer_and_folds_norms(convolutions: Given, tmp_path: Path) -> None:
    found = go(convolutions, Options(simplify=True), tmp_path / "out.onnx", Limits(deviation=1e-5))
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(found.output).graph.node}


def test_pruned_weights_stay_zero_in_int8(convolutions: Given, tmp_path: Path) -> None:
    found = go(convolutions, Options(prune=0.5, quantise=STATIC), tmp_path / "out.onnx")
    assert total(found.layers).sparsity == pytest.approx(0.5, abs=1e-3)
    integers = [numpy_helper.to_array(tensor) for tensor in onnx.load(found.output).graph.initializer if len(tensor.dims) > 1]
    assert all(each.dtype == np.int8 for each in integers)
    assert sum(int(np.sum(each == 0)) for each in integers) >= total(found.layers).zeros


@pytest.mark.parametrize("options", EVERY_STEP[2:6])
def test_the_same_input_gives_the_same_bytes(convolutions: Given, tmp_path: Path, options: Options) -> None:
    one, other = (go(convolutions, options, tmp_path / name / "out.onnx").output.read_bytes() for name in ("one", "other"))
    assert one == other


def test_another_process_gives_the_same_bytes(digits: Given, tmp_path: Path) -> None:
    """Sets of names come in another order there."""
    np.save(tmp_path / "x.npy", digits.samples)
    script = (
        "import sys; from pathlib import Path; from volary.packaging.optimise import *\n"
        "model, samples, output = map(Path, sys.argv[1:])\n"
        "options = Options(simplify=True, prune=0.2, quantise=Quantise.STATIC)\n"
        "optimise(model, options, output=output, trial=Trial(samples, runs=1))"
    )
    words = [sys.executable, "-c", script, str(digits.path), str(tmp_path / "x.npy"), str(tmp_path / "there.onnx")]
    subprocess.run(words, check=True, env={"PYTHONHASHSEED": "1"})
    assert go(digits, EVERY_STEP[5], tmp_path / "here.onnx").output.read_bytes() == (tmp_path / "there.onnx").read_bytes()


@pytest.mark.parametrize("options", EVERY_STEP[2:6])
def test_large_models_keep_their_weights_beside(
    convolutions: Given, tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tool works on files of two parts when no part may be whole; the answers are those of the whole model."""
    whole = go(convolutions, options, tmp_path / "whole.onnx")
    monkeypatch.setattr(graph, "WHOLE_BYTES", 0)
    parted = go(convolutions, options, tmp_path / "parted.onnx")
    assert (tmp_path / "parted.onnx.data").is_file()
    assert parted.measured.deviations == whole.measured.deviations
    assert parted.measured.after.size == sum((tmp_path / name).stat().st_size for name in ("parted.onnx", "parted.onnx.data"))


def test_weights_that_came_beside_stay_beside(convolutions: Given, tmp_path: Path) -> None:
    graph.save(graph.load(convolutions.path), tmp_path / "in.onnx", beside=True)
    found = go(Given(tmp_path / "in.onnx", convolutions.samples), Options(prune=0.5), tmp_path / "out.onnx")
    assert inspecting.inspect(found.output).data == ("out.onnx.data",)
    assert found.measured.before.size > (tmp_path / "in.onnx.data").stat().st_size


def test_without_samples_they_are_random_and_it_says_so(convolutions: Given, tmp_path: Path) -> None:
    found = optimise(convolutions.path, Options(simplify=True), output=tmp_path / "out.onnx", trial=Trial(runs=1))
    assert found.measured.random
    assert found.document()["samples"] == {"count": 32, "random": True}


def test_steps_that_were_done_before_are_remembered(digits: Given, tmp_path: Path) -> None:
    go(digits, Options(simplify=True, prune=0.1), tmp_path / "one.onnx")
    second = Given(tmp_path / "one.onnx", digits.samples)
    go(second, Options(quantise=DYNAMIC), tmp_path / "two.onnx")
    assert graph.lineage(onnx.load(tmp_path / "two.onnx")) == ("simplify", "prune-0.1", "int8-dynamic")
    with pytest.raises(Refused, match="the model is int8-dynamic already"):
        go(Given(tmp_path / "two.onnx", digits.samples), Options(fp16=True), tmp_path / "three.onnx")


def test_pack_copies_the_lineage_into_the_manifest(digits: Given, tmp_path: Path) -> None:
    go(digits, Options(quantise=STATIC), tmp_path / "out.onnx")
    bundle = packaging.pack(tmp_path / "out.onnx", name="digits", version="1.0.0", output=tmp_path / "bundle")
    assert bundle.manifest.build["volary.optimised"] == "int8-static"
    assert "onnxruntime " in bundle.manifest.build["volary.optimised.with"]


@pytest.mark.parametrize("options", [Options(simplify=True), Options(prune=0.5), Options(fp16=True)])
def test_weights_in_branches(tmp_path: Path, options: Options) -> None:
    """Casts of fp16 go before the If whose branches read them; ONNX Runtime loads no graph in another order."""
    given = Given(branches(tmp_path / "branches.onnx"), np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32))
    found = go(given, options, tmp_path / "out.onnx", Limits(deviation=1e-2) if options.prune is None else None)
    assert bool(found.layers) == (options.prune is not None)


def test_dynamic_int8_takes_recurrent_layers(tmp_path: Path) -> None:
    given = Given(recurrent(tmp_path / "lstm.onnx"), np.random.default_rng(0).standard_normal((8, 5, 1, 4)).astype(np.float32))
    assert go(given, Options(quantise=DYNAMIC), tmp_path / "out.onnx").measured.after.size < given.path.stat().st_size


def test_the_data_file_can_be_read_by_whom_the_model_can(convolutions: Given, tmp_path: Path) -> None:
    graph.save(graph.load(convolutions.path), tmp_path / "m.onnx", beside=True)
    assert (tmp_path / "m.onnx.data").stat().st_mode == (tmp_path / "m.onnx").stat().st_mode


# ---- refusals: nothing is left ----------------------------------------------------------------


def test_a_guard_refuses_with_the_measured_figure_after_it_was_shown(digits: Given, tmp_path: Path) -> None:
    shown: list[Optimised] = []
    found = refusal(digits, Options(prune=0.9), tmp_path / "out.onnx", limits=Limits(accuracy_drop=0.01), show=shown.append)
    assert found.reason is Reason.ACCURACY_TOO_LOW
    assert "--max-accuracy-drop is 0.01" in found.message
    assert shown[0].refusal == found.message
    assert shown[0].document()["output"] is None
    found = refusal(digits, Options(quantise=STATIC), tmp_path / "out.onnx", limits=Limits(deviation=1e-6))
    assert found.reason is Reason.DEVIATION_TOO_HIGH
    assert "--max-deviation is 1e-06" in found.message


@pytest.mark.parametrize(
    ("options", "trial", "limits", "message"),
    [
        (Options(quantise=STATIC), Trial(), Limits(), "give some with --samples"),
        (Options(fp16=True), Trial(labels=np.zeros(3)), Limits(), "give them with --samples"),
        (Options(fp16=True), Trial(), Limits(accuracy_drop=0.1), "give them with --labels"),
        (Options(fp16=True), Trial(), Limits(deviation=float("nan")), "--max-deviation is 0 or more; found nan"),
        (Options(fp16=True), Trial(runs=0), Limits(), "at least 1; found 0 and 1"),
        (Options(fp16=True, quantise=DYNAMIC), Trial(), Limits(), "both are asked for"),
    ],
)
def test_what_does_not_go_together(
    convolutions: Given, tmp_path: Path, options: Options, trial: Trial, limits: Limits, message: str
) -> None:
    with pytest.raises(Refused, match=message) as caught:
        optimise(convolutions.path, options, output=tmp_path / "out.onnx", trial=trial, limits=limits)
    assert caught.value.reason is Reason.OPTION_INVALID
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"), [(Options(quantise=DYNAMIC), "finds nothing to quantise"), (Options(prune=0.5), "finds no weights")]
)
def test_a_model_without_weights(tmp_path: Path, options: Options, message: str) -> None:
    given = Given(models.double(tmp_path / "double.onnx"), np.ones((2, 3), np.float32))
    with pytest.raises(Refused, match=message):
        go(given, options, tmp_path / "out.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["double.onnx"]


def test_the_tools_say_nothing_of_their_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """ONNX Runtime's sessions write to the process's stderr, past Python."""
    given = Given(branches(tmp_path / "branches.onnx"), np.ones((2, 4), np.float32))
    with pytest.raises(Refused, match="--quantise static finds nothing"):
        go(given, Options(quantise=STATIC), tmp_path / "out.onnx")
    assert capfd.readouterr() == ("", "")


def test_an_output_that_is_there_is_not_overwritten(convolutions: Given, tmp_path: Path) -> None:
    (tmp_path / "out.onnx").write_bytes(b"mine")
    with pytest.raises(Refused, match="choose another --output") as caught:
        go(convolutions, Options(simplify=True), tmp_path / "out.onnx")
    assert caught.value.reason is Reason.NAME_CONFLICT
    assert (tmp_path / "out.onnx").read_bytes() == b"mine"


def test_samples_that_the_model_does_not_take(convolutions: Given, tmp_path: Path) -> None:
    found = refusal(Given(convolutions.path, np.ones((2, 1, 9, 9), np.float32)), Options(simplify=True), tmp_path / "out.onnx")
    assert "'image' has the shape [-1, 1, 8, 8], a sample has [1, 1, 9, 9]" in found.message


def test_a_tool_that_fails_is_told_in_its_words(convolutions: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("no such opset\nmore")

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", fail)
    found = refusal(convolutions, Options(quantise=DYNAMIC), tmp_path / "out.onnx")
    assert found.message == "--quantise dynamic cannot be done with this model: no such opset"


def test_latency_is_by_the_given_clock(convolutions: Given) -> None:
    ticks = iter(range(1000))
    inspected = inspecting.inspect(convolutions.path)
    inputs = [{"image": convolutions.samples[:1]}]
    files = ((convolutions.path,), (convolutions.path,))
    found = measure.measure(files, inspected.outputs, inputs, None, random=False, runs=3, threads=1, clock=lambda: float(next(ticks)))
    assert found.before.seconds == found.after.seconds == (1.0, 1.0, 1.0)
    assert (found.before.load, found.before.p99) == (1.0, 1.0)
