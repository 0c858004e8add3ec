"""What goes wrong with an S3 storage, as Refused or Transient with a Reason."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from typing_extensions import override

from volary.bundle.layout import Location
from volary.common.errors import Refused, Transient, VolaryError
from volary.common.reasons import Reason

CONNECT_SECONDS = 5

_REFUSED_CODES = frozenset(
    {
        *("AccessDenied", "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken"),
        *("RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired"),
    }
)
_CODE = re.compile(r"[A-Za-z]{1,40}")
_CODE_IN_XML = re.compile(rb"<Code>([A-Za-z]{1,40})</Code>")


@dataclass(frozen=True, slots=True)
class Place:
    """What messages say of where something went wrong."""

    location: Location
    host: str

    @override
    def __str__(self) -> str:
        return f"{self.location} at {self.host}"

    @contextmanager
    def translated(self, key: str) -> Iterator[None]:
        """Errors of botocore, urllib3 and sockets inside the block become ours; others, such as a full disk, stay what they are."""
        try:
            yield
        except VolaryError:
            raise
        except Exception as error:
            translated = _translate(error, self, key)
            if translated is error:
                raise
            raise translated from None


class Answered(Exception):
    """The storage answered with a status that is no success."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        found = _CODE_IN_XML.search(body)
        self.code = found[1].decode() if found else ""


def status_of(error: Any) -> int:
    """The HTTP status of a botocore ClientError."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def broke(place: Place, key: str) -> Transient:
    """A connection that ended before its answer did."""
    return Transient(Reason.STORAGE_UNREACHABLE, f"the connection to {place} broke while {key} was moved")


def not_deleted(code: str, place: Place, key: str) -> VolaryError:
    """Why one object of many was not deleted."""
    if code in _REFUSED_CODES:
        return Refused(Reason.CREDENTIALS_REFUSED, f"{place} refuses these credentials to delete {key}")
    return Transient(Reason.STORAGE_THROTTLED, f"{place} did not delete {key}")


def _translate(error: Exception, place: Place, key: str) -> Exception:
    from boto3.exceptions import S3UploadFailedError
    from botocore import exceptions
    from urllib3.exceptions import HTTPError

    cause = error.__context__ if isinstance(error, S3UploadFailedError) else error
    match cause:
        case Answered():
            return _of_answer(cause.status, cause.code, place, key)
        case exceptions.ClientError():
            return _of_answer(status_of(cause), str(cause.response.get("Error", {}).get("Code", "")), place, key)
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError() | exceptions.CredentialRetrievalError():
            wanted = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or name a Secret that has them"
            return Refused(Reason.CREDENTIALS_REFUSED, f"found no credentials for {place}; {wanted}")
        case exceptions.ParamValidationError():
            return Refused(Reason.BUCKET_NOT_FOUND, f"{place.location.bucket!r} cannot be the name of a bucket")
        case exceptions.BotoCoreError() | HTTPError() | ConnectionError() | TimeoutError():
            return _of_connection(cause, place, key)
        case _:
            return error


def _of_connection(error: Exception, place: Place, key: str) -> Transient:
    from botocore import exceptions

    match error:
        case exceptions.ConnectTimeoutError():
            text = f"{place} does not answer within {CONNECT_SECONDS} s"
        case exceptions.EndpointConnectionError():
            text = f"cannot connect to {place}: is the endpoint right?"
        case exceptions.SSLError():
            text = f"{place} has no certificate that is trusted here"
        case _:
            return broke(place, key)
    return Transient(Reason.STORAGE_UNREACHABLE, text)


def _of_answer(status: int, code: str, place: Place, key: str) -> VolaryError:
    """What an HTTP status and an error code mean. The code is shown only if it looks like one."""
    shown = f"{status} {code}" if _CODE.fullmatch(code) else str(status)
    if code == "NoSuchBucket":
        return Refused(Reason.BUCKET_NOT_FOUND, f"there is no bucket {place.location.bucket} at {place.host}")
    if status == HTTPStatus.NOT_FOUND:
        return Refused(Reason.FILE_NOT_FOUND, f"there is no {key} in {place}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or (status == HTTPStatus.BAD_REQUEST and code in _REFUSED_CODES):
        hint = "; are the clocks right?" if code == "RequestTimeTooSkewed" else ""
        return Refused(Reason.CREDENTIALS_REFUSED, f"{place} refuses these credentials for {key} ({shown}){hint}")
    if 300 <= status < 400:
        remedy = "which is not followed; correct the endpoint or the region"
        return Refused(Reason.BUCKET_NOT_FOUND, f"{place.host} sends us elsewhere for {place.location} ({status}), {remedy}")
    return Transient(Reason.STORAGE_THROTTLED, f"{place} asks to slow down or fails ({shown}) at {key}")
