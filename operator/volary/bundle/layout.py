"""Where things are: `s3://BUCKET/PREFIX`, and below it versions by name and files by content."""

import re
from dataclasses import dataclass

from typing_extensions import override

from volary.bundle import manifest
from volary.common.errors import Refused
from volary.common.reasons import Reason

_URI = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/[A-Za-z0-9._-]+)*)/?")
_VERSION = re.compile(manifest.VERSION_PATTERN.removeprefix("^").removesuffix("$"))
_VERSION_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Location:
    """Where the versions of one model live."""

    bucket: str
    prefix: str  # without slashes at either end; may be empty

    @override
    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def key(self, name: str) -> str:
        """The full key of something below the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name


def parse(uri: str) -> Location:
    """`s3://models/fraud` -> Location. Raises Refused (SpecInvalid) for anything else."""
    match = _URI.fullmatch(uri)
    if match is None or any(part in {".", ".."} for part in uri.split("/")):
        raise Refused(Reason.SPEC_INVALID, f"{uri[:200]!r} is not a place for models; write it like s3://BUCKET/PREFIX")
    return Location(match["bucket"], match["prefix"].strip("/"))


def version_key(version: str) -> str:
    """Where the manifest of a version is. Raises Refused (SpecInvalid) unless it is the name of one."""
    if len(version) > _VERSION_LENGTH or not _VERSION.fullmatch(version):
        raise Refused(
            Reason.SPEC_INVALID, f"{version[:_VERSION_LENGTH]!r} is not a version; use letters, digits, '.', '_' and '-', such as 1.4.0"
        )
    return f"versions/{version}.json"


def blob_key(sha256: str) -> str:
    """Where the file with this content is."""
    return f"blobs/sha256/{sha256}"
