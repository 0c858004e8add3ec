"""GET and HEAD of objects, signed and read without the layers of an SDK.

A bundle is hundreds of requests, and boto3 takes 0.8 ms of Python for each, in which no other thread
runs; this takes 0.4 ms. A request is signed with botocore's own signer (AWS Signature Version 4, in
the headers: no URL is a secret) and sent through botocore's own pool of connections: proxies,
AWS_CA_BUNDLE and time-outs are those of every AWS tool. Nothing is retried, no redirect is followed.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from volary.adapters.storage.errors import Answered, Place, broke
from volary.adapters.storage.protocol import PIECE
from volary.common.errors import Refused
from volary.common.reasons import Reason

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse
    from botocore.httpsession import URLLib3Session
    from mypy_boto3_s3.client import S3Client

_ERROR_BYTES = 4096  # of the body of an error, for its code
_GOOD = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT)
_REMEMBERED = 64  # interrupted transfers; as many as there are threads would do


class Wire:
    """One bucket's objects, by full key. Safe to use from several threads."""

    def __init__(self, place: Place, client: "S3Client", credentials: Any, http: "URLLib3Session") -> None:
        self._place = place
        self._client = client
        self._credentials = credentials  # botocore's, which refresh themselves; None when there are none
        self._http = http
        self._base = ""
        self._interrupted: dict[str, str] = {}  # key -> ETag of the object whose transfer broke off
        self._lock = threading.Lock()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def size(self, key: str) -> int:
        """Bytes of an object. Raises Answered."""
        with self._answer("HEAD", key, {}) as answer:
            size = answer.headers.get("Content-Length", "")
            return int(size) if size.isascii() and size.isdigit() else -1

    @contextmanager
    def stream(self, key: str, start: int, stop: int | None) -> Iterator[Iterator[bytes]]:
        """The bytes from `start` to before `stop`. Raises Answered, Refused, Transient."""
        ranged = start > 0 or stop is not None
        wanted = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if ranged else {}
        etag = self._interrupted.get(key, "") if start else ""
        if etag:
            wanted["If-Match"] = etag
        with self._answer("GET", key, wanted) as answer:
            self._check(answer, key, etag)
            pieces = self._pieces(answer, key)
            if ranged and answer.status_code == HTTPStatus.OK:
                pieces = _cut(pieces, start, stop)
            elif ranged and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise broke(self._place, key)
            yield pieces
        self._forget(key)

    @contextmanager
    def _answer(self, method: str, key: str, headers: dict[str, str]) -> Iterator["AWSResponse"]:
        answer = self._send(method, key, headers)
        try:
            if answer.status_code == HTTPStatus.PRECONDITION_FAILED:
                raise self._replaced(key)
            if answer.status_code not in _GOOD:
                raise Answered(answer.status_code, b"" if method == "HEAD" else answer.raw.read(_ERROR_BYTES) or b"")
            yield answer
        finally:
            # A connection in the middle of a body cannot be used again.
            _finish(answer.raw, reusable=answer.raw.length_remaining == 0)

    def _send(self, method: str, key: str, headers: dict[str, str]) -> "AWSResponse":
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import NoCredentialsError

        if self._credentials is None:
            raise NoCredentialsError
        request = AWSRequest(method, self._url(key), {"Accept-Encoding": "identity", **headers}, stream_output=True)
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self._client.meta.region_name).add_auth(request)
        return self._http.send(request.prepare())

    def _url(self, key: str) -> str:
        """Where botocore would ask: path or virtual-host style, region, FIPS and so on are its rules."""
        if not self._base:
            signed = self._client.generate_presigned_url("get_object", Params={"Bucket": self._place.location.bucket, "Key": "x"})
            parts = urlsplit(signed)
            self._base = f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('x')}"
        return self._base + quote(key, safe="/~")

    def _check(self, answer: "AWSResponse", key: str, etag: str) -> None:
        encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity", "aws-chunked"):
            shown = encoding if encoding.isalnum() else "unknown"
            raise Refused(
                Reason.DIGEST_MISMATCH,
                f"{key} in {self._place} comes with the Content-Encoding {shown[:20]}; store objects as they are, without one",
            )
        found = answer.headers.get("ETag", "")
        if etag and found != etag:
            raise self._replaced(key)
        if found:
            with self._lock:
                while len(self._interrupted) >= _REMEMBERED:
                    self._interrupted.pop(next(iter(self._interrupted)))
                self._interrupted[key] = found

    def _replaced(self, key: str) -> Refused:
        self._forget(key)
        return Refused(Reason.DIGEST_MISMATCH, f"{key} in {self._place} was replaced while it was read; push the bundle again")

    def _forget(self, key: str) -> None:
        with self._lock:
            self._interrupted.pop(key, None)

    def _pieces(self, answer: "AWSResponse", key: str) -> Iterator[bytes]:
        while piece := answer.raw.read(PIECE):
            yield piece
        if answer.raw.length_remaining:
            raise broke(self._place, key)


def _cut(pieces: Iterator[bytes], start: int, stop: int | None) -> Iterator[bytes]:
    """The bytes from `start` to before `stop` of a server that does not know ranges and sends all."""
    position = 0
    for piece in pieces:
        rest = piece[max(0, start - position) : None if stop is None else max(0, stop - position)]
        position += len(piece)
        if rest:
            yield rest
        if stop is not None and position >= stop:
            return


def _finish(raw: Any, *, reusable: bool) -> None:
    with suppress(Exception):  # whatever closing says, the transfer's own outcome is what counts
        if reusable:
            raw.drain_conn()  # http.client takes no next request before an answer was read to its end, if it is empty
            raw.release_conn()
        else:
            raw.close()
