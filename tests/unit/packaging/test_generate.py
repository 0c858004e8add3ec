"""Samples made up from the inputs: the same for ever, of every datatype, and few."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packaging import models
from volary import packaging
from volary.bundle import golden
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging import Auto, Bundle, cover, generate
from volary.packaging.generate import Candidate, Kind
from volary.packaging.samples import DTYPES

SEED = b"seed"
X = Tensor(name="x", datatype=Datatype.FP32, shape=(-1, 3))


def candidates(*inputs: Tensor, dims: dict[str, int] | None = None, axes: dict[str, tuple[str, ...]] | None = None) -> list[Candidate]:
    return list(generate.candidates(inputs, axes or {}, dims or {}, SEED))


def auto(model: Path, dims: dict[str, int] | None = None, **more: Any) -> Bundle:
    return packaging.pack(model, name="m", version="1", output=model.parent / "bundle", samples=Auto(dims or {}), **more)


def recorded(bundle: Bundle) -> tuple[golden.Sample, ...]:
    return golden.parse((bundle.path / "golden.json").read_bytes(), bundle.manifest)


def test_the_numbers_are_fixed_for_ever() -> None:
    """A change here changes the digest of every bundle that is packed again."""
    assert [each.kind for each in candidates(X)[:5]] == [Kind.UNIT, Kind.SIGNED, Kind.WIDE, Kind.ZERO, Kind.UNIT]
    numbers = [[str(number) for number in each.inputs["x"][0]] for each in candidates(X)[:4]]
    assert numbers == [["0.1", "0.28", "0.08"], ["-0.82", "0.64", "0.26"], ["8.94", "4.56", "-8.96"], ["0.0", "0.0", "0.0"]]


def test_another_graph_gets_other_numbers() -> None:
    other = next(iter(generate.candidates((X,), {}, {}, b"other")))
    assert other.inputs["x"].tolist() != candidates(X)[0].inputs["x"].tolist()


@given(st.sampled_from(sorted(DTYPES)), st.lists(st.integers(-1, 4), max_size=3))
def test_every_sample_is_of_its_datatype_and_shape(datatype: Datatype, shape: list[int]) -> None:
    for each in candidates(Tensor(name="x", datatype=datatype, shape=tuple(shape))):
        array = each.inputs["x"]
        assert array.dtype == np.dtype(DTYPES[datatype])
        assert array.shape == tuple(1 if size < 0 else size for size in shape)
        if datatype is Datatype.BYTES:
            assert all(type(element) is str for element in array.ravel())


def test_floats_are_short_as_decimals() -> None:
    found = [str(element) for each in candidates(X) for element in each.inputs["x"].ravel()]
    assert max(map(len, found)) <= len("-10.99")


@pytest.mark.parametrize(
    ("dims", "shape"), [({}, (1, 1)), ({"batch": 4}, (4, 1)), ({"length": 5}, (1, 5)), ({"ids:1": 6, "length": 5}, (1, 6))]
)
def test_a_free_axis_has_the_size_that_was_asked_for(dims: dict[str, int], shape: tuple[int, ...]) -> None:
    ids = Tensor(name="ids", datatype=Datatype.INT64, shape=(-1, -1))
    assert candidates(ids, dims=dims, axes={"ids": ("batch", "length")})[0].inputs["ids"].shape == shape


@pytest.mark.parametrize(
    ("tensor", "dims", "said"),
    [
        (X, {"batsch": 4}, "the model has no free axis 'batsch'; it has ['batch', 'x:0']"),
        (X, {"x:1": 4}, "no free axis 'x:1'"),
        (X, {"batch": 0}, "the size of the axis 'batch' is 0"),
        (X, {"batch": 2**30}, "samples are made up to 1048576"),
        (Tensor(name="x", datatype=Datatype.BF16, shape=(1,)), {}, "input 'x' is BF16"),
    ],
)
def test_what_cannot_be_made_up(tensor: Tensor, dims: dict[str, int], said: str) -> None:
    with pytest.raises(Refused) as caught:
        candidates(tensor, dims=dims, axes={"x": ("batch", "")})
    assert said in caught.value.message


# ---- the choice among them --------------------------------------------------------------------


def test_few_samples_show_every_class(tmp_path: Path) -> None:
    found = recorded(auto(models.classifier(tmp_path / "m.onnx")))
    labels = {sample.outputs[0].data[0] for sample in found}
    assert labels == {0, 1, 2}
    assert len(found) <= 6


def test_inputs_that_a_model_cannot_answer_are_left_out(tmp_path: Path) -> None:
    """The table has eight rows; some candidates ask for others."""
    for sample in recorded(auto(models.lookup(tmp_path / "lookup.onnx"), {"length": 3})):
        assert sample.inputs[0].shape == (1, 3)
        assert all(-8 <= int(number) < 8 for number in sample.inputs[0].data)


def test_a_model_that_answers_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"give some with --golden FILE: 'y' is not finite everywhere") as caught:
        auto(models.nothing(tmp_path / "m.onnx"))
    assert caught.value.reason is Reason.GOLDEN_INVALID


@pytest.mark.parametrize(("budget", "count"), [(30_000, 3), (20_000, 2), (1, 1)])
def test_large_samples_stay_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int, count: int) -> None:
    """A sample of 768 numbers in and out has about 8 kB; without a budget there would be one of each kind."""
    monkeypatch.setattr(cover, "BYTES", budget)
    bundle = auto(models.double(tmp_path / "m.onnx", [1, 3, 16, 16]))
    assert len(recorded(bundle)) == count


def test_of_every_datatype(tmp_path: Path) -> None:
    bundle = auto(models.mixed(tmp_path / "m.onnx"), {"batch": 2})
    assert all(sample.inputs[0].shape == (2, 2) for sample in recorded(bundle))


def test_packing_again_makes_up_the_same(tmp_path: Path) -> None:
    model = models.classifier(tmp_path / "m.onnx")
    first = auto(model)
    second = packaging.pack(model, name="m", version="1", output=tmp_path / "again", samples=Auto())
    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("write", "operators"), [(models.random, "RandomNormalLike (noise)"), (models.branching, "RandomUniformLike (noise)")]
)
def test_78_what_is_random_is_named(tmp_path: Path, write: Any, operators: str) -> None:
    with pytest.raises(Refused) as caught:
        auto(write(tmp_path / "m.onnx"))
    assert caught.value.reason is Reason.GOLDEN_INVALID
    assert f"the graph draws random numbers: {operators}; export it for inference" in caught.value.message


def test_78_dropout_in_training_mode(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"Dropout \(drop\)"):
        auto(models.dropout(tmp_path / "m.onnx", training=True), {"batch": 50})
    auto(models.dropout(tmp_path / "n.onnx", training=False))
