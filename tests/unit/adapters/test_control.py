"""The agent's side of the control port: what it makes of answers, and of none."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from volary.adapters.control import Http, Order, Standing
from volary.adapters.exchange import TooSlow, Unreachable
from volary.common.errors import Transient

ORDER = Order("r1", "1.4.0", "/models/fraud/1.4.0", 100)
STANDING = '{"revision": "r1", "version": "1.4.0", "state": "ready", "weight": 100, "reason": "", "message": ""}'


@contextmanager
def answering(answer: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers one request so; None: never. With what was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while b"\r\n\r\n" not in b"".join(asked) or (asked[0].startswith(b"PUT") and not asked[-1].endswith(b"}")):
                    asked.append(connection.recv(4096))
                if answer is None:
                    done.wait(10)
                else:
                    connection.sendall(answer)

        done = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        finally:
            done.set()
            thread.join()


def ok(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_an_order_is_put_and_what_stands_is_told() -> None:
    with answering(ok(f'{{"revisions": [{STANDING}]}}')) as (url, asked):
        assert Http(url).put([ORDER]) == [Standing("r1", "1.4.0", "ready", 100, "", "")]
    sent = b"".join(asked)
    assert sent.startswith(b"PUT /v2/volary/split HTTP/1.1\r\n")
    assert sent.endswith(b'{"revisions": [{"revision": "r1", "version": "1.4.0", "directory": "/models/fraud/1.4.0", "weight": 100}]}')


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"revisions": [{"revision": "r1"}]}', '{"revisions": [1]}', '{"revisions": {"a": 1}}'])
def test_an_answer_that_makes_no_sense_is_tried_again_later(body: str) -> None:
    with answering(ok(body)) as (url, _), pytest.raises(Transient):
        Http(url).get()


def test_a_refusal_is_told_in_the_servers_words() -> None:
    with answering(ok('{"error": "weight: too many"}', "400 Bad Request")) as (url, _), pytest.raises(Transient, match=r"400: .*too many"):
        Http(url).get()


def test_no_server_and_one_that_is_silent_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable):
        Http(f"http://127.0.0.1:{port}").get()
    with answering(None) as (url, _), pytest.raises(TooSlow):
        Http(url, timeout=0.05).get()
    with pytest.raises(ValueError, match="not the URL"):
        Http("127.0.0.1:8082")
