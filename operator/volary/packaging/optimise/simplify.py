"""Fewer nodes for the same answers, by ONNX Runtime's own offline optimisation at its basic level.

Basic rewrites are free of hardware and yield standard ONNX: constants are folded, batch norms go into
convolutions, MatMul + Add becomes Gemm, dead and doubled nodes go. Compared with onnxslim 0.1 and onnxsim 0.8
on the networks of `tests/support/networks.py`: as few nodes or fewer (11 to 13 and 13 on a scikit-learn MLP, 49
each on ResNet-18), the smallest files, the fastest, and it is what serves the model anyway, while the other two
bring 90 and 40 MB of packages with them.
"""

from pathlib import Path
from typing import Any

from volary.packaging.optimise import files


def simplify(model: Any) -> Any:
    """The simplified model. Raises Refused (FormatUnsupported)."""
    return files.through(model, basic, step="--simplify")


def basic(given: Path, made: Path, *, beside: bool) -> None:
    """From file to file."""
    import onnxruntime  # type: ignore[import-untyped] # takes 0.3 s

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(made)
    if beside:
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", f"{made.name}.data")
    onnxruntime.InferenceSession(str(given), options, providers=["CPUExecutionProvider"])
