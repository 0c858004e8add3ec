import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.optimise import trial


def tensor(datatype: Datatype, *shape: int) -> Tensor:
    return Tensor(name="x", datatype=datatype, shape=shape)


def test_random_samples_are_the_same_every_time() -> None:
    schema = (tensor(Datatype.FP32, -1, 3), Tensor(name="i", datatype=Datatype.INT64, shape=(-1, -1)))
    one, other = trial.inputs(None, schema), trial.inputs(None, schema)
    assert len(one) == trial.COUNT
    assert all(np.array_equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in ("x", "i"))
    assert {each["x"].shape for each in one} == {(1, 3)}
    assert {each["i"].shape for each in one} == {(1, 16)}
    assert {int(number) for each in one for number in each["i"].ravel()} == {0, 1}


@pytest.mark.parametrize("datatype", [Datatype.FP16, Datatype.FP64, Datatype.BOOL, Datatype.UINT8])
def test_random_samples_have_the_datatype(datatype: Datatype) -> None:
    assert trial.random((tensor(datatype, 2),))[0]["x"].dtype == trial.samples.DTYPES[datatype]


@pytest.mark.parametrize("datatype", [Datatype.BYTES, Datatype.BF16])
def test_there_is_no_random_text(datatype: Datatype) -> None:
    with pytest.raises(Refused, match="give some with --samples") as caught:
        trial.random((tensor(datatype, -1, 1),))
    assert caught.value.reason is Reason.OPTION_INVALID


def written(path: Path, content: Any) -> Path:
    match path.suffix:
        case ".npy":
            np.save(path, content)
        case ".npz":
            np.savez(path, content)
        case ".json":
            path.write_text(json.dumps(content))
        case _:
            path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("y.npy", [1, 2, 3], [1, 2, 3]),
        ("y.npy", [[1], [2], [3]], [1, 2, 3]),
        ("y.npz", [1, 2, 3], [1, 2, 3]),
        ("y.json", [1, 2, 3], [1, 2, 3]),
        ("y.json", ["cat", "dog", "cat"], ["cat", "dog", "cat"]),
        ("y.csv", "label\n1\n2\n\n3\n", [1, 2, 3]),
        ("y.csv", "1\n2\n3\n", [1, 2, 3]),
        ("y.csv", "cat\ndog\ncat\n", ["cat", "dog", "cat"]),
    ],
)
def test_labels_as_people_have_them(tmp_path: Path, name: str, content: Any, wanted: list[Any]) -> None:
    assert trial.labels(written(tmp_path / name, content), 3).tolist() == wanted


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("y.npy", [1, 2], "there are 2 of them for 3 samples"),
        ("y.txt", "1", "write them as"),
        ("y.json", {"a": 1}, "give integers or words|there are"),
        ("y.json", [[1], [2, 3]], "the labels cannot be used"),
        ("y.npy", np.array([1j] * 3), "complex128; give integers or words"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, name: str, content: Any, message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        trial.labels(written(tmp_path / name, content), 3)
    assert caught.value.reason is Reason.OPTION_INVALID


def test_labels_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No such file"):
        trial.labels(tmp_path / "y.npy", 3)
