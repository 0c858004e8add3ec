"""How ONNX Runtime is told to run a model: threads, providers, and the few options a person may set."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import onnxruntime as ort  # type: ignore[import-untyped]

from volary.common.errors import Refused
from volary.common.reasons import Reason

CPU = "CPUExecutionProvider"

_SILENT = 4  # only fatal errors are logged; the others reach us as exceptions
_MOST_THREADS = 256

_PROVIDERS: Mapping[str, str] = MappingProxyType(
    {
        "cpu": CPU,
        "cuda": "CUDAExecutionProvider",
        "openvino": "OpenVINOExecutionProvider",
        "tensorrt": "TensorrtExecutionProvider",
    }
)
_LEVELS = MappingProxyType(
    {
        "disable": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
        "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
        "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    }
)
_MODES = MappingProxyType({"sequential": ort.ExecutionMode.ORT_SEQUENTIAL, "parallel": ort.ExecutionMode.ORT_PARALLEL})
_SWITCH = MappingProxyType({"on": True, "off": False})

Setter = Callable[[ort.SessionOptions, str, str], None]


def options(threads: int, wanted: Mapping[str, str]) -> ort.SessionOptions:
    """Options for a session. `threads` work on one inference; they sleep while they have nothing to do, else they would use up a CPU limit.

    Raises Refused (LoadFailed) for an option or a value that is not known.
    """
    made = ort.SessionOptions()
    made.intra_op_num_threads = threads
    made.inter_op_num_threads = 1
    made.log_severity_level = _SILENT
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, value in wanted.items():
        setter = _SETTERS.get(name)
        if setter is None:
            raise _failed(f"the session option {name!r} is not known; known are {', '.join(sorted(_SETTERS))}")
        setter(made, name, value)
    return made


def providers(wanted: Sequence[str]) -> list[str]:
    """ONNX Runtime's names of these, the CPU's last. Raises Refused (LoadFailed) for one that is not known or not there."""
    there = ort.get_available_providers()
    names = []
    for short in wanted:
        name = _PROVIDERS.get(short)
        if name is None:
            raise _failed(f"the provider {short!r} is not known; known are {', '.join(_PROVIDERS)}")
        if name not in there:
            raise _failed(f"the provider {short!r} is not there: {_installed()}; use an image whose ONNX Runtime has {name}")
        names.append(name)
    return [*(name for name in names if name != CPU), CPU]


def prove(session: ort.InferenceSession, wanted: Sequence[str]) -> None:
    """ONNX Runtime falls back to the CPU without a word where a device or a library is missing. Raises Refused (LoadFailed)."""
    used = session.get_providers()
    if missing := [name for name in wanted if name not in used]:
        raise _failed(f"{', '.join(missing)} cannot be used here, such as for want of a device or a driver; in use are {', '.join(used)}")


def _installed() -> str:
    return f"the installed ONNX Runtime {ort.__version__} has {', '.join(ort.get_available_providers())}"


def _number(attribute: str) -> Setter:
    def put(made: ort.SessionOptions, name: str, value: str) -> None:
        if not value.isascii() or not value.isdecimal() or not 1 <= int(value) <= _MOST_THREADS:
            raise _failed(f"the session option {name}: found {value!r}, expected a whole number from 1 to {_MOST_THREADS}")
        setattr(made, attribute, int(value))

    return put


def _choice(attribute: str, choices: Mapping[str, Any]) -> Setter:
    def put(made: ort.SessionOptions, name: str, value: str) -> None:
        setattr(made, attribute, _one_of(name, value, choices))

    return put


def _entry(key: str) -> Setter:
    def put(made: ort.SessionOptions, name: str, value: str) -> None:
        made.add_session_config_entry(key, str(int(_one_of(name, value, _SWITCH))))

    return put


def _one_of(name: str, value: str, choices: Mapping[str, Any]) -> Any:
    if value not in choices:
        raise _failed(f"the session option {name}: found {value!r}, expected one of {', '.join(choices)}")
    return choices[value]


_SETTERS: Mapping[str, Setter] = MappingProxyType(
    {
        "intra-op-threads": _number("intra_op_num_threads"),
        "inter-op-threads": _number("inter_op_num_threads"),
        "graph-optimisation": _choice("graph_optimization_level", _LEVELS),
        "execution-mode": _choice("execution_mode", _MODES),
        "memory-arena": _choice("enable_cpu_mem_arena", _SWITCH),
        "memory-pattern": _choice("enable_mem_pattern", _SWITCH),
        "spinning": _entry("session.intra_op.allow_spinning"),
        "denormals-as-zero": _entry("session.set_denormal_as_zero"),
    }
)


def _failed(message: str) -> Refused:
    return Refused(Reason.LOAD_FAILED, message)
