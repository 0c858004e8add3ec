"""The ways people's storages are reached: addressing, their own authority, session tokens, encryption at rest, broken connections."""

import secrets
import socket
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import s3
from tests.support.relay import authority, relay
from volary.adapters import storage as storages
from volary.adapters.storage import S3
from volary.agent.retry import Patience
from volary.bundle import layout
from volary.common.errors import Refused, Transient
from volary.common.reasons import Reason


@pytest.fixture(autouse=True)
def environment(server: s3.S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def target(server: s3.S3) -> tuple[str, int]:
    parts = urlsplit(server.endpoint)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def connect(bucket: str, endpoint: str | None = None) -> S3:
    return storages.connect(layout.parse(f"s3://{bucket}/team/digits"), endpoint=endpoint)


def check_round_trip(storage: S3, tmp_path: Path) -> None:
    """Every call once."""
    content = secrets.token_bytes(400_000)
    (tmp_path / "file").write_bytes(content)
    storage.put_file("blobs/x", tmp_path / "file", lambda _: None)
    assert storage.size("blobs/x") == len(content)
    with storage.stream("blobs/x", 7, 300_000) as pieces:
        assert b"".join(pieces) == content[7:300_000]
    assert storage.put_if_absent("versions/1.json", b"one")
    assert not storage.put_if_absent("versions/1.json", b"two")
    assert storage.read("versions/1.json", 10) == b"one"


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """BUCKET.localhost is this machine, as it is for browsers; not every resolver knows that."""
    known = socket.getaddrinfo

    def resolve(host: str, *rest: object, **named: object) -> object:
        return known("127.0.0.1" if host.endswith(".localhost") else host, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize(("style", "host"), [("path", "localhost"), ("virtual", "{bucket}.localhost"), ("auto", "localhost")])
@pytest.mark.usefixtures("resolver")
def test_a_bucket_is_a_path_or_a_host(
    server: s3.S3, target: tuple[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, style: str, host: str
) -> None:
    monkeypatch.setenv("AWS_S3_ADDRESSING_STYLE", style)
    bucket = server.bucket()
    with closing(connect(bucket, f"http://localhost:{target[1]}")) as storage:
        assert urlsplit(storage.connection.wire._url("x")).hostname == host.format(bucket=bucket)
        check_round_trip(storage, tmp_path)


def test_an_addressing_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ADDRESSING_STYLE", "dns")
    with pytest.raises(Refused, match="AWS_S3_ADDRESSING_STYLE is 'dns'; it is one of path, virtual, auto") as caught:
        connect("models")
    assert caught.value.reason is Reason.SPEC_INVALID


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    server: s3.S3, target: tuple[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle, context = authority(tmp_path)
    with relay(target, context) as front:
        endpoint = f"https://127.0.0.1:{front.port}"
        with closing(connect(server.bucket(), endpoint)) as storage, pytest.raises(Transient) as caught:
            storage.read("versions/1.json", 10)
        assert caught.value.reason is Reason.STORAGE_UNREACHABLE
        assert "has no certificate that is trusted here" in caught.value.message
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
        with closing(connect(server.bucket(), endpoint)) as storage:
            check_round_trip(storage, tmp_path)


def test_an_authority_may_be_given_as_text(server: s3.S3, target: tuple[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle, context = authority(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/ssl/certs/another.crt")
    monkeypatch.setenv("VOLARY_STORAGE_AUTHORITY", bundle.read_text("ascii"))
    with relay(target, context) as front, closing(connect(server.bucket(), f"https://127.0.0.1:{front.port}")) as storage:
        check_round_trip(storage, tmp_path)


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n", "/etc/ssl/ca.crt"])
def test_an_authority_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("VOLARY_STORAGE_AUTHORITY", text)
    with closing(connect("models", "https://127.0.0.1:1")) as storage, pytest.raises(Refused, match="holds no certificates") as caught:
        storage.read("versions/1.json", 10)
    assert caught.value.reason is Reason.SPEC_INVALID


def test_a_session_token_reaches_the_storage_and_no_url(target: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the-session-token")
    with relay(target) as front:
        with closing(connect("models", f"http://127.0.0.1:{front.port}")) as storage, pytest.raises(Refused) as caught:
            storage.read("versions/1.json", 10)
        assert b"x-amz-security-token: the-session-token" in front.sent.lower()
        assert b"token" not in front.sent.partition(b"\r\n")[0].lower()
    assert "the-session-token" not in caught.value.message


def test_objects_are_encrypted_where_it_is_asked_for(server: s3.S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bucket = server.bucket()
    for name, setting in (("plain", ""), ("secret", "AES256")):
        monkeypatch.setenv("AWS_S3_SERVER_SIDE_ENCRYPTION", setting)
        (tmp_path / name).mkdir()
        with closing(storages.connect(layout.parse(f"s3://{bucket}/{name}"))) as storage:
            check_round_trip(storage, tmp_path / name)
    for key in ("blobs/x", "versions/1.json"):
        assert server.client().head_object(Bucket=bucket, Key=f"secret/{key}")["ServerSideEncryption"] == "AES256"
        assert "ServerSideEncryption" not in server.client().head_object(Bucket=bucket, Key=f"plain/{key}")


@pytest.fixture
def stored(server: s3.S3, tmp_path: Path) -> tuple[str, bytes]:
    """A bucket with an object of some size."""
    bucket, content = server.bucket(), secrets.token_bytes(3_000_000)
    (tmp_path / "large").write_bytes(content)
    with closing(connect(bucket)) as storage:
        storage.put_file("blobs/x", tmp_path / "large", lambda _: None)
    return bucket, content


def test_a_transfer_goes_on_where_its_connection_broke(target: tuple[str, int], stored: tuple[str, bytes]) -> None:
    bucket, content = stored
    data = bytearray()
    with relay(target) as front, closing(connect(bucket, f"http://127.0.0.1:{front.port}")) as storage:
        front.break_after = 1_000_000

        def pull() -> None:
            with storage.stream("blobs/x", len(data)) as pieces:
                for piece in pieces:
                    data.extend(piece)

        Patience(first=0.01).retry(pull, lambda: len(data))
        assert bytes(data) == content
        assert front.break_after is None
        assert front.sent.count(b"GET ") == 2
