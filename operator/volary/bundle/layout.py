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
VERSIONS = "versions/"
BLOBS = "blobs/"
SIGNATURES = "signatures/"
ALIASES = "aliases/"
_BLOB = re.compile(r"blobs/sha256/(?P<sha256>[0-9a-f]{64})")


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
    return f"{VERSIONS}{_checked(version, 'a version', '1.4.0')}.json"


def signature_key(version: str) -> str:
    """Where the signature of a version's manifest is. Raises Refused (SpecInvalid) unless it is the name of one."""
    return f"{SIGNATURES}{_checked(version, 'a version', '1.4.0')}.json"


def alias_key(alias: str) -> str:
    """Where an alias is. Raises Refused (SpecInvalid) unless it is the name of one."""
    return f"{ALIASES}{_checked(alias, 'an alias', 'prod')}.json"


def name_in(prefix: str, key: str) -> str | None:
    """`versions/1.4.0.json` -> `1.4.0`; None for a key that Volary does not write there."""
    name = key.removeprefix(prefix).removesuffix(".json")
    written = key == f"{prefix}{name}.json" and len(name) <= _VERSION_LENGTH and _VERSION.fullmatch(name) is not None
    return name if written else None


def sha256_in(key: str) -> str | None:
    """The content of a blob by its key; None for a key that Volary does not write."""
    match = _BLOB.fullmatch(key)
    return match["sha256"] if match else None


def blob_key(sha256: str) -> str:
    """Where the file with this content is."""
    return f"blobs/sha256/{sha256}"


def _checked(name: str, what: str, example: str) -> str:
    if len(name) > _VERSION_LENGTH or not _VERSION.fullmatch(name):
        raise Refused(
            Reason.SPEC_INVALID, f"{name[:_VERSION_LENGTH]!r} is not {what}; use letters, digits, '.', '_' and '-', such as {example}"
        )
    return name
