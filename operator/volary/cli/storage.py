"""Options that several verbs share, and what they mean. Keys come from the environment only, never from a flag."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from volary.adapters import repository, storage
from volary.adapters.repository import Version
from volary.adapters.storage import S3
from volary.agent.retry import Patience
from volary.agent.source import Wanted
from volary.bundle import layout
from volary.common.errors import Refused
from volary.common.reasons import Reason

BUDGET = 20.0  # seconds of trying: a person waits
REFERENCE_HELP = "s3://BUCKET/PREFIX/VERSION or s3://BUCKET/PREFIX@ALIAS"
PUBLIC_KEY_HELP = "that must have signed the version, as PEM"
DIGEST_HELP = "sha256:... that the version must have"


def configure(parser: argparse._ActionsContainer) -> None:
    """How the storage is reached."""
    parser.add_argument("--endpoint", metavar="URL", help="of an S3-compatible server; default: AWS_ENDPOINT_URL_S3, else AWS")
    parser.add_argument("--region", help="of the bucket; default: AWS_REGION, else us-east-1")


def configure_wanted(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Which bundle a pod or a Job is to have; not `required` where something else may say it."""
    parser.add_argument("--uri", required=required, help="where the versions are: s3://BUCKET/PREFIX")
    parser.add_argument("--version", required=required, help="of the model")
    parser.add_argument("--digest", help=DIGEST_HELP)
    parser.add_argument("--model", required=True, help="name clients use in request paths")
    parser.add_argument("--runtime", required=required, help="what serves it: onnxruntime or tensorflow-serving")
    parser.add_argument("--termination-log", type=Path, default=Path("/dev/termination-log"), help=argparse.SUPPRESS)
    configure(parser)


def wanted(args: argparse.Namespace) -> Wanted:
    """What `configure_wanted` read."""
    return Wanted(args.version, args.digest, args.runtime)


def connect(args: argparse.Namespace, uri: str) -> S3:
    """The storage at `uri`. Raises Refused (SpecInvalid)."""
    return storage.connect(layout.parse(uri), endpoint=args.endpoint, region=args.region)


@dataclass(frozen=True, slots=True)
class Reference:
    """A version in the storage, by its name or by an alias."""

    uri: str
    version: str = ""
    alias: str = ""


def is_remote(text: str) -> bool:
    """Whether an argument means the storage and not a directory."""
    return text.startswith("s3://")


def reference(text: str) -> Reference:
    """`s3://models/fraud/1.4.0` or `s3://models/fraud@prod`. Raises Refused (SpecInvalid)."""
    uri, mark, alias = text.rpartition("@")
    if mark:
        layout.alias_key(alias)
        return Reference(uri, alias=alias)
    uri, _, version = text.rstrip("/").rpartition("/")
    if uri in ("s3:/", "s3:"):
        raise Refused(Reason.SPEC_INVALID, f"{text[:200]!r} names no version; write it like {REFERENCE_HELP}")
    layout.version_key(version)
    return Reference(uri, version=version)


def find(place: S3, wanted: Reference) -> Version:
    """The version a reference means. Raises Refused or Transient."""
    look, name = (repository.resolve, wanted.alias) if wanted.alias else (repository.version, wanted.version)
    return Patience(budget=BUDGET).retry(lambda: look(place, name))
