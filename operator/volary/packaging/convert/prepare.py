"""From a source to a graph that can be served, and the proof that it still answers as its source does."""

import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volary.bundle import limits
from volary.bundle.formats import Format
from volary.bundle.manifest import Tensor
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.convert.source import FORMATS, Converted, Kind, Predict, Source, Target, target

if TYPE_CHECKING:
    from volary.packaging.convert.graphs import Inspected
    from volary.packaging.convert.parity import Parity
    from volary.packaging.samples import Given


@dataclass(frozen=True, slots=True, kw_only=True)
class Servable:
    """A graph, the files it needs, and what the manifest says of both."""

    format: Format
    graph: Path
    data: tuple[str, ...]  # relative to the graph's directory
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    facts: Mapping[str, str]  # entries of the manifest's `build`; those of a conversion start with `convert.`
    opset: int = 0  # ONNX only


def prepare(source: Source, workdir: Path, samples: "Given | None" = None) -> Servable:
    """Convert what needs it into `workdir`, and compare. Raises Refused.

    `samples` are inputs to trace and to compare with; without them some are made up where that is possible.
    """
    source = _with_samples(source, samples)
    with _quietly():
        converted = convert(source, target(source), workdir)
        from volary.packaging.convert import graphs

        inspected = graphs.inspect(converted.graph, converted.format)
        origin = _origin(source, converted, inspected)
    return Servable(
        format=converted.format,
        graph=converted.graph,
        data=inspected.data,
        inputs=inspected.inputs,
        outputs=inspected.outputs,
        facts={**inspected.facts, **origin},
        opset=inspected.opset,
    )


def convert(source: Source, to: Target, workdir: Path) -> Converted:
    """The source in the wanted format, by the tool that is made for it. Raises Refused."""
    match source.kind:
        case Kind.ONNX | Kind.TFLITE:
            return Converted(graph=_file(source), format=FORMATS[to])
        case Kind.SAVEDMODEL:
            from volary.packaging.convert import savedmodel

            return savedmodel.convert(source, to, workdir)
        case Kind.KERAS:
            from volary.packaging.convert import keras

            return keras.convert(source, to, workdir)
        case Kind.TORCH_PROGRAM | Kind.TORCH_WEIGHTS | Kind.TORCH_MODULE:
            from volary.packaging.convert import pytorch

            return pytorch.convert(source, to, workdir)
        case Kind.SKLEARN:
            from volary.packaging.convert import scikit

            return scikit.convert(source, to, workdir)


def _file(source: Source) -> Path:
    if source.path is None:
        raise Refused(Reason.FORMAT_UNSUPPORTED, f"{source.kind} is given as a file")
    if not source.path.is_file():
        raise Refused(Reason.FILE_NOT_FOUND, f"there is no file {source.path}")
    return source.path


def _with_samples(source: Source, given: "Given | None") -> Source:
    """Files are read here: the exporters that trace need arrays before there is a schema to read them by."""
    found = source.samples if given is None else given
    if isinstance(found, Path):
        from volary.packaging import samples

        found = samples.load(found)
    return replace(source, samples=_columns(found))


def _columns(found: Any) -> Any:
    """A data frame of numbers is a matrix; one of numbers and words is an input a column."""
    if hasattr(found, "columns") and len(set(found.dtypes)) > 1:
        return {str(name): found[[name]].to_numpy() for name in found.columns}
    return found


def _origin(source: Source, converted: Converted, inspected: "Inspected") -> Mapping[str, str]:
    """Where the graph comes from, and how it was proved; nothing for one that came as it is."""
    if not converted.framework:
        return {}
    facts = {
        "convert.source": source.kind.value,
        "convert.framework": converted.framework,
        "convert.tool": converted.tool,
        "convert.notes": "; ".join(converted.notes),
        "convert.parity": _parity(source, converted, inspected),
    }
    return {key: value for key, value in facts.items() if value}


def _parity(source: Source, converted: Converted, inspected: "Inspected") -> str:
    if converted.predict is None:
        return "not compared: this kind of model has no answers of its own"
    compared = _compared(source, converted, inspected, converted.predict)
    return "not compared: no samples were given, and text cannot be made up" if compared is None else str(compared)


def _compared(source: Source, converted: Converted, inspected: "Inspected", predict: Predict) -> "Parity | None":
    """None when inputs would have to be made up and cannot be: text."""
    from volary.packaging import samples
    from volary.packaging.convert import graphs, parity

    generated = source.samples is None
    inputs = parity.generate(inspected.inputs) if generated else samples.read(_first(source.samples), inspected.inputs)
    if not inputs:
        return None
    session = graphs.load(converted.graph, converted.format)
    names = [tensor.name for tensor in inspected.outputs]

    def run(each: Mapping[str, Any]) -> list[Any]:
        return session.run(names, each)

    return parity.measure(predict, run, inspected.outputs, inputs, generated=generated, allowed=source.max_deviation)


def _first(samples: Any) -> Any:
    """As many as golden samples may be: a whole training set proves no more."""
    if isinstance(samples, Mapping):
        return {name: array[: limits.GOLDEN_SAMPLES] for name, array in samples.items()}
    return samples[: limits.GOLDEN_SAMPLES]


@contextmanager
def _quietly() -> Iterator[None]:
    """Exporters print on stdout, which is for data, and warn of their own insides."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
