"""What Volary relies on in TensorFlow Serving 2.20, a fact a test. They run on the stand-in, or on what TFSERVING_BINARY names.

With the real program the models must be real too: `twin` is for the stand-in only.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.unit.tfserving import program
from volary.adapters import tfserving
from volary.adapters.exposition import parse
from volary.adapters.oip import Readiness
from volary.api.v1alpha1 import RuntimeName
from volary.runtimes import registry, tensorflow_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.tfserving.program import Program

ROWS = [[0.0, 1.0, 2.0]]
FAILS = [[7.0, 1.0, 2.0]]  # beyond the table of the model


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Versions 41 and 42 with the labels of a file, and 43 that nobody asked for."""
    folder = tmp_path_factory.mktemp("one")
    for version in (41, 42, 43):
        program.add(folder / "m", version, factor=float(version))
    file = program.configured(folder, 41, 42, stable=41, canary=42)
    allowed = "--allow_version_labels_for_unavailable_models=true"
    with program.serving(folder, file, program.monitored(folder), allowed, "--max_num_load_retries=0") as found:
        yield found


# ---- versions, labels, states


def test_the_specific_policy_loads_just_these_versions(one: Program) -> None:
    assert [one.state(version) for version in (41, 42, 43)] == ["AVAILABLE", "AVAILABLE", ""]


def test_a_request_without_a_version_goes_to_the_highest(one: Program) -> None:
    assert one.predict(ROWS) == (200, {"outputs": [[0.0, 42.0, 84.0]]})


def test_a_version_and_a_label_are_asked_by_path(one: Program) -> None:
    assert one.predict(ROWS, "/v1/models/m/versions/41") == (200, {"outputs": [[0.0, 41.0, 82.0]]})
    assert one.predict(ROWS, "/v1/models/m/labels/stable") == one.predict(ROWS, "/v1/models/m/versions/41")
    assert one.predict(ROWS, "/v1/models/m/labels/canary") == one.predict(ROWS, "/v1/models/m/versions/42")


def test_a_status_tells_every_version_newest_first(one: Program) -> None:
    status, body = one.get("/v1/models/m")
    told = [(each["version"], each["state"], each["status"]) for each in body["model_version_status"]]
    good = {"error_code": "OK", "error_message": ""}
    assert (status, told) == (200, [("42", "AVAILABLE", good), ("41", "AVAILABLE", good)])


def test_a_version_that_was_never_seen_is_404(one: Program) -> None:
    for path in ("/v1/models/m/versions/9", "/v1/models/other", "/v1/models/m/labels/none"):
        status, body = one.get(path)
        assert (status, list(body)) == (404, ["error"]), path


# ---- requests and errors


def test_rows_are_answered_as_predictions_and_columns_as_outputs(one: Program) -> None:
    assert one.ask("POST", "/v1/models/m:predict", {"instances": ROWS})[1] == {"predictions": [[0.0, 42.0, 84.0]]}
    assert one.ask("POST", "/v1/models/m:predict", {"instances": [{"x": ROWS[0]}]})[1] == {"predictions": [[0.0, 42.0, 84.0]]}
    assert one.ask("POST", "/v1/models/m:predict", {"inputs": {"x": ROWS}})[1] == {"outputs": [[0.0, 42.0, 84.0]]}
    named = {"signature_name": "serving_default", "inputs": ROWS}
    assert one.ask("POST", "/v1/models/m:predict", named)[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/models/m:predict", "{no json", 400),
        ("/v1/models/m:predict", {}, 400),
        ("/v1/models/m:predict", {"inputs": [["text"]]}, 400),
        ("/v1/models/m:predict", {"inputs": [[1.0]]}, 400),
        ("/v1/models/m:predict", {"inputs": ROWS, "signature_name": "other"}, 400),
        ("/v1/models/other:predict", {"inputs": ROWS}, 404),
        ("/v1/models/m/versions/43:predict", {"inputs": ROWS}, 404),
        ("/v1/models/m/labels/none:predict", {"inputs": ROWS}, 404),
        ("/v1/models/m:unknown", {"inputs": ROWS}, 400),
        ("/v2/models/m/infer", {"inputs": []}, 404),
    ],
)
def test_an_error_is_an_object_with_its_text_under_its_code(one: Program, path: str, body: object, status: int) -> None:
    found, said = one.ask("POST", path, body)
    assert (found, list(said)) == (status, ["error"]), said


def test_the_metadata_tell_types_and_sizes_of_the_signature(one: Program) -> None:
    status, body = one.get("/v1/models/m/versions/41/metadata")
    signature = body["metadata"]["signature_def"]["signature_def"]["serving_default"]
    told = signature["inputs"]["x"]
    assert (status, body["model_spec"]["version"], told["dtype"]) == (200, "41", "DT_FLOAT")
    assert [each["size"] for each in told["tensor_shape"]["dim"]] == ["-1", "3"]


# ---- metrics


def test_requests_are_counted_by_status_and_not_by_version(one: Program) -> None:
    metrics = registry.find(RuntimeName.TENSORFLOW_SERVING).metrics

    def counted() -> tuple[int, int]:
        count = parse(one.get(metrics.path)[1], uid="u", revision="r", metrics=metrics)
        assert count is not None
        return count.requests, count.errors

    before = counted()
    statuses = [one.predict(rows)[0] for rows in (ROWS, FAILS, [[1.0]])]
    after = counted()
    assert statuses == [200, 500, 400]
    assert (after[0] - before[0], after[1] - before[1]) == (3, 1)
    series = [line for line in one.get(metrics.path)[1].splitlines() if line.startswith(":tensorflow:serving:request_count{")]
    assert series
    assert all(re.fullmatch(r':tensorflow:serving:request_count\{model_name="[^"]+",status="[A-Z_]+"\} \d+', line) for line in series)


def test_latency_is_in_microseconds_over_33_bounds_and_of_good_answers_only(one: Program) -> None:
    def count() -> int:
        line = next(
            line
            for line in one.get(tensorflow_files.METRICS_PATH)[1].splitlines()
            if line.startswith(":tensorflow:serving:request_latency_count")
        )
        return int(float(line.split()[-1]))

    one.predict(ROWS)
    before = count()
    one.predict(FAILS)
    one.predict(ROWS)
    page = one.get(tensorflow_files.METRICS_PATH)[1]
    assert count() == before + 1
    assert len(re.findall(r":tensorflow:serving:request_latency_bucket\{[^}]*le=\"[0-9.e+]+\"", page)) == 33
    assert 'le="10"' in page
    assert 'le="18"' in page


def test_without_a_monitoring_file_there_are_no_metrics(tmp_path: Path) -> None:
    program.add(tmp_path / "m", 1)
    with program.serving(tmp_path, "--model_name=m", f"--model_base_path={tmp_path / 'm'}") as server:
        assert server.get(tensorflow_files.METRICS_PATH)[0] == 404


# ---- start and failure


def test_ports_open_only_after_a_version_is_there_and_loaded(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with program.started(tmp_path, "--model_name=m", f"--model_base_path={tmp_path / 'm'}") as server:
        program.add(tmp_path / "m", "not-a-number")
        assert not server.listens
        program.add(tmp_path / "m", 3)
        server.until(lambda: server.listens)
        assert server.state(3) == "AVAILABLE"


def test_a_load_that_fails_ends_the_program_when_no_retry_is_left(tmp_path: Path) -> None:
    program.broken(tmp_path / "m", 1)
    with program.started(tmp_path, program.configured(tmp_path, 1), "--max_num_load_retries=0") as server:
        assert server.process.wait(program.SECONDS) == 255
        assert "Could not find SavedModel" in server.log.read_text("utf-8")


def test_a_load_is_tried_again_as_often_as_the_flag_says(tmp_path: Path) -> None:
    program.broken(tmp_path / "m", 1)
    retries = ("--max_num_load_retries=100", "--load_retry_interval_micros=10000")
    with program.started(tmp_path, program.configured(tmp_path, 1), *retries) as server:
        assert server.process.poll() is None
        (tmp_path / "m" / "1").rmdir()
        program.add(tmp_path / "m", 1)
        server.until(lambda: server.listens)


@pytest.mark.parametrize(
    "flags", [("--no_such_flag=1", "--model_base_path=/x"), ("--batching_parameters_file=/x", "--model_base_path=/x"), ("--model_name=m",)]
)
def test_flags_that_are_wrong_end_the_program(flags: tuple[str, ...]) -> None:
    found = subprocess.run([sys.executable, "-m", "tests.tfserving", *flags], capture_output=True, check=False, timeout=program.SECONDS)
    assert found.returncode != 0
    assert found.stderr


def test_labels_of_versions_that_are_not_loaded_need_a_flag_at_the_start(tmp_path: Path) -> None:
    program.add(tmp_path / "m", 1)
    with program.started(tmp_path, program.configured(tmp_path, 1, stable=1)) as server:
        assert server.process.wait(program.SECONDS) == 255


def test_sigterm_ends_it_at_once_without_a_word(tmp_path: Path) -> None:
    program.add(tmp_path / "m", 1)
    with program.serving(tmp_path, program.configured(tmp_path, 1)) as server:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(program.SECONDS) == -signal.SIGTERM


# ---- while it runs


def test_a_label_moves_only_to_a_version_that_is_loaded_so_it_takes_two_files(tmp_path: Path) -> None:
    program.add(tmp_path / "m", 1)
    program.add(tmp_path / "m", 2, factor=5.0)
    flags = (program.configured(tmp_path, 1), "--model_config_file_poll_wait_seconds=1")
    with program.serving(tmp_path, *flags) as server:
        program.configured(tmp_path, 1, 2, live=2)
        server.until(lambda: "not currently available" in server.log.read_text("utf-8"))
        assert server.state(2) == "", "a refused file loads nothing"
        program.configured(tmp_path, 1, 2)
        server.until(lambda: server.state(2) == "AVAILABLE")
        program.configured(tmp_path, 2, live=2)
        server.until(lambda: server.get("/v1/models/m/labels/live")[0] == 200)
        server.until(lambda: server.state(1) == "END")
        assert server.get("/v1/models/m/versions/1")[0] == 200, "a state that is known is told under 200, whatever it is"
        assert server.predict(ROWS, "/v1/models/m/versions/1")[0] == 404
        assert tfserving.Http(f"http://127.0.0.1:{server.port}").readiness("m", "1") is Readiness.NOT_READY


def test_a_new_version_that_fails_leaves_the_old_one_serving_and_tells_its_error(tmp_path: Path) -> None:
    program.add(tmp_path / "m", 1)
    base = (f"--model_base_path={tmp_path / 'm'}", "--model_name=m", "--max_num_load_retries=0")
    with program.serving(tmp_path, *base) as server:
        program.broken(tmp_path / "m", 2)
        server.until(lambda: server.state(2) == "END")
        told = server.get("/v1/models/m/versions/2")[1]["model_version_status"][0]["status"]
        assert told["error_code"] != "OK"
        assert (server.state(1), server.predict(ROWS)[0]) == ("AVAILABLE", 200)


def test_by_default_the_highest_number_is_served_and_the_one_before_is_unloaded_after_it(tmp_path: Path) -> None:
    program.add(tmp_path / "m", 1)
    with program.serving(tmp_path, "--model_name=m", f"--model_base_path={tmp_path / 'm'}") as server:
        program.add(tmp_path / "m", 2, factor=3.0)
        server.until(lambda: server.state(1) == "END")
        assert server.predict(ROWS) == (200, {"outputs": [[0.0, 3.0, 6.0]]})
