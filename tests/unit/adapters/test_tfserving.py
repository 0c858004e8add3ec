"""The agent's client of TensorFlow Serving, against the stand-in's process, and its arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tfserving import program
from volary.adapters import tfserving
from volary.adapters.exchange import Unreachable
from volary.adapters.oip import Readiness
from volary.bundle.golden import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

X = {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [0.0, 1.0, 2.0, 1.0, 0.0, 1.0]}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tfserving.Http]:
    folder: Path = tmp_path_factory.mktemp("client")
    program.add(folder / "m", 1)
    with program.serving(folder, program.configured(folder, 1)) as server:
        yield tfserving.Http(f"http://127.0.0.1:{server.port}")


def test_only_the_exact_version_is_ready(client: tfserving.Http) -> None:
    asked = [("m", "1"), ("m", "2"), ("other", "1")]
    assert [client.readiness(*each) for each in asked] == [Readiness.READY, Readiness.NOT_READY, Readiness.NOT_READY]


def test_an_answer_is_spelled_with_names_types_and_shapes(client: tfserving.Http) -> None:
    answer = client.infer("m", "1", [{**X, "data": [0.0, 1.0, 2.0, 1.0, 0.0, 1.0]}], 20)
    assert (answer.status, answer.version, answer.error) == (200, "1", "")
    (y,) = answer.outputs
    assert (y["name"], y["datatype"], y["shape"], flatten(y["data"])) == ("y", "FP32", [2, 3], [0.0, 2.0, 4.0, 2.0, 0.0, 2.0])


def test_a_refusal_is_told_in_the_servers_words(client: tfserving.Http) -> None:
    answer = client.infer("m", "7", [X], 20)
    assert (answer.status, answer.outputs) == (404, [])
    assert "Servable not found" in answer.error


def test_nobody_there_is_unreachable() -> None:
    client = tfserving.Http(f"http://127.0.0.1:{program.free_port()}", timeout=2)
    assert client.readiness("m", "1") is Readiness.GONE
    with pytest.raises(Unreachable):
        client.infer("m", "1", [X], 2)


@given(st.lists(st.integers(1, 4), max_size=4).flatmap(lambda shape: st.tuples(st.just(shape), st.randoms(use_true_random=False))))
def test_nesting_keeps_shape_and_order(drawn: tuple[list[int], Any]) -> None:
    shape, _ = drawn
    size = 1
    for each in shape:
        size *= each
    found = tfserving.nested(list(range(size)), shape)
    assert flatten(found) == list(range(size))
    depth, sizes = found, []
    while isinstance(depth, list):
        sizes.append(len(depth))
        depth = depth[0]
    assert sizes == shape


@pytest.mark.parametrize("url", ["https://127.0.0.1:8501", "127.0.0.1:8501"])
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        tfserving.Http(url)
