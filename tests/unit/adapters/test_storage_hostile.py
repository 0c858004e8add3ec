"""A storage that lies: numbers are those of the list of hostile inputs."""

import gc
import gzip
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typing_extensions import override

from volary.adapters import storage as storages
from volary.adapters.storage import S3
from volary.agent.retry import Patience
from volary.bundle import layout, limits
from volary.common.errors import Refused, Transient, VolaryError
from volary.common.reasons import Reason

Answer = Callable[[BaseHTTPRequestHandler], None]


class Liar(ThreadingHTTPServer):
    """Answers every request as it is told to, and notes them."""

    daemon_threads = True

    def __init__(self) -> None:
        self.answer: Answer = answering(200)
        self.requests: list[str] = []
        liar = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                liar.requests.append(f"{self.command} {self.path}")
                liar.answer(self)

            do_HEAD = do_GET  # noqa: N815 -- http.server's name

            @override
            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """The client hangs up on liars: that is no error."""


@contextmanager
def lying() -> Iterator[Liar]:
    server = Liar()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Liar, S3]]:
    """One server and one client for all: a client takes a quarter of a second to make."""
    with lying() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-word")
        storage = storages.connect(layout.parse("s3://models/digits"), endpoint=server.url, region="us-east-1")
        yield server, storage
        storage.close()


@pytest.fixture
def liar(running: tuple[Liar, S3]) -> Liar:
    running[0].requests.clear()
    running[1].connection.wire._http._manager.clear()  # a connection that the last test's lie ended may look alive for a moment
    return running[0]


@pytest.fixture
def storage(running: tuple[Liar, S3]) -> S3:
    return running[1]


def answering(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return answer


def failure(storage: S3, call: Callable[[S3], object]) -> VolaryError:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # http.client leaves sockets of broken answers to the collector
        with pytest.raises(VolaryError) as caught:
            call(storage)
        caught.value.__context__ = None
        gc.collect()
    assert "secret-word" not in caught.value.message
    return caught.value


def read(storage: S3) -> bytes:
    return storage.read("versions/1.json", 1000)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", [read, lambda storage: storage.size("blobs/x")], ids=["GET", "HEAD"])
def test_16_a_redirect_to_another_host_is_not_followed(liar: Liar, storage: S3, status: int, call: Callable[[S3], object]) -> None:
    with lying() as other:
        liar.answer = answering(status, Location=f"{other.url}/latest/meta-data", x_amz_bucket_region="eu-west-1")
        found = failure(storage, call)
    assert other.requests == []
    assert isinstance(found, Refused)
    assert found.reason is Reason.BUCKET_NOT_FOUND
    assert "not followed" in found.message


STATUSES = {
    400: (Transient, Reason.STORAGE_THROTTLED),
    401: (Refused, Reason.CREDENTIALS_REFUSED),
    403: (Refused, Reason.CREDENTIALS_REFUSED),
    404: (Refused, Reason.FILE_NOT_FOUND),
    429: (Transient, Reason.STORAGE_THROTTLED),
    500: (Transient, Reason.STORAGE_THROTTLED),
    502: (Transient, Reason.STORAGE_THROTTLED),
    503: (Transient, Reason.STORAGE_THROTTLED),
    599: (Transient, Reason.STORAGE_THROTTLED),
}


@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
def test_each_status_is_asked_for_once_and_means_a_reason(
    liar: Liar, storage: S3, status: int, expected: tuple[type[VolaryError], Reason]
) -> None:
    liar.answer = answering(status, b"<Error><Code>\x1b[31m</Code><Message>the signed URL was ...</Message></Error>")
    found = failure(storage, read)
    assert (type(found), found.reason) == expected
    assert len(liar.requests) == 1
    assert "signed URL" not in found.message
    assert "\x1b" not in found.message


CODES = {
    "SlowDown": (503, Transient, Reason.STORAGE_THROTTLED),
    "NoSuchBucket": (404, Refused, Reason.BUCKET_NOT_FOUND),
    "ExpiredToken": (400, Refused, Reason.CREDENTIALS_REFUSED),
    "AuthorizationHeaderMalformed": (400, Refused, Reason.CREDENTIALS_REFUSED),
    "RequestTimeTooSkewed": (403, Refused, Reason.CREDENTIALS_REFUSED),
}


@pytest.mark.parametrize(("code", "expected"), CODES.items())
def test_a_code_tells_more_than_the_status(liar: Liar, storage: S3, code: str, expected: tuple[int, type[VolaryError], Reason]) -> None:
    status, kind, reason = expected
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    liar.answer = answering(status, body)
    found = failure(storage, read)
    assert (type(found), found.reason) == (kind, reason)


def test_18_a_body_that_breaks_off_is_transient(liar: Liar, storage: S3) -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        answering(200, b"half", Content_Length="1000")(handler)
        handler.close_connection = True

    liar.answer = short
    found = failure(storage, read)
    assert isinstance(found, Transient)
    assert found.reason is Reason.STORAGE_UNREACHABLE


def test_21_a_compressed_body_is_refused(liar: Liar, storage: S3) -> None:
    bomb = gzip.compress(b"0" * (10 * limits.MIB))
    liar.answer = answering(200, bomb, Content_Encoding="gzip")
    found = failure(storage, read)
    assert found.reason is Reason.DIGEST_MISMATCH
    assert "comes with the Content-Encoding gzip; store objects as they are" in found.message


def test_22_an_endless_body_is_cut_off(liar: Liar, storage: S3) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:
            handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    liar.answer = endless
    found = failure(storage, read)
    assert found.reason is Reason.LIMIT_EXCEEDED


def test_a_server_without_ranges_sends_all_again(liar: Liar, storage: S3) -> None:
    liar.answer = answering(200, b"0123456789")
    with storage.stream("blobs/x", 4) as chunks:
        assert b"".join(chunks) == b"456789"


@pytest.mark.parametrize("answer", [b"\0\1\2", b"HTTP/1.1 abc\r\n\r\n", b""])
def test_a_server_that_speaks_something_else(liar: Liar, storage: S3, answer: bytes) -> None:
    def babble(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(answer)
        handler.close_connection = True

    liar.answer = babble
    found = failure(storage, read)
    assert isinstance(found, Transient)
    assert found.reason is Reason.STORAGE_UNREACHABLE


# ---- ranges that belong together --------------------------------------------------------------


def breaking(body: bytes, etag: str, at: int) -> Answer:
    """Says that there is more than it sends."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", etag)
        handler.end_headers()
        handler.wfile.write(body[:at])
        handler.close_connection = True

    return answer


def interrupted(storage: S3, key: str) -> bytes:
    data = bytearray()

    def pull(storage: S3) -> None:
        with storage.stream(key) as pieces:
            for piece in pieces:
                data.extend(piece)

    assert failure(storage, pull).reason is Reason.STORAGE_UNREACHABLE
    return bytes(data)


def test_20_a_range_must_be_of_the_object_it_continues(liar: Liar, storage: S3) -> None:
    liar.answer = breaking(b"0123456789", '"one"', 4)
    assert interrupted(storage, "blobs/etag") == b"0123"
    liar.answer = answering(206, b"456789", ETag='"two"', Content_Range="bytes 4-9/10")
    found = failure(storage, lambda storage: storage.stream("blobs/etag", 4).__enter__())
    assert (type(found), found.reason) == (Refused, Reason.DIGEST_MISMATCH)
    assert "was replaced while it was read" in found.message


def test_20_a_server_is_told_which_object_is_continued(liar: Liar, storage: S3) -> None:
    liar.answer = breaking(b"0123456789", '"one"', 4)
    interrupted(storage, "blobs/match")
    seen: dict[str, str] = {}

    def rest(handler: BaseHTTPRequestHandler) -> None:
        seen.update({name.lower(): value for name, value in handler.headers.items()})
        answering(206, b"456789", ETag='"one"', Content_Range="bytes 4-9/10")(handler)

    liar.answer = rest
    with storage.stream("blobs/match", 4) as pieces:
        assert b"".join(pieces) == b"456789"
    assert (seen["range"], seen["if-match"], seen["accept-encoding"]) == ("bytes=4-", '"one"', "identity")
    assert "Signature=" in seen["authorization"]
    assert "Signature" not in liar.requests[-1]  # no URL is a secret


def test_20_a_server_that_keeps_to_it_refuses_the_new_object(liar: Liar, storage: S3) -> None:
    liar.answer = breaking(b"0123456789", '"one"', 4)
    interrupted(storage, "blobs/gone")
    liar.answer = answering(412)
    found = failure(storage, lambda storage: storage.stream("blobs/gone", 4).__enter__())
    assert (type(found), found.reason) == (Refused, Reason.DIGEST_MISMATCH)


def test_a_server_without_ranges_that_sends_too_much_is_cut(liar: Liar, storage: S3) -> None:
    liar.answer = answering(200, b"0123456789")
    with storage.stream("blobs/x", 2, 5) as pieces:
        assert b"".join(pieces) == b"234"


def test_the_wrong_part_is_refused(liar: Liar, storage: S3) -> None:
    liar.answer = answering(206, b"0123", Content_Range="bytes 0-3/10")
    found = failure(storage, lambda storage: storage.stream("blobs/x", 4).__enter__())
    assert isinstance(found, Transient)


# ---- credentials that change ------------------------------------------------------------------


def test_rotated_credentials_are_taken_for_the_next_request(liar: Liar, storage: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.credentials import Credentials

    def only_new(handler: BaseHTTPRequestHandler) -> None:
        new = "Credential=new-key/" in handler.headers["Authorization"] and handler.headers["X-Amz-Security-Token"] == "token"
        answering(200 if new else 403, b"good" if new else b"<Error><Code>ExpiredToken</Code></Error>")(handler)

    liar.answer = only_new
    assert failure(storage, read).reason is Reason.CREDENTIALS_REFUSED
    monkeypatch.setattr(storage.connection.wire, "_credentials", Credentials("new-key", "secret-word", "token"))
    assert read(storage) == b"good"


def test_a_throttled_storage_is_asked_again_by_who_is_patient(liar: Liar, storage: S3) -> None:
    answers = [*[answering(503, b"<Error><Code>SlowDown</Code></Error>")] * 3, answering(200, b"good")]

    def next_one(handler: BaseHTTPRequestHandler) -> None:
        answers.pop(0)(handler)

    liar.answer = next_one
    assert Patience(first=0.001, longest=0.001).retry(lambda: read(storage)) == b"good"
    assert len(liar.requests) == 4


def test_a_404_in_the_middle_names_the_file(liar: Liar, storage: S3) -> None:
    liar.answer = breaking(b"0123456789", '"one"', 4)
    interrupted(storage, "blobs/middle")
    liar.answer = answering(404, b"<Error><Code>NoSuchKey</Code></Error>")
    assert failure(storage, lambda storage: storage.stream("blobs/middle", 4).__enter__()).reason is Reason.FILE_NOT_FOUND


def test_23_a_slow_body_times_out(monkeypatch: pytest.MonkeyPatch, liar: Liar) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-word")
    monkeypatch.setattr("volary.adapters.storage.s3.READ_SECONDS", 0.2)
    waiting = threading.Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        answering(200, b"half", Content_Length="1000")(handler)
        waiting.wait(10)
        handler.close_connection = True

    liar.answer = slow
    patient = storages.connect(layout.parse("s3://models/digits"), endpoint=liar.url, region="us-east-1")
    try:
        assert failure(patient, read).reason is Reason.STORAGE_UNREACHABLE
    finally:
        waiting.set()
        patient.close()
