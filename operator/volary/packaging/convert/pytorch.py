"""PyTorch -> ONNX by torch.onnx (the exporter on torch.export), or -> TFLite by litert-torch.

A `.pt2` file and a checkpoint may hold pickles and compiled libraries. Pickles are read by PyTorch's
restricted reader only, and compiled libraries are refused, unless the person vouches for the file.
"""

import inspect
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from volary.bundle import limits
from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging.convert import factory
from volary.packaging.convert.packages import LITERT, named, need
from volary.packaging.convert.source import FORMATS, Converted, Kind, Predict, Source, Target

_COMPILED = "aotinductor"  # folder of a .pt2 file with shared libraries, which PyTorch opens while it loads
_WRAPPED = ("state_dict", "model_state_dict")  # where checkpoints of training loops keep the weights
_ONE_FILE = limits.GIB  # of weights; a protobuf ends at 2 GiB, so larger ones go beside the graph
_FORCED = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # overrides what the caller of torch.load asks for


def convert(source: Source, to: Target, workdir: Path) -> Converted:
    """Raises Refused (PackageMissing, LoadFailed, FormatUnsupported, ConversionFailed, SpecInvalid)."""
    torch = need("torch", "torch", f"{source.name}: a PyTorch model")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of operators of packages that are not installed
    program, arguments = _program(torch, source)
    match to:
        case Target.TFLITE:
            graph, tool = _to_tflite(torch, source, program, arguments, workdir / "model.tflite"), named("litert-torch")
        case _:  # `source.target` let nothing else pass
            graph, tool = _to_onnx(torch, source, program, workdir / "model.onnx"), named("torch")
    return Converted(graph=graph, format=FORMATS[to], framework=named("torch"), tool=tool, predict=_predict(torch, program))


def _program(torch: Any, source: Source) -> tuple[Any, tuple[Any, ...]]:
    """The exported program, and inputs it was traced with."""
    match source.kind:
        case Kind.TORCH_PROGRAM:
            program = source.model if source.model is not None else _load_program(torch, source)
            return program, tuple((program.example_inputs or ((), {}))[0])
        case Kind.TORCH_WEIGHTS:
            module = _with_weights(torch, source)
        case _:
            module = source.model
    module.eval()
    arguments = _arguments(torch, source, module)
    shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in arguments)  # the batch
    try:
        return torch.export.export(module, arguments, dynamic_shapes=shapes), arguments
    except Exception as error:  # noqa: BLE001 -- tracing runs the person's code
        _failed(source, Target.ONNX, f"torch.export: {first_line(error)}")


def _load_program(torch: Any, source: Source) -> Any:
    try:
        with _restricted(source):
            if not source.trusted:
                _check_no_libraries(source)
            return torch.export.load(str(source.path))
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 -- zip, JSON, pickle and C++ each have their own
        _unreadable(source, "torch.export.load", error)


def _check_no_libraries(source: Source) -> None:
    """Asked of PyTorch's own reader: another one could see other names in the same archive."""
    archive = need("torch.export.pt2_archive._package", "torch", source.name)
    names = archive.PT2ArchiveReader(str(source.path)).get_file_names()
    if any(_COMPILED in name or name.endswith((".so", ".dll", ".dylib")) for name in names):
        raise Refused(
            Reason.FORMAT_UNSUPPORTED,
            f"{source.name} holds compiled libraries, which run when it is opened; save it with torch.export.save, without AOTInductor",
        )


@contextmanager
def _restricted(source: Source) -> Iterator[None]:
    """No pickle inside is opened but by the restricted reader, even where PyTorch would fall back to the other one."""
    before = os.environ.get(_FORCED)
    if not source.trusted:
        os.environ[_FORCED] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_FORCED, None)
        else:
            os.environ[_FORCED] = before


def _with_weights(torch: Any, source: Source) -> Any:
    """A network of the person's class, with the weights of the file in it."""
    if not source.network:
        raise Refused(
            Reason.SPEC_INVALID,
            f"{source.name} holds weights only; give --network MODULE:CLASS, or export the network: "
            "torch.export.save(torch.export.export(model, inputs), 'model.pt2')",
        )
    weights = _weights(torch, source)
    module = factory.make(source.network)
    if factory.of_object(module).kind is not Kind.TORCH_MODULE:
        raise Refused(Reason.SPEC_INVALID, f"--network {source.network} makes a {type(module).__qualname__}, not a torch.nn.Module")
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        said = " ".join(str(error).split())[:300]
        raise Refused(Reason.LOAD_FAILED, f"the weights of {source.name} are not those of {source.network}: {said}") from None
    return module


def _weights(torch: Any, source: Source) -> Any:
    if source.path is not None and source.path.suffix == ".safetensors":
        found = need("safetensors.torch", "torch", f"{source.name}: reading it").load_file(str(source.path))
    else:
        try:
            found = torch.load(source.path, map_location="cpu", weights_only=not source.trusted)
        except Exception as error:  # noqa: BLE001 -- as above
            _unreadable(source, "torch.load", error)
    return next((found[name] for name in _WRAPPED if name in found), found) if isinstance(found, Mapping) else found


def _arguments(torch: Any, source: Source, module: Any) -> tuple[Any, ...]:
    """Two samples for the parameters of `forward`, in its order: with one alone, the batch would be taken for fixed."""
    if source.samples is None:
        raise Refused(
            Reason.GOLDEN_INVALID,
            f"{source.name}: torch.export runs the network once and needs inputs for that; give samples (--golden, of convert --samples)",
        )
    if not isinstance(source.samples, Mapping):
        return (_tensor(torch, source.samples),)
    if len(source.samples) == 1:
        return (_tensor(torch, next(iter(source.samples.values()))),)
    names = [name for name in inspect.signature(module.forward).parameters if name in source.samples]
    if len(names) < len(source.samples):
        unknown = sorted(set(source.samples) - set(names))
        raise Refused(Reason.GOLDEN_INVALID, f"the samples have {unknown}, which forward() of {type(module).__qualname__} does not take")
    return tuple(_tensor(torch, source.samples[name]) for name in names)


def _tensor(torch: Any, samples: Any) -> Any:
    array = np.asarray(samples)
    if array.dtype == np.float64:
        array = array.astype(np.float32)  # what networks are trained in; a CSV file knows only 64 bits
    return torch.from_numpy(np.ascontiguousarray(np.resize(array[:2], (2, *array.shape[1:]))))


def _to_onnx(torch: Any, source: Source, program: Any, graph: Path) -> Path:
    need("onnxscript", "torch", f"{source.name} to ONNX")
    count = len(program.graph_signature.user_outputs)
    names = ["output"] if count == 1 else [f"output_{number}" for number in range(count)]
    size = sum(each.numel() * each.element_size() for each in program.state_dict.values())
    try:
        exported = torch.onnx.export(program, dynamo=True, verbose=False, output_names=names)
        exported.save(str(graph), external_data=size > _ONE_FILE)
    except Exception as error:  # noqa: BLE001 -- the exporter's errors have no common base
        _failed(source, Target.ONNX, f"torch.onnx: {first_line(error)}")
    return graph


def _to_tflite(torch: Any, source: Source, program: Any, arguments: tuple[Any, ...], graph: Path) -> Path:
    """For one sample at a time: what phones and boards do."""
    litert = need("litert_torch", "torch", f"{source.name} to TFLite", LITERT)
    inner = program.module()

    class Named(torch.nn.Module):  # type: ignore[misc] # a base that is not installed where types are checked
        """litert-torch names the inputs of a graph by keywords, and by number without."""

        def forward(self, **inputs: Any) -> Any:
            return inner(*inputs.values())

    one = {name: each[:1] for name, each in zip(_inputs(program), arguments, strict=True)}
    try:
        litert.convert(Named().eval(), sample_kwargs=one).export(str(graph))
    except Exception as error:  # noqa: BLE001 -- as above
        _failed(source, Target.TFLITE, f"litert-torch: {first_line(error)}")
    return graph


def _predict(torch: Any, program: Any) -> Predict:
    module, names = program.module(), _inputs(program)

    def predict(inputs: Mapping[str, Any]) -> list[Any]:
        given = [inputs[name] for name in names] if set(names) == set(inputs) else inputs.values()
        with torch.no_grad():
            answers = module(*(torch.from_numpy(np.ascontiguousarray(array)) for array in given))
        return [tensor.numpy() for tensor in _flat(answers)]

    return predict


def _inputs(program: Any) -> list[str]:
    """The names of the parameters of `forward`, in its order."""
    return [str(name) for name in program.graph_signature.user_inputs]


def _flat(answers: Any) -> Iterator[Any]:
    """The tensors of an answer, in the order the exporter gives its outputs."""
    if isinstance(answers, Mapping):
        answers = list(answers.values())
    if isinstance(answers, list | tuple):
        for each in answers:
            yield from _flat(each)
    elif answers is not None:
        yield answers


def _unreadable(source: Source, reader: str, error: Exception) -> NoReturn:
    hint = (
        ""
        if source.trusted
        else "; a file that holds more than tensors runs code when it is opened: --trust-pickle if you made it yourself"
    )
    raise Refused(Reason.LOAD_FAILED, f"{reader} cannot read {source.name} ({type(error).__name__}){hint}") from None


def _failed(source: Source, to: Target, said: str) -> NoReturn:
    raise Refused(Reason.CONVERSION_FAILED, f"{source.name} cannot become {to}: {said}") from None
