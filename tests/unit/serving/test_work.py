"""Requests joined in one run: each has the outcome it would have had alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.serving import bundles
from volary.serving import joining, model, protocol
from volary.serving.joining import Batching
from volary.serving.metrics import Metrics, Registry
from volary.serving.model import Model
from volary.serving.protocol import Call, Rejected
from volary.serving.refusal import Internal, ModelFailed
from volary.serving.work import Job, Work


class Stage:
    """A model with what is done for its requests."""

    def __init__(self, bundle: Path, most: int = 64) -> None:
        manifest = model.read_manifest(bundle)
        self.schema = protocol.schema("fraud", manifest)
        self.model = model.load(bundle, manifest, threads=1)
        self.registry = Registry(lambda: 0.0)
        self.work = Work(Metrics(self.registry, "fraud", "1", "r"))
        self.work.batching = Batching(most)
        self.runs: list[int] = []  # rows
        run = Model.run

        def counting(inputs: Any, outputs: Any) -> Any:
            self.runs.append(len(next(iter(inputs.values()))))
            return run(self.model, inputs, outputs)

        self.model.run = counting  # type: ignore[method-assign]

    def do(self, *reads: Callable[[], Call]) -> list[Any]:
        """Outcomes: lists of outputs, or what was raised."""
        jobs = [Job(self.model, 1, read, lambda _, arrays: [array.tolist() for array in arrays], True, lambda: None) for read in reads]
        self.work.beside(jobs)
        return [job.outcome for job in jobs]

    def call(self, *outputs: str, **inputs: Any) -> Callable[[], Call]:
        wanted = [self.schema.outputs[name] for name in outputs or self.schema.outputs]
        return lambda: Call(None, inputs, wanted)


def _row(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def _raising(error: Exception) -> Callable[[], Call]:
    def read() -> Call:
        raise error

    return read


def test_rows_go_back_to_whom_they_are_of(tmp_path: Path) -> None:
    stage = Stage(bundles.lookup(tmp_path))
    assert stage.do(*(stage.call(row=_row(*numbers)) for numbers in ([1], [3, 0], [2]))) == [
        [[[2, 3]]],
        [[[6, 7], [0, 1]]],
        [[[4, 5]]],
    ]
    assert stage.runs == [4]


def test_a_fault_of_one_is_not_its_neighbours(tmp_path: Path) -> None:
    stage = Stage(bundles.lookup(tmp_path))
    good, bad = stage.call(row=_row(1)), stage.call(row=_row(9))
    first, failed, refused, broken, last = stage.do(good, bad, _raising(Rejected(400, "no")), _raising(ZeroDivisionError()), good)
    assert first == last == [[[2, 3]]]
    assert isinstance(failed, ModelFailed)
    assert isinstance(refused, Rejected)
    assert refused.status == 400
    assert isinstance(broken, Internal)
    assert stage.runs == [3, 1, 1, 1]  # together, then each alone


@pytest.mark.parametrize(("most", "runs"), [(2, [2, 1]), (3, [3])])
def test_no_run_has_more_rows_than_wanted(tmp_path: Path, most: int, runs: list[int]) -> None:
    stage = Stage(bundles.lookup(tmp_path), most)
    assert len(stage.do(*[stage.call(row=_row(1))] * 3)) == 3
    assert stage.runs == runs


def test_a_request_larger_than_a_batch_is_run_as_it_is(tmp_path: Path) -> None:
    stage = Stage(bundles.lookup(tmp_path), 2)
    assert [len(outcome[0]) for outcome in stage.do(stage.call(row=_row(1, 1, 1)), stage.call(row=_row(2)))] == [3, 1]
    assert stage.runs == [3, 1]


def test_only_what_is_alike_is_joined(tmp_path: Path) -> None:
    stage = Stage(bundles.doubling(tmp_path))
    x = np.ones((1, 4), np.float32)
    outcomes = stage.do(stage.call(x=x), stage.call("y", x=x), stage.call(x=x), stage.call(x=x[:0]))
    assert outcomes == [[[[2, 2, 2, 2]], [0]], [[[2, 2, 2, 2]]], [[[2, 2, 2, 2]], [0]], [[], []]]
    assert sorted(stage.runs) == [0, 1, 2]


def test_inputs_of_different_rows_are_joined_with_nobody(tmp_path: Path) -> None:
    stage = Stage(bundles.adding(tmp_path))
    one, two = np.ones(1, np.float32), np.ones(2, np.float32)
    *good, bad = stage.do(stage.call(a=one, b=one), stage.call(a=two, b=two), stage.call(a=two, b=np.ones(3, np.float32)))
    assert good == [[[2]], [[2, 2]]]
    assert isinstance(bad, Rejected)
    assert bad.status == 400
    assert "a[0] = 2, b[0] = 3" in bad.message


def test_batches_are_counted(tmp_path: Path) -> None:
    stage = Stage(bundles.lookup(tmp_path))
    stage.do(*[stage.call(row=_row(1))] * 3)
    text = stage.registry.render().decode()
    assert 'volary_batch_requests_sum{model="fraud",revision="r",version="1"} 3.0' in text
    assert 'volary_inference_duration_seconds_count{model="fraud",revision="r",version="1"} 1.0' in text


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_parting_undoes_joining(counts: list[int]) -> None:
    numbers = iter(range(1000))
    calls = [Call(None, {"x": np.array([[next(numbers)] * 2 for _ in range(count)])}, []) for count in counts]
    joined = joining.join(calls)["x"]
    parts = joining.part(counts, [joined, joined[:, 0]])
    for call, (whole, first) in zip(calls, parts, strict=True):
        assert np.array_equal(whole, call.inputs["x"])
        assert np.array_equal(first, call.inputs["x"][:, 0])


@pytest.mark.parametrize("array", [np.zeros(()), np.zeros(4), np.zeros((1, 3))])
def test_outputs_that_are_not_of_the_rows_are_not_parted(array: Any) -> None:
    with pytest.raises(joining.Parted):
        joining.part([1, 2], [array])
