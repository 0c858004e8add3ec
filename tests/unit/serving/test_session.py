"""Threads, providers and options of ONNX Runtime's sessions."""

from pathlib import Path

import onnxruntime as ort  # type: ignore[import-untyped]
import pytest

from tests.unit.serving import bundles
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.serving import model, session
from volary.serving.tuning import Tuning


@pytest.mark.parametrize(
    ("name", "value", "attribute", "set_"),
    [
        ("intra-op-threads", "3", "intra_op_num_threads", 3),
        ("inter-op-threads", "2", "inter_op_num_threads", 2),
        ("graph-optimisation", "basic", "graph_optimization_level", ort.GraphOptimizationLevel.ORT_ENABLE_BASIC),
        ("execution-mode", "parallel", "execution_mode", ort.ExecutionMode.ORT_PARALLEL),
        ("memory-arena", "off", "enable_cpu_mem_arena", False),
        ("memory-pattern", "off", "enable_mem_pattern", False),
    ],
)
def test_options_are_set(name: str, value: str, attribute: str, set_: object) -> None:
    assert getattr(session.options(1, {name: value}), attribute) == set_


def test_entries_are_set_and_threads_do_not_spin_unless_asked() -> None:
    key = "session.intra_op.allow_spinning"
    assert session.options(1, {}).get_session_config_entry(key) == "0"
    assert session.options(1, {"spinning": "on"}).get_session_config_entry(key) == "1"
    assert session.options(1, {"denormals-as-zero": "on"}).get_session_config_entry("session.set_denormal_as_zero") == "1"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("log-level", "0", "the session option 'log-level' is not known; known are denormals-as-zero, "),
        ("intra-op-threads", "0", "intra-op-threads: found '0', expected a whole number from 1 to 256"),
        ("intra-op-threads", "many", "expected a whole number"),
        ("graph-optimisation", "99", "found '99', expected one of disable, basic, extended, all"),
        ("spinning", "yes", "expected one of on, off"),
    ],
)
def test_other_options_are_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        session.options(1, {name: value})
    assert caught.value.reason is Reason.LOAD_FAILED
    assert message in caught.value.message


def test_the_cpu_is_always_there_and_last() -> None:
    assert session.providers(()) == session.providers(("cpu",)) == ["CPUExecutionProvider"]


@pytest.mark.parametrize("name", ["cuda", "tensorrt", "openvino"])
def test_a_provider_that_is_not_installed_is_refused_with_what_there_is(tmp_path: Path, name: str) -> None:
    bundle = bundles.doubling(tmp_path)
    with pytest.raises(Refused) as caught:
        model.load(bundle, model.read_manifest(bundle), 1, Tuning(providers=(name,)))
    assert caught.value.message.startswith(f"the provider '{name}' is not there: the installed ONNX Runtime {ort.__version__} has ")
    assert "CPUExecutionProvider" in caught.value.message


def test_a_provider_nobody_knows_is_refused() -> None:
    with pytest.raises(Refused, match="the provider 'abacus' is not known; known are cpu, cuda, openvino, tensorrt"):
        session.providers(("abacus",))


def test_a_fall_back_to_the_cpu_is_not_silent(tmp_path: Path) -> None:
    bundle = bundles.doubling(tmp_path)
    made = ort.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    with pytest.raises(Refused, match="CUDAExecutionProvider cannot be used here"):
        session.prove(made, ["CUDAExecutionProvider", "CPUExecutionProvider"])
