"""A swap under load: real server, real agent, real SeaweedFS. No request fails, each is answered by the one or the other version."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import s3
from tests.unit.agent import pod, versions
from tests.unit.agent.load import Load
from tests.unit.agent.pod import Pod
from volary.bundle import limits


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.S3]:
    with s3.serve(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running


def output(factor: float) -> bytes:
    """What an answer of the version with this factor holds, byte for byte."""
    data = [factor * x for x in versions.X]
    return json.dumps({"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 4], "data": data}]}, separators=(",", ":")).encode()[1:]


def in_turn(of: Pod, count: int) -> Counter[str]:
    return Counter(of.server.request("POST", "/v2/models/fraud/infer", versions.request())[1]["model_version"] for _ in range(count))


def test_a_swap_under_load(tmp_path: Path, storage: s3.S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in storage.environment().items():
        monkeypatch.setenv(name, value)
    uri = f"s3://{storage.bucket()}/fraud"
    one, _ = pod.push(tmp_path / "1", 2, "1", storage, uri, padding=8)
    two, size = pod.push(tmp_path / "2", 3, "2", storage, uri, padding=8)
    with pod.running(tmp_path / "pod", storage) as running:
        running.apply(versions.share("1", one, 100, uri))
        with Load(running.server.port) as load:
            running.apply(versions.share("1", one, 100, uri), versions.share("2", two, 0, uri))
            running.apply(versions.share("1", one, 90, uri), versions.share("2", two, 10, uri))
            running.apply(versions.share("1", one, 50, uri), versions.share("2", two, 50, uri))
            running.apply(versions.share("2", two, 100, uri))
        assert load.failures == []
        assert set(load.answers) == {("1", output(2)), ("2", output(3))}
        assert in_turn(running, 3) == {"2": 3}
        running.apply(versions.share("2", two, 75, uri), versions.share("1", one, 25, uri))
        assert in_turn(running, 100) == {"2": 75, "1": 25}
        # The weights are the same, only a factor is not: what moves is the chunk that has it.
        assert running.fetched("r2")["downloaded"] < size / 7
        assert size > 8 * limits.MIB
