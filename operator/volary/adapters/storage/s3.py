"""The real storage: a place in a bucket."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC
from http import HTTPStatus
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from volary.adapters.storage import authority
from volary.adapters.storage.errors import CONNECT_SECONDS, Place, not_deleted, status_of
from volary.adapters.storage.protocol import Listed, Progress
from volary.adapters.storage.wire import Wire
from volary.bundle import limits
from volary.bundle.layout import Location
from volary.common.errors import Refused
from volary.common.names import ADDRESSING_VARIABLE
from volary.common.reasons import Reason

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

READ_SECONDS = 20  # between two bytes, not for a whole object
_CONNECTIONS = 16
_DEFAULT_REGION = "us-east-1"
_AT_ONCE = 16 * limits.MIB  # written with one request; more goes in parts

ENCRYPTION = "AWS_S3_SERVER_SIDE_ENCRYPTION"  # AES256 or aws:kms
ENCRYPTION_KEY = "AWS_S3_SSE_KMS_KEY_ID"
_STYLES = ("path", "virtual", "auto")


class S3:
    """A place in a bucket. Safe to use from several threads.

    What it needs is made at its first use: boto3 takes a quarter of a second, and what is on the
    disk already needs no storage.
    """

    def __init__(self, location: Location, connected: Callable[[], "Connection"], encryption: Mapping[str, str]) -> None:
        self.location = location
        self._connect = connected
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._encryption = encryption  # parameters of every write

    @property
    def connection(self) -> "Connection":
        """The clients. Raises Refused (SpecInvalid)."""
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection

    @property
    def client(self) -> "S3Client":
        """boto3's."""
        return self.connection.client

    @property
    def place(self) -> str:
        """For messages."""
        return str(self.connection.where)

    def close(self) -> None:
        """Give all connections back."""
        if self._connection is not None:
            self._connection.wire.close()
            self._connection.client.close()

    def read(self, key: str, limit: int) -> bytes:
        """See Storage."""
        data = bytearray()
        with self.stream(key) as pieces:
            for piece in pieces:
                data += piece
                if len(data) > limit:
                    raise Refused(Reason.LIMIT_EXCEEDED, f"{key} in {self.place} is larger than {limits.show(limit)}")
        return bytes(data)

    def size(self, key: str) -> int:
        """See Storage."""
        with self._translated(key):
            return self.connection.wire.size(self.location.key(key))

    @contextmanager
    def stream(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[Iterator[bytes]]:
        """See Storage."""
        with self._translated(key), self.connection.wire.stream(self.location.key(key), start, stop) as pieces:
            yield pieces

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See Storage."""
        from botocore.exceptions import ClientError

        with self._translated(key):
            try:
                self.client.put_object(**self._target(key), Body=data, IfNoneMatch="*")
            except ClientError as error:
                if status_of(error) == HTTPStatus.PRECONDITION_FAILED:
                    return False
                raise
        return True

    def put_file(self, key: str, path: Path, progress: Progress, start: int = 0, size: int | None = None) -> None:
        """See Storage. More than 16 MiB goes as a multipart upload, so memory stays bounded."""
        with self._translated(key), path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size - start if size is None else size
            stream.seek(start)
            if size <= _AT_ONCE:
                self.client.put_object(**self._target(key), Body=stream.read(size))
                progress(size)
            else:
                bounded = cast("Any", _Bounded(stream, size))
                self.client.upload_fileobj(
                    bounded, self.location.bucket, self.location.key(key), ExtraArgs=dict(self._encryption), Callback=progress
                )

    def put(self, key: str, data: bytes) -> None:
        """See Storage."""
        with self._translated(key):
            self.client.put_object(**self._target(key), Body=data)

    def list(self, prefix: str) -> Iterator[Listed]:
        """See Storage."""
        top = self.location.key("")
        with self._translated(prefix or "a listing"):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.location.bucket, Prefix=self.location.key(prefix)):
                for found in page.get("Contents", ()):
                    yield Listed(found["Key"].removeprefix(top), found["Size"], found["LastModified"].astimezone(UTC))

    def delete(self, keys: Sequence[str]) -> None:
        """See Storage."""
        if not keys:
            return  # an empty list is malformed to S3
        with self._translated(keys[0]):
            wanted: Any = {"Objects": [{"Key": self.location.key(key)} for key in keys], "Quiet": True}
            answer = self.client.delete_objects(Bucket=self.location.bucket, Delete=wanted)
        for error in answer.get("Errors", ()):  # the request went well, some of its objects did not
            key = str(error.get("Key", "")).removeprefix(self.location.key(""))
            raise not_deleted(str(error.get("Code", "")), self.connection.where, key)

    def _translated(self, key: str) -> AbstractContextManager[None]:
        return self.connection.where.translated(key)

    def _target(self, key: str) -> Any:
        return {"Bucket": self.location.bucket, "Key": self.location.key(key), **self._encryption}


@dataclass(frozen=True, slots=True)
class Connection:
    """What talks to the storage: boto3 writes, `wire` reads."""

    client: "S3Client"
    where: Place
    wire: Wire


class _Bounded:
    """So many bytes of an open file, from where it is."""

    def __init__(self, stream: BufferedReader, size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def connect(location: Location, *, endpoint: str | None = None, region: str | None = None) -> S3:
    """The storage of one place. Raises Refused (SpecInvalid), and what is no endpoint raises it at the first use.

    What is not given comes from the environment, as for every AWS tool: AWS_ENDPOINT_URL_S3,
    AWS_REGION, AWS_CA_BUNDLE, credentials; and the settings named above. In a pod the certificates to trust
    may come by variable (`authority`), before AWS_CA_BUNDLE.
    """
    style = os.environ.get(ADDRESSING_VARIABLE) or "path"
    if style not in _STYLES:
        raise Refused(Reason.SPEC_INVALID, f"{ADDRESSING_VARIABLE} is {style[:20]!r}; it is one of {', '.join(_STYLES)}")
    named = {"ServerSideEncryption": os.environ.get(ENCRYPTION), "SSEKMSKeyId": os.environ.get(ENCRYPTION_KEY)}
    encryption = {name: value for name, value in named.items() if value}
    return S3(location, lambda: _connect(location, endpoint, region, style), encryption)


def _connect(location: Location, endpoint: str | None, region: str | None, style: str) -> Connection:
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
        "s3": {"addressing_style": style},
    }
    try:
        session = boto3.session.Session(region_name=region)
        if trusted := authority.file():
            session._session.set_config_variable("ca_bundle", trusted)  # noqa: SLF001 -- boto3 hides the session whose settings it documents
        client = session.client("s3", endpoint_url=endpoint, region_name=session.region_name or _DEFAULT_REGION, config=Config(**settings))
        where = Place(location, urlsplit(client.meta.endpoint_url).netloc.rpartition("@")[2])
        return Connection(client, where, _wire(where, client, session))
    except (BotoCoreError, ValueError) as error:
        raise Refused(Reason.SPEC_INVALID, f"the settings of the storage cannot be used: {type(error).__name__}") from None


def _wire(where: Place, client: "S3Client", session: Any) -> Wire:
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    http = URLLib3Session(
        verify=session._session.get_config_variable("ca_bundle") or True,  # noqa: SLF001 -- boto3 hides the session whose settings it documents
        proxies=get_environ_proxies(client.meta.endpoint_url),
        timeout=cast("Any", (CONNECT_SECONDS, READ_SECONDS)),
        max_pool_connections=_CONNECTIONS,
    )
    return Wire(where, client, session.get_credentials(), http)
