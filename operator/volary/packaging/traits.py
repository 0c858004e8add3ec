"""What recording and scoring want to know of a graph beside its files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.packaging import graph


@dataclass(frozen=True, slots=True)
class Traits:
    """Inputs and outputs, and what can be told of an ONNX graph; of others it is unknown."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    axes: Mapping[str, Sequence[str]] = field(default_factory=dict)  # names of each input's axes
    precision: Datatype | None = None  # the least exact type of float on the way
    random: tuple[str, ...] = ()  # operators that draw random numbers


def of_onnx(path: Path, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> Traits:
    """Of a file that was inspected before."""
    model = onnx.load(path, load_external_data=False)
    return Traits(inputs, outputs, graph.axes(model.graph), graph.precision(model), graph.random_operators(model))
