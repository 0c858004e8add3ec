"""Each runtime of the API is described, and the same way the bundle room sees it."""

import pytest

from volary.api.v1alpha1 import RuntimeName
from volary.bundle import formats
from volary.runtimes import registry
from volary.runtimes.runtime import Served

SERVED = Served(model_name="fraud", version="1.4.0", revision="1a2b3c4d5e")


@pytest.mark.parametrize("name", RuntimeName)
def test_every_runtime_of_the_api_is_known_by_its_name(name: RuntimeName) -> None:
    assert registry.find(name).name is name


@pytest.mark.parametrize("name", RuntimeName)
def test_a_runtime_serves_the_format_that_the_preflight_accepts_for_it(name: RuntimeName) -> None:
    assert formats.RUNTIMES[name.value] is registry.find(name).format


@pytest.mark.parametrize("name", RuntimeName)
def test_every_server_listens_where_the_service_and_the_agent_expect_it(name: RuntimeName) -> None:
    container = registry.find(name).server(SERVED)
    port = {RuntimeName.ONNXRUNTIME: 8080, RuntimeName.TENSORFLOW_SERVING: 8501}[name]
    assert container["ports"] == [{"name": "http", "containerPort": port, "protocol": "TCP"}]
    assert any(str(port) in arg for arg in container["args"])
    assert registry.find(name).server_url == f"http://127.0.0.1:{port}"


def test_a_server_that_holds_several_versions_is_told_which_by_the_agent_alone() -> None:
    container = registry.find(RuntimeName.ONNXRUNTIME).shared_server("fraud")
    assert container["args"] == ["serve", "--split", "--model", "fraud", "--control", "127.0.0.1:8082", "--listen", "0.0.0.0:8080"]
    assert [port["containerPort"] for port in container["ports"]] == [8080]
    assert container.keys() == registry.find(RuntimeName.ONNXRUNTIME).server(SERVED).keys()
    with pytest.raises(LookupError, match="one version"):
        registry.find(RuntimeName.TENSORFLOW_SERVING).shared_server("fraud")


@pytest.mark.parametrize("name", RuntimeName)
def test_a_slow_load_is_not_taken_for_a_hang(name: RuntimeName) -> None:
    container = registry.find(name).server(SERVED)
    startup, liveness = container["startupProbe"], container["livenessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 3600
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 60


@pytest.mark.parametrize(
    ("name", "directory"), [(RuntimeName.ONNXRUNTIME, "/models/fraud/1.4.0"), (RuntimeName.TENSORFLOW_SERVING, "/models/fraud/1")]
)
def test_the_bundle_is_where_the_server_looks_for_it(name: RuntimeName, directory: str) -> None:
    assert registry.find(name).directory(SERVED) == directory


def test_tensorflow_serving_gets_the_parent_of_its_version_folder() -> None:
    args = registry.find(RuntimeName.TENSORFLOW_SERVING).server(SERVED)["args"]
    assert "--model_base_path=/models/fraud" in args
    assert "--model_name=fraud" in args
    assert "--max_num_load_retries=0" in args


@pytest.mark.parametrize(
    ("name", "value", "counts"),
    [
        (RuntimeName.ONNXRUNTIME, "200", False),
        (RuntimeName.ONNXRUNTIME, "400", False),
        (RuntimeName.ONNXRUNTIME, "429", False),
        (RuntimeName.ONNXRUNTIME, "500", True),
        (RuntimeName.ONNXRUNTIME, "503", True),
        (RuntimeName.ONNXRUNTIME, "5000", False),
        (RuntimeName.TENSORFLOW_SERVING, "OK", False),
        (RuntimeName.TENSORFLOW_SERVING, "INVALID_ARGUMENT", False),
        (RuntimeName.TENSORFLOW_SERVING, "NOT_FOUND", False),
        (RuntimeName.TENSORFLOW_SERVING, "INTERNAL", True),
        (RuntimeName.TENSORFLOW_SERVING, "UNAVAILABLE", True),
    ],
)
def test_only_the_servers_faults_count_against_a_canary(name: RuntimeName, value: str, counts: bool) -> None:
    assert registry.find(name).metrics.failed(value) is counts
