"""The model in ONNX Runtime, as the packing machine runs it: on the CPU, quietly."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from volary.bundle.manifest import Tensor
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.samples import Array


class RunFailed(Exception):
    """ONNX Runtime could not run the model on these inputs; `str()` of it is one line."""


class Session:
    """A loaded model."""

    def __init__(self, path: Path, outputs: Sequence[Tensor]) -> None:
        """Raises Refused (LoadFailed)."""
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime  # type: ignore[import-untyped] # takes 0.3 s, and only to run a model

        self._names = [tensor.name for tensor in outputs]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # One thread: how a sum is split among threads changes its last digits, and with them the bundle's digest.
        options.intra_op_num_threads = 1
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 -- ONNX Runtime's errors have no common base
            raise Refused(Reason.LOAD_FAILED, f"ONNX Runtime cannot load {path}: {first_line(error)}") from None

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Each output by its name. Raises RunFailed."""
        try:
            answers = self._session.run(self._names, dict(inputs))
        except Exception as error:  # noqa: BLE001 -- as above
            raise RunFailed(first_line(error)) from None
        return dict(zip(self._names, answers, strict=True))


def first_line(error: BaseException) -> str:
    """What a foreign error says, fit for a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
