import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import samples

X = Tensor(name="x", datatype=Datatype.FP32, shape=(-1, 2))
FIXED = Tensor(name="x", datatype=Datatype.FP32, shape=(3, 2))
SCALAR = Tensor(name="x", datatype=Datatype.FP32, shape=(-1,))
IDS = Tensor(name="ids", datatype=Datatype.INT64, shape=(-1, 2))
ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content, "utf-8")
    return path


def npy(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


FILES: dict[str, Callable[[Path], Any]] = {
    "array": lambda _: np.array(ROWS),
    "mapping": lambda _: {"x": np.array(ROWS)},
    "npy": lambda path: npy(path / "s.npy", np.array(ROWS)),
    "npz": lambda path: npz(path / "s.npz", x=np.array(ROWS)),
    "npz without names": lambda path: npz(path / "s.npz", arr_0=np.array(ROWS)),
    "csv": lambda path: text(path / "s.csv", "1,2\n3,4\n5,6\n"),
    "csv with a heading": lambda path: text(path / "s.csv", "a,b\n1,2\n\n3,4\n5,6\n"),
    "json": lambda path: text(path / "s.json", json.dumps(ROWS)),
    "json with names": lambda path: text(path / "s.json", json.dumps({"x": ROWS})),
}


@pytest.mark.parametrize("given", FILES.values(), ids=FILES)
def test_a_row_is_a_batch_of_one(given: Callable[[Path], Any], tmp_path: Path) -> None:
    found = samples.read(given(tmp_path), (X,))
    assert [each["x"].tolist() for each in found] == [[row] for row in ROWS]
    assert {each["x"].dtype for each in found} == {np.dtype(np.float32)}


def test_without_a_free_first_dimension_a_sample_is_whole() -> None:
    found = samples.read(np.array([ROWS]), (FIXED,))
    assert [each["x"].tolist() for each in found] == [ROWS]


def test_where_the_batch_is_fixed_to_one_a_row_will_do_too() -> None:
    single = Tensor(name="x", datatype=Datatype.FP32, shape=(1, 2))
    for given in (np.array(ROWS), np.array(ROWS)[:, np.newaxis]):
        assert [each["x"].tolist() for each in samples.read(given, (single,))] == [[row] for row in ROWS]


def test_numbers_one_each() -> None:
    assert [each["x"].tolist() for each in samples.read(np.array([1.0, 2.0]), (SCALAR,))] == [[1.0], [2.0]]


def test_several_inputs() -> None:
    found = samples.read({"x": np.array(ROWS), "ids": np.array([[1, 2]] * 3)}, (X, IDS))
    assert len(found) == 3
    assert found[0]["ids"].dtype == np.int64


def test_whole_numbers_of_a_csv_are_integers(tmp_path: Path) -> None:
    assert samples.read(text(tmp_path / "s.csv", "1,2"), (IDS,))[0]["ids"].tolist() == [[1, 2]]


BROKEN: dict[str, tuple[Callable[[Path], Any], tuple[Tensor, ...], str]] = {
    "80 none": (lambda _: np.empty((0, 2)), (X,), "found 0 of them"),
    "too many": (lambda _: np.zeros((1001, 2)), (X,), "found 1001 of them"),
    "a number": (lambda _: np.array(1.0), (X,), "first dimension"),
    "75 columns": (lambda _: np.zeros((2, 3)), (X,), "has the shape [-1, 2], a sample has [1, 3]"),
    "75 rank": (lambda _: np.zeros((2, 1, 2)), (X,), "has the shape [-1, 2], a sample has [1, 1, 2]"),
    "fractions for integers": (lambda _: np.array([[0.5, 1]]), (IDS,), "is INT64, the samples are float64"),
    "text for numbers": (lambda _: np.array([["a", "b"]]), (X,), "is FP32, the samples are"),
    "one array for two inputs": (lambda _: np.zeros((1, 2)), (X, IDS), "the model has the inputs ['x', 'ids']"),
    "another name": (lambda _: {"x": np.zeros((1, 2)), "z": np.zeros((1, 2))}, (X, IDS), "they are for ['x', 'z']"),
    "different counts": (lambda _: {"x": np.zeros((1, 2)), "ids": np.zeros((2, 2), int)}, (X, IDS), "the same number of samples"),
    "no file": (lambda path: path / "s.npy", (X,), "No such file"),
    "unknown kind": (lambda path: text(path / "s.xlsx", ""), (X,), "write them as .npz, .npy, .csv or .json"),
    "pickled array": (lambda path: npy(path / "s.npy", np.array([{"a": 1}], object)), (X,), "allow_pickle"),
    "no JSON": (lambda path: text(path / "s.json", "{"), (X,), "s.json"),
    "ragged JSON": (lambda path: text(path / "s.json", "[[1],[1,2]]"), (X,), "s.json"),
    "ragged CSV": (lambda path: text(path / "s.csv", "1\n1,2"), (X,), "s.csv"),
    "CSV with text": (lambda path: text(path / "s.csv", "1,2\nx,y"), (X,), "s.csv"),
    "empty CSV": (lambda path: text(path / "s.csv", ""), (X,), ""),
}


@pytest.mark.parametrize(("given", "schema", "said"), BROKEN.values(), ids=BROKEN)
def test_samples_that_do_not_fit(given: Callable[[Path], Any], schema: tuple[Tensor, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        samples.read(given(tmp_path), schema)
    assert caught.value.reason is Reason.GOLDEN_INVALID
    assert said in caught.value.message
