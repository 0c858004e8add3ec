"""Tools that work from file to file, for models that we hold in memory."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging.optimise import graph

_WARNING, _FATAL = 2, 4  # severities of ONNX Runtime


class Tool(Protocol):
    """From file to file; with `beside` the weights of both lie next to them."""

    def __call__(self, given: Path, made: Path, *, beside: bool) -> None: ...  # noqa: D102 -- the class says it


def through(model: Any, tool: Tool, *, step: str) -> Any:
    """The model as `tool` writes it. Raises Refused (FormatUnsupported) with the tool's own words where it fails."""
    beside = graph.is_large(model)
    with TemporaryDirectory(prefix="volary-optimise-") as name, _quiet():
        given, made = Path(name) / "given.onnx", Path(name) / "made.onnx"
        graph.save(model, given, beside=beside)
        try:
            tool(given, made, beside=beside)
        except Refused:
            raise
        except Exception as error:  # noqa: BLE001 -- ONNX Runtime's tools raise whatever befalls them
            raise Refused(Reason.FORMAT_UNSUPPORTED, f"{step} cannot be done with this model: {first_line(error)}") from None
        return graph.load(made)


@contextmanager
def _quiet() -> Iterator[None]:
    """The tools log advice to the root logger that is for their own authors' command lines; their sessions warn on stderr."""
    import onnxruntime  # type: ignore[import-untyped] # takes 0.3 s

    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        yield
    finally:
        logging.disable(before)
        onnxruntime.set_default_logger_severity(_WARNING)  # its default; what it was cannot be asked
