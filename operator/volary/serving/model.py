"""A bundle in a directory -> a session of ONNX Runtime that answers what the manifest says."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnxruntime as ort  # type: ignore[import-untyped]

from volary.bundle import manifest as manifests
from volary.bundle.formats import Format
from volary.bundle.manifest import Manifest, Tensor
from volary.bundle.tensors import Datatype
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.serving import brain, session
from volary.serving.tensors import Array
from volary.serving.tuning import TUNING, Tuning

_MANIFEST = "manifest.json"
_MESSAGE_LIMIT = 400

_TYPES: Mapping[str, Datatype] = MappingProxyType(
    {
        "tensor(bool)": Datatype.BOOL,
        "tensor(uint8)": Datatype.UINT8,
        "tensor(uint16)": Datatype.UINT16,
        "tensor(uint32)": Datatype.UINT32,
        "tensor(uint64)": Datatype.UINT64,
        "tensor(int8)": Datatype.INT8,
        "tensor(int16)": Datatype.INT16,
        "tensor(int32)": Datatype.INT32,
        "tensor(int64)": Datatype.INT64,
        "tensor(float16)": Datatype.FP16,
        "tensor(float)": Datatype.FP32,
        "tensor(double)": Datatype.FP64,
        "tensor(bfloat16)": Datatype.BF16,
        "tensor(string)": Datatype.BYTES,
    }
)


class RunFailed(Exception):
    """ONNX Runtime could not run the model on these inputs."""


class Model:
    """A loaded model. `run` may be called from several threads at once."""

    def __init__(self, loaded: ort.InferenceSession) -> None:
        self._session = loaded
        self._named_axes = _named_axes(loaded.get_inputs())
        types = {node.name: node.type for node in (*loaded.get_inputs(), *loaded.get_outputs())}
        self._brain_types = types if brain.ONNX_TYPE in types.values() else None

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[Tensor]) -> list[Array]:
        """Arrays in the order of `outputs`. Raises RunFailed."""
        try:
            names = [tensor.name for tensor in outputs]
            if self._brain_types is not None:
                return brain.run(self._session, inputs, names, self._brain_types)
            found: list[Array] = self._session.run(names, inputs)
        except Exception as error:  # ONNX Runtime's errors have no base of their own
            raise RunFailed(_short(error)) from error
        return found

    def disagreement(self, inputs: Mapping[str, Array]) -> str | None:
        """Axes that the graph calls by one name but that have different sizes: why a run failed, the client's fault.

        Not checked before a run: some converters give one name to axes that need not be equal.
        """
        for axis_name, places in self._named_axes.items():
            sizes = {f"{name}[{axis}]": inputs[name].shape[axis] for name, axis in places}
            if len(set(sizes.values())) > 1:
                found = ", ".join(f"{place} = {size}" for place, size in sizes.items())
                return f"shape: found {found}, expected equal sizes on the axes named {axis_name!r}"
        return None


def read_manifest(bundle: Path) -> Manifest:
    """The manifest of a bundle's directory. Raises Refused (LoadFailed)."""
    try:
        manifest = manifests.parse((bundle / _MANIFEST).read_bytes())
    except OSError as error:
        raise _failed(f"cannot read {_MANIFEST} in {bundle}: {error.strerror}") from error
    except Refused as error:
        raise _failed(error.message) from error
    if manifest.format is not Format.ONNX:
        raise _failed(f"the bundle's format is {manifest.format}, this server serves {Format.ONNX}")
    return manifest


def load(bundle: Path, manifest: Manifest, threads: int, tuning: Tuning = TUNING) -> Model:
    """Load the graph and prove that it has the declared inputs and outputs. Raises Refused (LoadFailed).

    `threads` work on one inference.
    """
    ort.disable_telemetry_events()
    options, providers = session.options(threads, tuning.session), session.providers(tuning.providers)
    path = bundle / manifest.model_file.path
    try:
        made = ort.InferenceSession(path, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise _failed(f"ONNX Runtime {ort.__version__} cannot load {manifest.model_file.path}: {_short(error)}") from error
    session.prove(made, providers)
    _check(manifest, made)
    return Model(made)


def _check(manifest: Manifest, made: ort.InferenceSession) -> None:
    inputs = {node.name: node for node in made.get_inputs()}
    outputs = {node.name: node for node in made.get_outputs()}
    declared = {tensor.name for tensor in manifest.inputs}
    if missing := [name for name in inputs if name not in declared]:
        raise _failed(f"the model needs the inputs {missing}, which the manifest does not declare")
    for tensor in manifest.inputs:
        _check_tensor("input", tensor, inputs)
        _check_input_shape(tensor, inputs[tensor.name].shape)
    for tensor in manifest.outputs:
        _check_tensor("output", tensor, outputs)
    kinds = {tensor.datatype for tensor in manifest.inputs}, {tensor.datatype for tensor in manifest.outputs}
    if Datatype.BYTES in kinds[0] and Datatype.BF16 in kinds[1]:
        raise _failed("the model has inputs of BYTES and outputs of BF16, which ONNX Runtime cannot run together from Python")


def _check_tensor(kind: str, tensor: Tensor, nodes: Mapping[str, Any]) -> None:
    """Name, datatype, rank and sizes where both sides know them. Other outputs than the declared ones are not served."""
    node = nodes.get(tensor.name)
    if node is None:
        raise _failed(f"the manifest declares the {kind} {tensor.name!r}, the model has {sorted(nodes)}")
    datatype = _TYPES.get(node.type)
    if datatype is not tensor.datatype:
        raise _failed(f"the manifest declares the {kind} {tensor.name!r} as {tensor.datatype}, in the model it is {datatype or node.type}")
    # An unknown rank looks like a scalar: [].
    if node.shape and (len(node.shape) != len(tensor.shape) or any(map(_differ, tensor.shape, node.shape))):
        raise _failed(f"the manifest declares the {kind} {tensor.name!r} with shape {list(tensor.shape)}, in the model it is {node.shape}")


def _check_input_shape(tensor: Tensor, shape: Sequence[int | str | None]) -> None:
    """A free axis of the manifest must be free in the model, or requests we accept would fail."""
    for axis, (declared, actual) in enumerate(zip(tensor.shape, shape, strict=False)):
        if declared < 0 and isinstance(actual, int):
            raise _failed(f"the manifest leaves axis {axis} of the input {tensor.name!r} free, in the model it is {actual}")


def _differ(declared: int, actual: int | str | None) -> bool:
    return declared >= 0 and isinstance(actual, int) and declared != actual


def _named_axes(nodes: Iterable[Any]) -> dict[str, list[tuple[str, int]]]:
    """{"batch": [("ids", 0), ("mask", 0)]}: names that several axes share."""
    axes: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for node in nodes:
        for axis, size in enumerate(node.shape):
            if isinstance(size, str):
                axes[size].append((node.name, axis))
    return {name: places for name, places in axes.items() if len(places) > 1}


def _short(error: Exception) -> str:
    """`[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : text` -> `INVALID_ARGUMENT : text`, one line."""
    text = " ".join(str(error).split())
    if text.startswith("[ONNXRuntimeError] : "):
        text = text.split(" : ", 2)[-1]
    return text if len(text) <= _MESSAGE_LIMIT else f"{text[:_MESSAGE_LIMIT]}..."


def _failed(message: str) -> Refused:
    return Refused(Reason.LOAD_FAILED, message)
