"""Room for one more model: asked before it is loaded, returned when it is gone."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.serving import bundles
from tests.unit.serving.process import Server, running_split, until
from volary.bundle import limits, manifest
from volary.bundle.formats import Role
from volary.bundle.manifest import File
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.serving import memory, shelf

_MIB = limits.MIB
_SHA = "0" * 64


def sized(tmp_path: Path, graph: int, beside: int) -> Any:
    """A manifest whose files claim these MiB."""
    made = manifest.parse((bundles.doubling(tmp_path) / "manifest.json").read_bytes())
    files = (
        File(path="model.onnx", role=Role.MODEL, sha256=_SHA, size=graph * _MIB),
        File(path="weights.bin", role=Role.DATA, sha256=_SHA, size=beside * _MIB),
    )
    return made.model_copy(update={"files": files})


@pytest.mark.parametrize(
    ("graph", "beside", "expected"),
    [(0, 0, 32), (100, 0, 332), (0, 100, 152), (10, 1000, 1262)],
)
def test_weights_in_the_graph_cost_three_times_their_size_and_those_beside_it_once(
    tmp_path: Path, graph: int, beside: int, expected: int
) -> None:
    assert memory.estimate(sized(tmp_path, graph, beside)) == expected * _MIB


def test_the_refusal_has_the_numbers_and_the_limit_that_would_do(tmp_path: Path) -> None:
    asked = sized(tmp_path, 100, 0)
    memory.check(asked, 180 * _MIB, 512 * _MIB)
    memory.check(asked, 180 * _MIB, None)
    with pytest.raises(Refused) as raised:
        memory.check(asked, 181 * _MIB, 512 * _MIB)
    assert raised.value.reason is Reason.MEMORY_TOO_SMALL
    assert raised.value.message == (
        "version 1.4.0 takes about 332 MiB while it is loaded, the server has 181 MiB resident, "
        "the limit of its container is 512 MiB; a memory limit of 513Mi would do"
    )


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("memory.max", "536870912\n", 512 * _MIB),
        ("memory.max", "max\n", None),
        ("memory/memory.limit_in_bytes", "536870912\n", 512 * _MIB),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),
        ("other", "", None),
    ],
)
def test_the_limit_is_read_where_either_version_of_cgroups_has_it(tmp_path: Path, name: str, content: str, expected: int | None) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    assert memory.limit(tmp_path) == expected


def test_resident_memory_is_that_of_this_process() -> None:
    before = memory.resident()
    held = b"\1" * (64 * _MIB)
    assert memory.resident() - before > 48 * _MIB
    assert len(held) == 64 * _MIB


_LIMITED = """
from volary.serving import memory
memory.limit = lambda: {limit}
"""


def test_a_version_that_does_not_fit_is_refused_and_what_serves_goes_on(tmp_path: Path) -> None:
    with running_split(tmp_path, before=_LIMITED.format(limit=200 * _MIB)) as server:
        small, large = bundles.scaling(tmp_path / "1", 2, "1"), bundles.scaling(tmp_path / "2", 3, "2", padding=48)
        _swap(server, small, "1")
        body = {"revisions": [_entry(small, "1", 100), _entry(large, "2", 0)]}
        assert server.control("PUT", body)[0] == 200
        until(lambda: [each["state"] for each in server.control("GET")[1]["revisions"]] == ["ready", shelf.State.FAILED])
        refused = server.control("GET")[1]["revisions"][1]
        assert refused["reason"] == "MemoryTooSmall"
        assert "the limit of its container is 200 MiB" in refused["message"]
        assert server.request("GET", "/v2/health/ready")[0] == 200


def test_memory_does_not_grow_with_the_number_of_swaps(tmp_path: Path) -> None:
    with running_split(tmp_path) as server:
        two = [bundles.scaling(tmp_path / str(number), number, str(number), padding=8) for number in (0, 1)]
        for number in range(2):
            _swap(server, two[number % 2], str(number % 2), f"a{number}")
        after_two = server.resident
        for number in range(6):
            _swap(server, two[number % 2], str(number % 2), f"b{number}")
        until(lambda: server.resident < 1.1 * after_two)  # what was unloaded is given back a moment later


def _entry(bundle: Path, version: str, weight: int, revision: str = "") -> dict[str, object]:
    return {"revision": revision or f"r{version}", "version": version, "directory": str(bundle), "weight": weight}


def _swap(server: Server, bundle: Path, version: str, revision: str = "") -> None:
    """Until the version serves alone and the memory of the one before is returned."""
    entry = _entry(bundle, version, 100, revision)
    assert server.control("PUT", {"revisions": [entry]})[0] == 200
    gone = 'volary_model_loaded{{model="fraud",revision="{}"'.format(entry["revision"])
    until(lambda: [each["weight"] for each in server.control("GET")[1]["revisions"]] == [100])
    until(
        lambda: sum(line.endswith(" 1.0") for line in _loaded(server)) == 1,
    )
    assert any(line.startswith(gone) and line.endswith(" 1.0") for line in _loaded(server))


def _loaded(server: Server) -> list[str]:
    return [line for line in server.request("GET", "/metrics")[1].splitlines() if line.startswith("volary_model_loaded{")]
