"""Several versions in one process, as the agent and clients see it: a real process, its two ports."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving import bundles
from tests.unit.serving.process import Server, running_split, until
from volary.bundle import limits

_INFER = "/v2/models/fraud/infer"
_X = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
Share = tuple[Path, str, int]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for many tests: what an earlier one left is unloaded once the next has put shares into effect."""
    with running_split(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    with running_split(tmp_path, "--drain-delay", "0") as found:
        yield found


def put(server: Server, *shares: Share) -> list[dict[str, Any]]:
    """(bundle, version, weight); the revision is called by its version."""
    status, said = server.control("PUT", {"revisions": [_entry(*share) for share in shares]})
    assert status == 200, said
    found: list[dict[str, Any]] = said["revisions"]
    return found


def _entry(bundle: Path, version: str, weight: int) -> dict[str, object]:
    return {"revision": f"r{version.replace('.', '-')}", "version": version, "directory": str(bundle), "weight": weight}


def state(server: Server, version: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in server.control("GET")[1]["revisions"] if each["version"] == version)
    return found


def shown(server: Server) -> dict[str, tuple[str, int]]:
    return {each["version"]: (each["state"], each["weight"]) for each in server.control("GET")[1]["revisions"]}


def serve(server: Server, *shares: Share) -> None:
    """Until it is so."""
    put(server, *shares)
    until(lambda: shown(server) == {version: ("ready", weight) for _, version, weight in shares})


def answers(server: Server, count: int) -> Counter[tuple[str, float]]:
    """(version, factor) of each of the next answers; the factor proves which model it was."""
    found: Counter[tuple[str, float]] = Counter()
    for _ in range(count):
        status, said = server.request("POST", _INFER, _X)
        assert status == 200, said
        found[said["model_version"], said["outputs"][0]["data"][0]] += 1
    return found


def test_before_anything_is_asked_for_it_lives_and_is_not_ready(fresh: Server) -> None:
    assert fresh.request("GET", "/v2/health/live") == (200, {"live": True})
    assert fresh.request("GET", "/v2/health/ready")[0] == 503
    assert fresh.request("POST", _INFER, _X) == (503, {"error": 'no version of the model "fraud" is loaded yet'})
    assert fresh.request("GET", "/v2/models/fraud")[0] == 503
    assert fresh.request("POST", "/v2/repository/index") == (200, [])
    assert fresh.control("GET") == (200, {"revisions": []})


def test_a_version_is_loaded_beside_proved_by_its_path_shared_out_and_unloaded(fresh: Server, tmp_path: Path) -> None:
    one, two = bundles.scaling(tmp_path / "1", 2, "1"), bundles.scaling(tmp_path / "2", 3, "2")
    serve(fresh, (one, "1", 100))
    assert fresh.request("GET", "/v2/health/ready")[0] == 200
    assert answers(fresh, 3) == {("1", 2): 3}
    serve(fresh, (one, "1", 100), (two, "2", 0))
    assert answers(fresh, 10) == {("1", 2): 10}
    status, said = fresh.request("POST", "/v2/models/fraud/versions/2/infer", _X)
    assert (status, said["model_version"], said["outputs"][0]["data"]) == (200, "2", [3, 6, 9, 12])
    assert fresh.request("GET", "/v2/models/fraud")[1]["versions"] == ["1", "2"]
    assert {each["version"] for each in fresh.request("POST", "/v2/repository/index")[1]} == {"1", "2"}
    serve(fresh, (one, "1", 90), (two, "2", 10))
    assert answers(fresh, 100) == {("1", 2): 90, ("2", 3): 10}
    serve(fresh, (two, "2", 100))
    assert answers(fresh, 10) == {("2", 3): 10}
    assert fresh.request("POST", "/v2/models/fraud/versions/1/infer", _X)[0] == 404
    until(lambda: 'volary_model_loaded{model="fraud",revision="r1",version="1"} 0.0' in fresh.request("GET", "/metrics")[1])
    series = fresh.request("GET", "/metrics")[1]
    assert 'volary_requests_total{code="200",model="fraud",revision="r1",version="1"} 103.0' in series
    assert 'volary_requests_total{code="200",model="fraud",revision="r2",version="2"} 21.0' in series


def test_a_header_pins_a_revision_or_a_version(server: Server, tmp_path: Path) -> None:
    one, two = bundles.scaling(tmp_path / "1", 2, "1"), bundles.scaling(tmp_path / "2", 3, "2")
    serve(server, (one, "1", 100), (two, "2", 0))
    for pin in ("r2", "2"):
        status, said = server.request("POST", _INFER, _X, {"x-volary-revision": pin})
        assert (status, said["model_version"]) == (200, "2")
    assert server.request("POST", _INFER, _X, {"X-Volary-Revision": "r1"})[1]["model_version"] == "1"
    status, said = server.request("POST", _INFER, _X, {"x-volary-revision": "other"})
    assert (status, said["error"]) == (404, 'x-volary-revision: found "other"; this server has loaded "1" as "r1", "2" as "r2"')


def test_what_serves_goes_on_until_what_follows_is_loaded(server: Server, tmp_path: Path) -> None:
    one, broken = bundles.scaling(tmp_path / "1", 2, "1"), bundles.scaling(tmp_path / "2", 3, "2-broken")
    (broken / "model.onnx").write_bytes(b"\0")
    serve(server, (one, "1", 100))
    put(server, (broken, "2-broken", 100))  # nobody asked for 1 any more
    until(lambda: shown(server) == {"2-broken": ("failed", 0), "1": ("ready", 100)})
    assert state(server, "2-broken")["reason"] == "LoadFailed"
    assert "model.onnx" in state(server, "2-broken")["message"]
    assert answers(server, 5) == {("1", 2): 5}
    assert server.request("GET", "/v2/health/ready")[0] == 200


def test_weights_of_0_everywhere_change_no_share(fresh: Server, tmp_path: Path) -> None:
    one, two = bundles.scaling(tmp_path / "1", 2, "1"), bundles.scaling(tmp_path / "2", 3, "2")
    put(fresh, (one, "1", 0))
    until(lambda: shown(fresh) == {"1": ("ready", 0)})
    assert fresh.request("GET", "/v2/health/ready")[0] == 503  # not yet proved
    assert fresh.request("POST", "/v2/models/fraud/versions/1/infer", _X)[0] == 200
    serve(fresh, (one, "1", 100))
    put(fresh, (one, "1", 0), (two, "2", 0))
    until(lambda: shown(fresh) == {"1": ("ready", 100), "2": ("ready", 0)})


def test_a_bundle_of_another_version_and_one_that_is_not_there_fail(server: Server, tmp_path: Path) -> None:
    put(server, (bundles.scaling(tmp_path / "1", 2, "1"), "7", 0), (tmp_path / "none", "8", 0))
    until(lambda: [shown(server)[version][0] for version in ("7", "8")] == ["failed", "failed"])
    assert "is version 1, not 7" in state(server, "7")["message"]


def test_a_failed_one_is_tried_again_once_it_was_taken_off_the_list(fresh: Server, tmp_path: Path) -> None:
    one = bundles.scaling(tmp_path / "1", 2, "1")
    whole = (one / "model.onnx").read_bytes()
    (one / "model.onnx").write_bytes(b"\0")
    put(fresh, (one, "1", 0))
    until(lambda: shown(fresh) == {"1": ("failed", 0)})
    (one / "model.onnx").write_bytes(whole)
    assert put(fresh, (one, "1", 0))[0]["state"] == "failed"
    put(fresh)
    serve(fresh, (one, "1", 100))


def test_put_twice_is_put_once_and_the_turn_goes_on(server: Server, tmp_path: Path) -> None:
    one, two = bundles.scaling(tmp_path / "1", 2, "1"), bundles.scaling(tmp_path / "2", 3, "2")
    serve(server, (one, "1", 90), (two, "2", 10))
    found: Counter[tuple[str, float]] = Counter()
    for _ in range(20):
        found += answers(server, 5)
        put(server, (one, "1", 90), (two, "2", 10))
    assert found == {("1", 2): 90, ("2", 3): 10}


def test_requests_under_way_are_answered_by_the_version_they_began_with(server: Server, tmp_path: Path) -> None:
    slow, two = bundles.squaring(tmp_path / "1"), bundles.scaling(tmp_path / "2", 3, "2")
    serve(server, (slow, "1.4.0", 100))
    body = {"inputs": [{"name": "size", "shape": [1], "datatype": "INT64", "data": [2500]}]}
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(server.request, "POST", _INFER, body)
        until(lambda: "volary_in_flight_requests 1.0" in server.request("GET", "/metrics")[1])
        serve(server, (two, "2", 100))
        assert not answer.done()
        assert answers(server, 1) == {("2", 3): 1}
        assert (answer.result()[0], answer.result()[1]["model_version"]) == (200, "1.4.0")


def test_two_revisions_of_one_version_have_series_of_their_own(server: Server, tmp_path: Path) -> None:
    one = bundles.scaling(tmp_path / "1", 2, "1")
    twins = [{"revision": name, "version": "1", "directory": str(one), "weight": 50} for name in ("a", "b")]
    assert server.control("PUT", {"revisions": twins})[0] == 200
    until(lambda: [each["weight"] for each in server.control("GET")[1]["revisions"]] == [50, 50])
    answers(server, 4)
    for name in ("a", "b"):
        assert (
            f'volary_requests_total{{code="200",model="fraud",revision="{name}",version="1"}} 2.0' in server.request("GET", "/metrics")[1]
        )


def test_series_of_the_long_gone_are_dropped_and_the_rest_go_on(fresh: Server, tmp_path: Path) -> None:
    made = [bundles.scaling(tmp_path / str(number), number, str(number)) for number in range(7)]
    for number, bundle in enumerate(made):
        serve(fresh, (bundle, str(number), 100))
        answers(fresh, 2)
    until(lambda: 'revision="r0"' not in fresh.request("GET", "/metrics")[1])
    serve(fresh, (made[5], "5", 100))
    answers(fresh, 1)
    series = fresh.request("GET", "/metrics")[1]
    assert 'volary_requests_total{code="200",model="fraud",revision="r5",version="5"} 3.0' in series
    assert 'volary_requests_total{code="200",model="fraud",revision="r4",version="4"} 2.0' in series


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        ({"revisions": [], "more": 1}, "more"),
        ({"revisions": [{"revision": "a", "version": "1", "directory": "/x"}]}, "weight"),
        ({"revisions": [{"revision": "a", "version": "1", "directory": "x", "weight": 100}]}, "directory"),
        ({"revisions": [{"revision": "a", "version": "1", "directory": "/x", "weight": 100.0}]}, "weight"),
        ({"revisions": [{"revision": "a", "version": "1", "directory": "/x", "weight": 50}]}, "add up to 50"),
        ({"revisions": [{"revision": "a", "version": "1", "directory": "/x", "weight": 50}] * 2}, "twice"),
        ({"revisions": [{"revision": "a/b", "version": "1", "directory": "/x", "weight": 100}]}, "revision"),
    ],
)
def test_a_wrong_order_changes_nothing(server: Server, body: object, told: str) -> None:
    before = server.control("GET")
    status, said = server.control("PUT", body)
    assert status == 400
    assert told in said["error"]
    assert server.control("GET") == before


def test_the_control_port_takes_little_and_knows_one_path(server: Server) -> None:
    assert server.control("PUT", b" " * (limits.REVISIONS_BYTES + 1))[0] == 413
    assert server.control("POST", {})[0] == 405
    assert server.request("GET", "/v2/health/live", port=server.control_port)[0] == 404
    assert server.request("GET", "/v2/volary/split")[0] == 404  # not on the model's port


def test_the_control_port_is_on_loopback_only(server: Server) -> None:
    addresses = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"]
    assert f"0100007F:{server.control_port:04X}" in addresses
    assert f"00000000:{server.control_port:04X}" not in addresses


def test_a_stop_waits_for_no_load(fresh: Server, tmp_path: Path) -> None:
    put(fresh, (bundles.scaling(tmp_path / "1", 2, "1", padding=24), "1", 0))
    fresh.process.terminate()
    assert fresh.process.wait(20) == 0
    assert fresh.termination_log.read_text() == ""
