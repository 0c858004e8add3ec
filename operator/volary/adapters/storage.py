"""S3-compatible storage: small objects whole, large ones as streams, versions written once.

boto3 finds the credentials, the region and the endpoint as every AWS tool does, and botocore moves
the bytes. obstore moves them faster but follows a redirect to any other host and has no option
against it, so it is not used: a storage that answers "look there instead" is refused here.

Every failure becomes Refused (a person must act) or Transient (later it may work) with a Reason.
Messages name the place and the host, never credentials, signed URLs or what the server wrote.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from volary.bundle import limits
from volary.bundle.layout import Location
from volary.common.errors import Refused, Transient, VolaryError
from volary.common.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CHUNK = 256 * limits.KIB
CONNECT_SECONDS = 5
READ_SECONDS = 20  # between two bytes, not for a whole object
DELETE_MOST = 1000  # keys in one request: the S3 API takes no more
_CONNECTIONS = 16
_DEFAULT_REGION = "us-east-1"

Progress = Callable[[int], None]  # called with the bytes moved since the last call


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing tells of it."""

    key: str
    size: int  # bytes
    modified: datetime  # by the storage's clock, in UTC


class Storage(Protocol):
    """What the rooms need of a storage. Keys are relative to the place of the model."""

    @property
    def place(self) -> str:
        """For messages: `s3://models/fraud at minio.storage:9000`."""

    def read(self, key: str, limit: int) -> bytes:
        """A small object; LimitExceeded when it is larger than `limit`, FileNotFound when there is none."""

    def size(self, key: str) -> int:
        """Bytes of an object; FileNotFound when there is none."""

    def stream(self, key: str, start: int = 0) -> AbstractContextManager[Iterator[bytes]]:
        """The object's bytes from `start` on, in chunks. Leaving the block ends the transfer."""

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write a small object unless there is one; False when there was."""

    def put_file(self, key: str, path: Path, progress: Progress) -> None:
        """Write an object from a file, over whatever was there."""

    def put(self, key: str, data: bytes) -> None:
        """Write a small object, over whatever was there."""

    def list(self, prefix: str) -> Iterator[Listed]:
        """All objects whose key begins with `prefix`, in the order of their keys."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete at most `DELETE_MOST` objects; one that is not there is no error."""


def exists(storage: Storage, key: str, size: int) -> bool:
    """Whether there is an object of exactly this size."""
    try:
        return storage.size(key) == size
    except Refused as error:
        if error.reason is Reason.FILE_NOT_FOUND:
            return False
        raise


# ---- the real one -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class S3:
    """A place in a bucket. Safe to use from several threads."""

    location: Location
    client: "S3Client"
    host: str

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.location} at {self.host}"

    def read(self, key: str, limit: int) -> bytes:
        """See Storage."""
        data = bytearray()
        with self.stream(key) as chunks:
            for chunk in chunks:
                data += chunk
                if len(data) > limit:
                    raise Refused(Reason.LIMIT_EXCEEDED, f"{key} in {self.place} is larger than {limits.show(limit)}")
        return bytes(data)

    def size(self, key: str) -> int:
        """See Storage."""
        with self._translated(key):
            return self.client.head_object(Bucket=self.location.bucket, Key=self.location.key(key))["ContentLength"]

    @contextmanager
    def stream(self, key: str, start: int = 0) -> Iterator[Iterator[bytes]]:
        """See Storage."""
        with self._translated(key):
            wanted: dict[str, Any] = {"Range": f"bytes={start}-"} if start else {}
            answer = self.client.get_object(Bucket=self.location.bucket, Key=self.location.key(key), **wanted)
            skip = start if answer["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.PARTIAL_CONTENT else 0
            body = answer["Body"]
            try:
                yield _skipping(skip, iter(lambda: body.read(CHUNK), b""))
            finally:
                body.close()

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See Storage."""
        from botocore.exceptions import ClientError

        with self._translated(key):
            try:
                self.client.put_object(Bucket=self.location.bucket, Key=self.location.key(key), Body=data, IfNoneMatch="*")
            except ClientError as error:
                if _status(error) == HTTPStatus.PRECONDITION_FAILED:
                    return False
                raise
        return True

    def put_file(self, key: str, path: Path, progress: Progress) -> None:
        """See Storage."""
        with self._translated(key):
            self.client.upload_file(str(path), self.location.bucket, self.location.key(key), Callback=progress)

    def put(self, key: str, data: bytes) -> None:
        """See Storage."""
        with self._translated(key):
            self.client.put_object(Bucket=self.location.bucket, Key=self.location.key(key), Body=data)

    def list(self, prefix: str) -> Iterator[Listed]:
        """See Storage."""
        pages = self.client.get_paginator("list_objects_v2")
        with self._translated(prefix):
            for page in pages.paginate(Bucket=self.location.bucket, Prefix=self.location.key(prefix)):
                for found in page.get("Contents", ()):
                    yield Listed(found["Key"].removeprefix(self.location.key("")), found["Size"], found["LastModified"].astimezone(UTC))

    def delete(self, keys: Sequence[str]) -> None:
        """See Storage."""
        if not keys:
            return  # an empty list is malformed to S3
        with self._translated(keys[0]):
            wanted: Any = {"Objects": [{"Key": self.location.key(key)} for key in keys], "Quiet": True}
            answer = self.client.delete_objects(Bucket=self.location.bucket, Delete=wanted)
        for error in answer.get("Errors", ()):  # the request went well, some of its objects did not
            raise _of_deletion(str(error.get("Code", "")), self, str(error.get("Key", "")).removeprefix(self.location.key("")))

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except VolaryError:
            raise
        except Exception as error:
            translated = _translate(error, self, key)
            if translated is error:
                raise
            raise translated from None


def connect(location: Location, *, endpoint: str | None = None, region: str | None = None) -> S3:
    """A client for one place. What is not given comes from the environment: AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_*."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    settings: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "retries": {"total_max_attempts": 1},  # our callers retry, with their own budget
        "max_pool_connections": _CONNECTIONS,
        "signature_version": "s3v4",
        # Storages that are not AWS refuse the checksum trailers newer SDKs add; a sha256 is ours anyway.
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
        "s3": {"addressing_style": "path"},
    }
    try:
        session = boto3.session.Session(region_name=region)
        client = session.client("s3", endpoint_url=endpoint, region_name=session.region_name or _DEFAULT_REGION, config=Config(**settings))
    except (BotoCoreError, ValueError) as error:
        raise Refused(Reason.SPEC_INVALID, f"the settings of the storage cannot be used: {type(error).__name__}") from None
    return S3(location, client, urlsplit(client.meta.endpoint_url).netloc.rpartition("@")[2])


_REFUSED_CODES = frozenset(
    {
        *("AccessDenied", "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken"),
        *("RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired"),
    }
)
_CODE = re.compile(r"[A-Za-z]{1,40}")


def _skipping(count: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Without the first `count` bytes: what a server sends again that does not know ranges."""
    for chunk in chunks:
        rest = chunk[count:]
        count = max(0, count - len(chunk))
        if rest:
            yield rest


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _translate(error: Exception, storage: S3, key: str) -> Exception:
    """The botocore error as one of ours; what is not the storage's, such as a full disk, stays what it is."""
    from boto3.exceptions import S3UploadFailedError
    from botocore import exceptions
    from urllib3.exceptions import HTTPError

    cause = error.__context__ if isinstance(error, S3UploadFailedError) else error
    match cause:
        case exceptions.ClientError():
            return _of_answer(cause, storage, key)
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError() | exceptions.CredentialRetrievalError():
            wanted = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or name a Secret that has them"
            return Refused(Reason.CREDENTIALS_REFUSED, f"found no credentials for {storage.place}; {wanted}")
        case exceptions.ParamValidationError():
            return Refused(Reason.BUCKET_NOT_FOUND, f"{storage.location.bucket!r} cannot be the name of a bucket")
        case exceptions.BotoCoreError() | HTTPError() | ConnectionError() | TimeoutError():
            return Transient(Reason.STORAGE_UNREACHABLE, _of_connection(cause, storage, key))
        case _:
            return error


def _of_connection(error: Exception, storage: S3, key: str) -> str:
    from botocore import exceptions

    match error:
        case exceptions.ConnectTimeoutError():
            return f"{storage.place} does not answer within {CONNECT_SECONDS} s"
        case exceptions.EndpointConnectionError():
            return f"cannot connect to {storage.place}: is the endpoint right?"
        case exceptions.SSLError():
            return f"{storage.place} has no certificate that is trusted here"
        case _:
            return f"the connection to {storage.place} broke while {key} was moved"


def _of_answer(error: Any, storage: S3, key: str) -> VolaryError:
    """What an HTTP status and an error code mean. The code is shown only if it looks like one."""
    status = _status(error)
    code = str(error.response.get("Error", {}).get("Code", ""))
    shown = f"{status} {code}" if _CODE.fullmatch(code) else str(status)
    if code == "NoSuchBucket":
        return Refused(Reason.BUCKET_NOT_FOUND, f"there is no bucket {storage.location.bucket} at {storage.host}")
    if status == HTTPStatus.NOT_FOUND:
        return Refused(Reason.FILE_NOT_FOUND, f"there is no {key} in {storage.place}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or (status == HTTPStatus.BAD_REQUEST and code in _REFUSED_CODES):
        hint = "; are the clocks right?" if code == "RequestTimeTooSkewed" else ""
        return Refused(Reason.CREDENTIALS_REFUSED, f"{storage.place} refuses these credentials for {key} ({shown}){hint}")
    if 300 <= status < 400:
        remedy = "which is not followed; correct the endpoint or the region"
        return Refused(Reason.BUCKET_NOT_FOUND, f"{storage.host} sends us elsewhere for {storage.location} ({status}), {remedy}")
    return Transient(Reason.STORAGE_THROTTLED, f"{storage.place} asks to slow down or fails ({shown}) at {key}")


def _of_deletion(code: str, storage: S3, key: str) -> VolaryError:
    """Why one object of many was not deleted."""
    if code in _REFUSED_CODES:
        return Refused(Reason.CREDENTIALS_REFUSED, f"{storage.place} refuses these credentials to delete {key}")
    return Transient(Reason.STORAGE_THROTTLED, f"{storage.place} did not delete {key}")


# ---- the fake ---------------------------------------------------------------------------------


@dataclass(slots=True)
class InMemory:
    """A storage for tests: what the contract test says of the real one holds of it too."""

    objects: dict[str, bytes] = field(default_factory=dict)
    place: str = "memory"
    reads: list[str] = field(default_factory=list)
    chunk: int = CHUNK
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    modified: dict[str, datetime] = field(default_factory=dict)  # what is absent was written at `clock()`

    def read(self, key: str, limit: int) -> bytes:
        """See Storage."""
        data = self._get(key)
        if len(data) > limit:
            raise Refused(Reason.LIMIT_EXCEEDED, f"{key} in {self.place} is larger than {limits.show(limit)}")
        return data

    def size(self, key: str) -> int:
        """See Storage."""
        return len(self._get(key))

    @contextmanager
    def stream(self, key: str, start: int = 0) -> Iterator[Iterator[bytes]]:
        """See Storage."""
        data = self._get(key)
        self.reads.append(key)
        yield (data[index : index + self.chunk] for index in range(start, len(data), self.chunk))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See Storage."""
        if key in self.objects:
            return False
        self.objects[key] = data
        return True

    def put_file(self, key: str, path: Path, progress: Progress) -> None:
        """See Storage."""
        self.objects[key] = path.read_bytes()
        progress(len(self.objects[key]))

    def put(self, key: str, data: bytes) -> None:
        """See Storage."""
        self.objects[key] = data
        self.modified[key] = self.clock()

    def list(self, prefix: str) -> Iterator[Listed]:
        """See Storage."""
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            yield Listed(key, len(self.objects[key]), self.modified.get(key) or self.clock())

    def delete(self, keys: Sequence[str]) -> None:
        """See Storage."""
        for key in keys:
            self.objects.pop(key, None)
            self.modified.pop(key, None)

    def _get(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise Refused(Reason.FILE_NOT_FOUND, f"there is no {key} in {self.place}") from None
