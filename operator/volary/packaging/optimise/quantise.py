"""8-bit integers for the weights, by ONNX Runtime's own quantisation.

A float w becomes the integer q with w = scale * q. Weights are signed and symmetric, so that 0 stays 0 (pruning
survives), with a scale for each output channel. Activations are unsigned: dynamic finds their range in every
call; static writes the ranges met on the samples into the model, as QuantizeLinear/DequantizeLinear pairs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onnx import TensorProto

from volary.packaging.optimise import files, graph
from volary.packaging.optimise.options import Quantise, invalid
from volary.packaging.samples import Inputs

_INTEGERS = (TensorProto.INT8, TensorProto.UINT8)


def quantise(model: Any, how: Quantise, samples: Sequence[Inputs], *, reduce_range: bool) -> Any:
    """The quantised model. Raises Refused (OptionInvalid, FormatUnsupported).

    `samples` calibrate static quantisation. Both begin with what ONNX Runtime calls pre-processing: its basic
    optimisation, so that ranges are of fused operators, and the shapes inferred.
    """
    before, convolves = _integers(model), any(node.op_type == "Conv" for node in model.graph.node)

    def tool(given: Path, made: Path, *, beside: bool) -> None:
        prepared = given.with_name("prepared.onnx")
        _prepare(given, prepared, beside=beside)
        match how:
            case Quantise.DYNAMIC:
                _dynamic(prepared, made, beside=beside, reduce_range=reduce_range)
            case Quantise.STATIC:
                _static(prepared, made, samples, beside=beside, reduce_range=reduce_range)

    quantised = files.through(model, tool, step=f"--quantise {how}")
    if _integers(quantised) == before:
        hint = "; convolutions need --quantise static" if how is Quantise.DYNAMIC and convolves else ""
        invalid(f"--quantise {how} finds nothing to quantise in this model{hint}")
    return quantised


def _prepare(given: Path, made: Path, *, beside: bool) -> None:
    from onnxruntime.quantization import quant_pre_process  # type: ignore[import-untyped] # takes 0.5 s

    # Symbolic shapes need sympy (80 MB) and help where a shape is computed in the graph; none of the shapes we quantise is.
    fused = given.with_name("fused.onnx")
    quant_pre_process(given, fused, skip_symbolic_shape=True, save_as_external_data=beside, external_data_location=f"{fused.name}.data")
    model = graph.load(fused)
    _flat_biases(model.graph)
    graph.save(model, made, beside=beside)


def _flat_biases(found: Any) -> None:
    """Gemm adds a bias of (1, n), as scikit-learn writes it, like one of (n). ONNX Runtime's tool looks for n in the first dimension."""
    others = {name for node in found.node for index, name in enumerate(node.input) if (node.op_type, index) != ("Gemm", 2)}
    biases = {node.input[2] for node in found.node if node.op_type == "Gemm" and len(node.input) == 3} - others
    for tensor in found.initializer:
        if tensor.name in biases and len(tensor.dims) == 2 and tensor.dims[0] == 1:
            del tensor.dims[0]


def _dynamic(given: Path, made: Path, *, beside: bool, reduce_range: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.registry import IntegerOpsRegistry  # type: ignore[import-untyped] # part of the same package

    # ONNX Runtime has no fast kernel for ConvInteger, and none at all for signed weights.
    operators = sorted({*IntegerOpsRegistry, "Gemm"} - {"Conv"})
    quantize_dynamic(
        given,
        made,
        op_types_to_quantize=operators,
        per_channel=True,
        reduce_range=reduce_range,
        weight_type=QuantType.QInt8,
        use_external_data_format=beside,
    )


def _static(given: Path, made: Path, samples: Sequence[Inputs], *, beside: bool, reduce_range: bool) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc] # untyped
        """The samples, one after the other."""

        def __init__(self) -> None:
            self._left = iter(samples)

        def get_next(self) -> Inputs | None:
            return next(self._left, None)

    quantize_static(
        given,
        made,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        use_external_data_format=beside,
    )


def _integers(model: Any) -> int:
    return sum(tensor.data_type in _INTEGERS and len(tensor.dims) > 0 for tensor in graph.tensors(model.graph))
