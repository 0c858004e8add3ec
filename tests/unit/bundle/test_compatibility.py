"""What clients notice of another schema."""

import pytest

from tests.unit.bundle import building
from volary.bundle import compatibility
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype


def tensor(name: str, *shape: int, datatype: str = "FP32") -> Tensor:
    return Tensor(name=name, datatype=Datatype(datatype), shape=shape)


X, Y = tensor("x", -1, 4), tensor("y", -1)


@pytest.mark.parametrize(
    ("inputs", "outputs", "says"),
    [
        ((X,), (Y,), ()),
        ((X,), (Y, tensor("p", -1, 2)), ()),  # one more answer
        ((tensor("x", -1, -1),), (Y,), ()),  # takes more than before
        ((tensor("x", -1, 5),), (Y,), ("the input 'x' was FP32 [-1, 4] and is FP32 [-1, 5]",)),
        ((tensor("x", 1, 4),), (Y,), ("the input 'x' was FP32 [-1, 4] and is FP32 [1, 4]",)),
        ((tensor("x", -1, 4, datatype="FP64"),), (Y,), ("the input 'x' was FP32 [-1, 4] and is FP64 [-1, 4]",)),
        ((tensor("x", -1, 4, 1),), (Y,), ("the input 'x' was FP32 [-1, 4] and is FP32 [-1, 4, 1]",)),
        ((X, tensor("z", 1)), (Y,), ("the input 'z' is new, and clients do not send it",)),
        ((tensor("features", -1, 4),), (Y,), ("the input 'x' is gone", "the input 'features' is new, and clients do not send it")),
        ((X,), (tensor("y", 1),), ()),  # always of the size it could be before
        ((X,), (tensor("y", -1, 1),), ("the output 'y' was FP32 [-1] and is FP32 [-1, 1]",)),
        ((X,), (tensor("y", -1, datatype="INT64"),), ("the output 'y' was FP32 [-1] and is INT64 [-1]",)),
        ((X,), (tensor("score", -1),), ("the output 'y' is gone",)),
    ],
)
def test_what_clients_notice(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], says: tuple[str, ...]) -> None:
    before = building.manifest(golden=None).model_copy(update={"inputs": (X,), "outputs": (Y,)})
    after = before.model_copy(update={"inputs": inputs, "outputs": outputs})
    assert compatibility.breaks(before, after) == says
