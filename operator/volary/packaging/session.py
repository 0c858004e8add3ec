"""The model, loaded on the packing machine to answer samples and a user's function."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from volary.bundle.manifest import Tensor
from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging.samples import Array


class RunFailed(Exception):
    """The model could not answer these inputs; `str()` of it is one line."""


class Runner(Protocol):
    """What a runtime makes of a model, called as ONNX Runtime's sessions are."""

    def run(self, names: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        """The outputs of these names, for arrays by name."""


class Session:
    """A loaded model with the outputs that the bundle names."""

    def __init__(self, runner: Runner, outputs: Sequence[Tensor]) -> None:
        self._runner = runner
        self._names = [tensor.name for tensor in outputs]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Each output by its name. Raises RunFailed."""
        try:
            answers = self._runner.run(self._names, dict(inputs))
        except Exception as error:  # noqa: BLE001 -- runtimes' errors have no common base
            raise RunFailed(first_line(error)) from None
        return dict(zip(self._names, answers, strict=True))


def load(path: Path, threads: int = 1) -> Runner:
    """An ONNX model in ONNX Runtime, on the CPU, quietly. Raises Refused (LoadFailed).

    One thread where answers are recorded: how a sum is split among threads changes its last digits,
    and with them the bundle's digest.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # type: ignore[import-untyped] # takes 0.3 s, and only to run a model

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    # Idle threads of one model would spin on the cores that another one is timed on.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        runner: Runner = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no common base
        raise Refused(Reason.LOAD_FAILED, f"ONNX Runtime cannot load {path.name}: {first_line(error)}") from None
    return runner
