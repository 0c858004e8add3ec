"""What a server says byte by byte, however a request reaches it."""

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.serving import bundles
from tests.unit.serving.process import Server, running

_BODY = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 4, 3]}], "outputs": [{"name": "y"}]}
).encode()
_LENGTH = b"Content-Length: %d\r\n" % len(_BODY)
_POST = b"POST /v2/models/fraud/infer HTTP/1.1\r\nHost: x\r\n"
_LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n"
_DEADLINE = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    bundle = bundles.doubling(tmp_path_factory.mktemp("bundle"))
    bundles.with_golden(bundle, [bundles.doubled([1, 2, 4, 3]), bundles.doubled([0, 0, 1, 1])])
    with running(bundle, "--batch", "16") as running_:
        running_.wait_for("/v2/health/ready", 200)
        yield running_


def _say(server: Server, *parts: bytes) -> bytes:
    """Everything the server says until it closes."""
    said = b""
    with socket.create_connection(("127.0.0.1", server.port), _DEADLINE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
        while data := connection.recv(65536):
            said += data
    return said


def _answers(said: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    found = []
    while said:
        head, _, rest = said.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        size = int(headers["content-length"])
        found.append((int(status.split()[1]), headers, rest[:size]))
        said = rest[size:]
    return found


def _y(body: bytes) -> object:
    return json.loads(body)["outputs"][0]["data"]


_CLOSE = b"Connection: close\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (_POST + _LENGTH + _CLOSE + _BODY,),
        (_POST + _LENGTH + _CLOSE + _BODY[:10], _BODY[10:]),
        (_POST + _LENGTH + _CLOSE, _BODY),
        (_POST, _LENGTH + _CLOSE, _BODY[:1], _BODY[1:]),
        (_POST + b"Transfer-Encoding: chunked\r\n" + _CLOSE + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BODY), _BODY),),
        (_POST.replace(b"HTTP/1.1", b"HTTP/1.0") + _LENGTH + b"\r\n" + _BODY,),
        (_POST.replace(b"fraud", b"fr%61ud") + _LENGTH + _CLOSE + _BODY,),
    ],
    ids=["whole", "two parts", "head first", "many parts", "chunked", "1.0", "quoted"],
)
def test_one_request(server: Server, parts: tuple[bytes, ...]) -> None:
    ((status, headers, body),) = _answers(_say(server, *parts))
    assert (status, _y(body)) == (200, [2, 4, 8, 6])
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"


@pytest.mark.parametrize("split", [1, 30, 130, 200, 270, None])
def test_requests_one_behind_the_other_are_answered_in_their_order(server: Server, split: int | None) -> None:
    whole = (_POST + _LENGTH + b"\r\n" + _BODY) * 3 + _LIVE + b"\r\n" + _POST + _LENGTH + _CLOSE + _BODY
    found = _answers(_say(server, *((whole,) if split is None else (whole[:split], whole[split:]))))
    assert [status for status, _, _ in found] == [200] * 5
    assert [body == b'{"live":true}' for _, _, body in found] == [False, False, False, True, False]
    assert [headers.get("connection") for _, headers, _ in found] == [None] * 4 + ["close"]


def test_head_has_no_body(server: Server) -> None:
    said = _say(server, _LIVE.replace(b"GET", b"HEAD") + _CLOSE)
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 13\r\n" in said
    assert said.endswith(b"\r\n\r\n")


def test_a_client_may_ask_before_it_sends(server: Server) -> None:
    said = _say(server, _POST + _LENGTH + b"Expect: 100-continue\r\n" + _CLOSE, _BODY)
    assert said.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_what_is_not_http_is_refused(server: Server, junk: bytes) -> None:
    assert _say(server, junk).startswith(b"HTTP/1.1 400 ")


def test_many_at_once_get_their_own_answers_and_are_joined(server: Server) -> None:
    def ask(number: int) -> list[tuple[float, object]]:
        found = []
        with socket.create_connection(("127.0.0.1", server.port), _DEADLINE) as connection:
            for turn in range(30):
                value = number * 100 + turn
                body = _BODY.replace(b"[1, 2, 4, 3]", b"[%d, 0, 0, 0]" % value)
                connection.sendall(_POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                said = b""
                while b"]}]}" not in said:
                    data = connection.recv(65536)
                    assert data
                    said += data
                found.append((2.0 * value, _y(said.partition(b"\r\n\r\n")[2])))
        return found

    with ThreadPoolExecutor(16) as clients:
        for answers in clients.map(ask, range(16)):
            assert [[first, 0, 0, 0] for first, _ in answers] == [data for _, data in answers]
    joined = re.search(r"^volary_batch_requests_sum\{.*\} ([0-9.]+)$", server.request("GET", "/metrics")[1], re.MULTILINE)
    assert joined
    assert float(joined[1]) > 1
