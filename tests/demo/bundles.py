"""Packs and pushes the six versions as a user would, and breaks those that the story needs broken."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.demo import models
from volary import packaging
from volary.bundle import layout, manifest
from volary.bundle.manifest import Manifest
from volary.packaging import Bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster import S3
    from tests.demo.models import Candidate

BUCKET = "models"
URI = f"s3://{BUCKET}/digits"
MODEL = "digits"


@dataclass(frozen=True)
class Flipped:
    """A file in the bucket that is not what was packed."""

    path: str
    expected: str  # sha256 in the manifest
    found: str  # sha256 of what the bucket has


@dataclass(frozen=True)
class Shelf:
    """What the bucket holds."""

    uri: str
    digests: dict[str, str]  # of the bundles, by version
    flipped: Flipped


def fill(s3: S3) -> Shelf:
    """Train, pack and push all six, into an empty place; then flip one byte of 3.0.0."""
    clear(s3)
    with tempfile.TemporaryDirectory() as temporary, environment(s3):
        bundles = {each.version: pack(each, Path(temporary)) for each in models.candidates()}
        digests = {version: packaging.push(bundle.path, URI).digest for version, bundle in bundles.items()}
        flipped = flip(s3, bundles["3.0.0"].manifest)
    return Shelf(URI, digests, flipped)


def pack(candidate: Candidate, folder: Path) -> Bundle:
    """The bundle's directory. Golden answers come from the graph they were recorded with, whichever is shipped."""
    file = folder / f"{candidate.version}.onnx"
    file.write_bytes(candidate.recorded_with)
    bundle = packaging.pack(file, name=MODEL, version=candidate.version, samples=candidate.samples, output=folder / candidate.version)
    return bundle if candidate.graph == candidate.recorded_with else exchanged(bundle, candidate.graph)


def exchanged(bundle: Bundle, graph: bytes) -> Bundle:
    """The bundle with another model in it, and a manifest that is right about it."""
    old = bundle.manifest.model_file
    (bundle.path / old.path).write_bytes(graph)
    new = old.model_copy(update={"sha256": hashlib.sha256(graph).hexdigest(), "size": len(graph)})
    files = tuple(new if file == old else file for file in bundle.manifest.files)
    (bundle.path / "manifest.json").write_bytes(manifest.dump(bundle.manifest.model_copy(update={"files": files})))
    return packaging.load(bundle.path)


def flip(s3: S3, bundle: Manifest) -> Flipped:
    """One byte in the middle of the model's blob."""
    file = bundle.model_file
    content = bytearray(read(s3, layout.blob_key(file.sha256)))
    content[len(content) // 2] ^= 1
    write(s3, layout.blob_key(file.sha256), bytes(content))
    return Flipped(file.path, file.sha256, hashlib.sha256(content).hexdigest())


# ---- the bucket, past Volary


def client(s3: S3) -> Any:
    """A plain boto3 client."""
    return boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        region_name="us-east-1",
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 5}),
    )


def read(s3: S3, key: str) -> bytes:
    """An object below the place of the models."""
    content: bytes = client(s3).get_object(Bucket=BUCKET, Key=f"{MODEL}/{key}")["Body"].read()
    return content


def write(s3: S3, key: str, content: bytes) -> None:
    """Over whatever was there."""
    client(s3).put_object(Bucket=BUCKET, Key=f"{MODEL}/{key}", Body=content)


def clear(s3: S3) -> None:
    """An empty place: the bucket exists, nothing is below the prefix."""
    storage = client(s3)
    try:
        storage.create_bucket(Bucket=BUCKET)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
            raise
    for page in storage.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{MODEL}/"):
        for item in page.get("Contents", ()):
            storage.delete_object(Bucket=BUCKET, Key=item["Key"])


def put_version(s3: S3, version: str, content: bytes | dict[str, Any]) -> None:
    """A manifest as somebody may have written it."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    write(s3, layout.version_key(version), data)


@contextmanager
def environment(s3: S3) -> Iterator[None]:
    """The variables every AWS tool reads."""
    values = {
        "AWS_ENDPOINT_URL_S3": s3.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
    }
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
