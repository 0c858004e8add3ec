"""What people have after training, what it can become, and what a conversion gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from volary.bundle.formats import Format
from volary.common.errors import Refused
from volary.common.reasons import Reason

MAX_DEVIATION = 1e-3  # of the largest answer: more than rounding in 32 bits makes, less than a different model


class Kind(StrEnum):
    """Where a model comes from."""

    ONNX = "onnx"
    SAVEDMODEL = "savedmodel"
    TFLITE = "tflite"
    KERAS = "keras"
    TORCH_PROGRAM = "torch-program"  # torch.export.save: the graph and its weights
    TORCH_WEIGHTS = "torch-weights"  # a state dict: weights that need the class they belong to
    TORCH_MODULE = "torch-module"  # a live torch.nn.Module
    SKLEARN = "scikit-learn"


class Target(StrEnum):
    """What a model can become, in the words of `--to`."""

    ONNX = "onnx"
    SAVEDMODEL = "savedmodel"
    TFLITE = "tflite"


FORMATS: Mapping[Target, Format] = MappingProxyType(
    {Target.ONNX: Format.ONNX, Target.SAVEDMODEL: Format.TENSORFLOW_SAVEDMODEL, Target.TFLITE: Format.TFLITE}
)

# The first is what a source becomes when nobody says.
WAYS: Mapping[Kind, tuple[Target, ...]] = MappingProxyType(
    {
        Kind.ONNX: (Target.ONNX,),
        Kind.SAVEDMODEL: (Target.SAVEDMODEL, Target.ONNX, Target.TFLITE),
        Kind.TFLITE: (Target.TFLITE,),
        Kind.KERAS: (Target.ONNX, Target.SAVEDMODEL, Target.TFLITE),
        Kind.TORCH_PROGRAM: (Target.ONNX, Target.TFLITE),
        Kind.TORCH_WEIGHTS: (Target.ONNX, Target.TFLITE),
        Kind.TORCH_MODULE: (Target.ONNX, Target.TFLITE),
        Kind.SKLEARN: (Target.ONNX,),
    }
)

# The inputs by the graph's names and in its order -> the outputs by its names, or all in its order. NumPy arrays.
Predict = Callable[[Mapping[str, Any]], Mapping[str, Any] | Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model as it was found: a file or directory, or a live object of this process."""

    kind: Kind
    path: Path | None = None
    model: Any = None
    samples: Any = None  # inputs to trace and compare with: an array, a mapping of arrays, or a file of them
    network: str = ""  # MODULE:NAME of what makes the network that weights belong to
    trusted: bool = False  # the person vouches for a file that runs code when it is opened
    to: Target | None = None  # None: what the kind usually becomes
    max_deviation: float = MAX_DEVIATION  # how far the converted model may be off, as a share of an output's scale

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.path) if self.path is not None else f"this {type(self.model).__name__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A servable graph, and how its source answers."""

    graph: Path  # model.onnx, saved_model.pb or model.tflite; what it refers to is beside it
    format: Format
    framework: str = ""  # name and version of what it was trained with; empty when it came as it is
    tool: str = ""  # name and version of what converted it
    notes: tuple[str, ...] = ()
    predict: Predict | None = None  # None when there is nothing to compare with


def target(source: Source) -> Target:
    """What the source is to become. Raises Refused (FormatUnsupported) when there is no way."""
    ways = WAYS[source.kind]
    if source.to is None or source.to in ways:
        return source.to or ways[0]
    raise Refused(
        Reason.FORMAT_UNSUPPORTED,
        f"{source.name} is {source.kind}, which cannot become {source.to}; it can become {', '.join(ways)}",
    )
