import json
import threading
from collections.abc import Iterator

import pytest

from tests.unit.agent import fake_server
from tests.unit.agent.fake_server import FakeServer
from tests.unit.bundle import building
from volary.adapters import oip
from volary.adapters.exchange import Unreachable
from volary.adapters.oip import Readiness
from volary.agent import golden
from volary.agent.retry import Patience, Stopped
from volary.bundle import golden as samples_of
from volary.bundle.manifest import Golden, Rule
from volary.common.errors import Refused
from volary.common.reasons import Reason

SAMPLES = samples_of.parse(building.GOLDEN, building.manifest())


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server.running() as found:
        yield found


def replay(server: FakeServer, patience: Patience, timeout: float = 5.0) -> None:
    golden.replay(oip.Http(server.url), "digits", "1.0.0", SAMPLES, building.TOLERANCE, timeout=timeout, patience=patience)


def refusal(server: FakeServer, patience: Patience, timeout: float = 5.0) -> Refused:
    with pytest.raises(Refused) as caught:
        replay(server, patience, timeout)
    return caught.value


def test_right_answers_pass(server: FakeServer, patience: Patience) -> None:
    replay(server, patience)
    assert server.inferences == 2
    assert server.paths == ["/v2/models/digits/versions/1.0.0/infer"] * 2


def test_answers_within_the_tolerance_pass(server: FakeServer, patience: Patience) -> None:
    server.factor = 2.001
    replay(server, patience)


def test_another_model_is_told_by_sample_output_index_and_values(server: FakeServer, patience: Patience) -> None:
    server.factor = 2.1
    found = refusal(server, patience)
    assert found.reason is Reason.GOLDEN_MISMATCH
    assert found.message == "golden sample 0: output 'y': index [0, 0]: expected 2.0, got 2.1, off by 0.1, tolerance 0.0021"


def test_the_rules_of_an_output_are_kept(server: FakeServer, patience: Patience) -> None:
    server.factor = 2.1
    wide = Golden(path="golden.json", absolute=0, relative=0, outputs={"y": Rule(absolute=0.3, argmax=True)})
    golden.replay(oip.Http(server.url), "digits", "1.0.0", SAMPLES, wide, timeout=5.0, patience=patience)
    # Recorded is [5, 2]: these numbers are near enough, their order is not.
    server.body = json.dumps({"outputs": [building.tensor("y", [3.4, 3.5], [1, 2])]}).encode()
    order = Golden(path="golden.json", absolute=2, relative=0, outputs={"y": Rule(argmax=True)})
    with pytest.raises(Refused, match=r"golden sample 0: output 'y': index \[0\]: the largest is at 1, expected 0"):
        golden.replay(oip.Http(server.url), "digits", "1.0.0", SAMPLES[1:], order, timeout=5.0, patience=patience)


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (500, b'{"error":"the kernel failed"}', "the server answers 500: the kernel failed"),
        (400, b'{"error":"bad shape"}', "the server answers 400: bad shape"),
        (404, b"<html>\x1b[31m", "the server answers 404: <html>"),
        (200, b"not JSON", "output 'y': not in the answer"),
        (200, b"[1]", "output 'y': not in the answer"),
        (200, b"null", "output 'y': not in the answer"),
        (200, b'{"outputs":{"y":1}}', "output 'y': not in the answer"),
        (200, b'{"outputs":[1,{"name":["y"]},{}]}', "output 'y': not in the answer"),
        (200, b'{"model_version":"0.9","outputs":[]}', "version '0.9' answered, asked was '1.0.0'"),
        (200, b"[" * 100_000, "output 'y': not in the answer"),
        (200, b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[NaN,1]}]}', "got nan (not a finite number)"),
        (200, b'{"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[null,1]}]}', "got None (not a finite number)"),
    ],
)
def test_a_wrong_answer_is_a_mismatch(server: FakeServer, patience: Patience, status: int, body: bytes, text: str) -> None:
    server.status, server.body = status, body
    found = refusal(server, patience)
    assert found.reason is Reason.GOLDEN_MISMATCH
    assert found.message.startswith("golden sample 0: ")
    assert text in found.message
    assert "\x1b" not in found.message


def test_no_answer_in_time(server: FakeServer, patience: Patience) -> None:
    release = threading.Event()

    def hold() -> None:
        release.wait(30)

    server.hold = hold
    try:
        found = refusal(server, patience, timeout=0.1)
    finally:
        release.set()
    assert found.reason is Reason.GOLDEN_TIMEOUT
    assert found.message == "golden sample 0: no answer within 0.1 s"


def test_a_server_that_goes_away_says_nothing_of_the_model(server: FakeServer, patience: Patience) -> None:
    server.status = 503
    with pytest.raises(Unreachable):
        replay(server, patience)
    with fake_server.running() as gone:
        pass
    with pytest.raises(Unreachable):
        replay(gone, patience)


def test_a_stop_ends_it(server: FakeServer, patience: Patience) -> None:
    patience.stop.set()
    with pytest.raises(Stopped):
        replay(server, patience)
    assert server.inferences == 0


# ---- the client -------------------------------------------------------------------------------


def test_readiness(server: FakeServer) -> None:
    client = oip.Http(server.url)
    assert client.readiness("digits", "1.0.0") is Readiness.READY
    assert client.readiness("digits", "1.0.1") is Readiness.NOT_READY
    server.ready = False
    assert client.readiness("digits", "1.0.0") is Readiness.NOT_READY
    client.close()


def test_a_restarted_server_is_noticed() -> None:
    with fake_server.running() as first:
        client = oip.Http(first.url)
        assert client.readiness("digits", "1.0.0") is Readiness.READY
    with fake_server.running(first.server_port):
        assert client.readiness("digits", "1.0.0") is Readiness.GONE
        assert client.readiness("digits", "1.0.0") is Readiness.READY
    client.close()


def test_names_are_quoted(server: FakeServer) -> None:
    client = oip.Http(server.url)
    client.readiness("a/b", "../1")
    client.close()
    assert server.paths == ["/v2/models/a%2Fb/versions/..%2F1/ready"]


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "https://x", "http://"])
def test_an_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        oip.Http(url)
