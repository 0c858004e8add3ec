"""Options that several verbs share, and what they mean. Keys come from the environment only, never from a flag."""

import argparse
from pathlib import Path

from volary.adapters import storage
from volary.adapters.storage import S3
from volary.agent.source import Wanted
from volary.bundle import layout

DIGEST_HELP = "sha256:... that the version must have"


def configure(parser: argparse.ArgumentParser) -> None:
    """How the storage is reached."""
    parser.add_argument("--endpoint", metavar="URL", help="of an S3-compatible server; default: AWS_ENDPOINT_URL_S3, else AWS")
    parser.add_argument("--region", help="of the bucket; default: AWS_REGION, else us-east-1")


def configure_wanted(parser: argparse.ArgumentParser) -> None:
    """Which bundle a pod or a Job is to have."""
    parser.add_argument("--uri", required=True, help="where the versions are: s3://BUCKET/PREFIX")
    parser.add_argument("--version", required=True, help="of the model")
    parser.add_argument("--digest", help=DIGEST_HELP)
    parser.add_argument("--model", required=True, help="name clients use in request paths")
    parser.add_argument("--runtime", required=True, help="what serves it: onnxruntime or tensorflow-serving")
    parser.add_argument("--termination-log", type=Path, default=Path("/dev/termination-log"), help=argparse.SUPPRESS)
    configure(parser)


def wanted(args: argparse.Namespace) -> Wanted:
    """What `configure_wanted` read."""
    return Wanted(args.version, args.digest, args.runtime)


def connect(args: argparse.Namespace, uri: str) -> S3:
    """The storage at `uri`. Raises Refused (SpecInvalid)."""
    return storage.connect(layout.parse(uri), endpoint=args.endpoint, region=args.region)
