"""One contract, two storages: what the fake does in tests, SeaweedFS does too. And what goes wrong with a real one."""

import gc
import hashlib
import json
import secrets
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from tests.support import keys, s3
from tests.unit.packaging import models
from tests.unit.trust import bundles
from volary.adapters import storage as storages
from volary.adapters.storage import S3, InMemory, Storage
from volary.bundle import layout, limits
from volary.cli.main import main
from volary.common.errors import Refused, Transient, VolaryError
from volary.common.reasons import Reason

CONTENT = secrets.token_bytes(3 * limits.MIB + 17)


@pytest.fixture(autouse=True)
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("volary.common.logs.configure", lambda *_: None)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in request.getfixturevalue("server").environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def real(server: s3.S3) -> Iterator[S3]:
    found = storages.connect(layout.parse(f"s3://{server.bucket()}/team/digits"))
    yield found
    found.close()


@pytest.fixture(params=["fake", "real"])
def storage(request: pytest.FixtureRequest) -> Storage:
    if request.param == "fake":
        return InMemory()
    found: S3 = request.getfixturevalue("real")
    return found


def failure(storage: Storage, key: str = "versions/1.json") -> VolaryError:
    """What reading says; the message must not hold what is secret."""
    with pytest.raises(VolaryError) as caught:
        storage.read(key, 1000)
    assert "<" not in caught.value.message
    assert "Signature=" not in caught.value.message
    return caught.value


@contextmanager
def leaking() -> Iterator[None]:
    """http.client keeps the socket of an answer that did not come until it is collected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def test_what_is_written_is_read(storage: Storage, tmp_path: Path) -> None:
    moved: list[int] = []
    (tmp_path / "file").write_bytes(CONTENT)
    storage.put_file("blobs/x", tmp_path / "file", moved.append)
    assert sum(moved) == len(CONTENT)
    assert storage.read("blobs/x", len(CONTENT)) == CONTENT
    assert storage.size("blobs/x") == len(CONTENT)
    with storage.stream("blobs/x") as chunks:
        assert b"".join(chunks) == CONTENT


@pytest.mark.parametrize(("start", "stop"), [(1, None), (1000, None), (len(CONTENT) - 1, None), (0, 1), (7, 2_000_000), (5, 10**9)])
def test_a_stream_is_what_it_is_asked_to_be(storage: Storage, tmp_path: Path, start: int, stop: int | None) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    storage.put_file("blobs/x", tmp_path / "file", lambda _: None)
    with storage.stream("blobs/x", start, stop) as chunks:
        assert b"".join(chunks) == CONTENT[start:stop]


@pytest.mark.parametrize(("start", "size"), [(0, 0), (3, 5), (1, len(CONTENT) - 1)])
def test_a_part_of_a_file_is_an_object(storage: Storage, tmp_path: Path, start: int, size: int) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    storage.put_file("blobs/x", tmp_path / "file", lambda _: None, start, size)
    assert storage.read("blobs/x", len(CONTENT)) == CONTENT[start : start + size]


def test_what_is_large_goes_in_parts(real: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("volary.adapters.storage.s3._AT_ONCE", 1000)
    content = secrets.token_bytes(9 * limits.MIB)  # boto3 cuts at 8 MiB
    (tmp_path / "file").write_bytes(content)
    moved: list[int] = []
    real.put_file("blobs/x", tmp_path / "file", moved.append, 1)
    assert sum(moved) == len(content) - 1
    assert real.read("blobs/x", len(content)) == content[1:]


def test_a_stream_may_be_left(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    storage.put_file("blobs/x", tmp_path / "file", lambda _: None)
    with storage.stream("blobs/x") as chunks:
        assert CONTENT.startswith(next(iter(chunks)))
    assert storage.size("blobs/x") == len(CONTENT)


def test_a_listing_has_all_names_as_they_are_sorted(storage: Storage) -> None:
    assert list(storage.list("")) == []
    names = ["1/saved_model.pb", "1/variables/variables.index", "a b.onnx", "é.onnx"]
    for number, name in enumerate(reversed(names)):
        storage.put_if_absent(name, b"x" * number)
    assert [(each.key, each.size) for each in storage.list("")] == [(name, 3 - number) for number, name in enumerate(names)]
    assert [each.key for each in islice(storage.list(""), 2)] == names[:2]


def test_a_listing_stays_below_its_place(real: S3) -> None:
    neighbour = S3(layout.parse(f"s3://{real.location.bucket}/team/digits-2"), lambda: real.connection, {})
    neighbour.put_if_absent("model.onnx", b"x")
    assert list(real.list("")) == []


def test_an_empty_object(storage: Storage) -> None:
    assert storage.put_if_absent("versions/1.json", b"")
    assert storage.read("versions/1.json", 0) == b""
    assert storage.size("versions/1.json") == 0


def test_a_version_is_written_once(storage: Storage) -> None:
    assert storage.put_if_absent("versions/1.json", b"one")
    assert not storage.put_if_absent("versions/1.json", b"two")
    assert storage.read("versions/1.json", 10) == b"one"


def test_a_large_object_is_not_read_whole(storage: Storage) -> None:
    storage.put_if_absent("versions/1.json", b"1234")
    assert storage.read("versions/1.json", 4) == b"1234"
    with pytest.raises(Refused) as caught:
        storage.read("versions/1.json", 3)
    assert caught.value.reason is Reason.LIMIT_EXCEEDED


def test_what_is_not_there_is_told(storage: Storage) -> None:
    assert failure(storage).reason is Reason.FILE_NOT_FOUND
    with pytest.raises(Refused) as caught:
        storage.size("versions/1.json")
    assert caught.value.reason is Reason.FILE_NOT_FOUND
    with pytest.raises(Refused) as caught, storage.stream("versions/1.json") as chunks:
        b"".join(chunks)
    assert caught.value.reason is Reason.FILE_NOT_FOUND
    assert not storages.exists(storage, "versions/1.json", 1)


def test_what_is_not_there_does_not_disturb_what_is(storage: Storage) -> None:
    """Each answer leaves its connection fit for the next request, or closed."""
    storage.put_if_absent("blobs/x", b"1234")
    for _ in range(3):
        assert not storages.exists(storage, "blobs/none", 4)
        assert failure(storage).reason is Reason.FILE_NOT_FOUND
        assert storages.exists(storage, "blobs/x", 4)
        with storage.stream("blobs/x") as pieces:
            next(pieces)
        assert storage.read("blobs/x", 4) == b"1234"


def test_an_object_exists_with_its_size_only(storage: Storage) -> None:
    storage.put_if_absent("blobs/x", b"1234")
    assert storages.exists(storage, "blobs/x", 4)
    assert not storages.exists(storage, "blobs/x", 5)


def test_an_error_of_the_reader_is_not_the_storages(storage: Storage) -> None:
    storage.put_if_absent("blobs/x", b"1234")
    with pytest.raises(OSError, match="disk"), storage.stream("blobs/x"):
        raise OSError("disk")
    with pytest.raises(Refused) as caught, storage.stream("blobs/x"):
        raise Refused(Reason.SIZE_MISMATCH, "ours")
    assert caught.value.message == "ours"


def test_put_replaces_what_was_there(storage: Storage) -> None:
    storage.put("aliases/prod.json", b"one")
    storage.put("aliases/prod.json", b"two")
    assert storage.read("aliases/prod.json", 10) == b"two"


def test_a_list_has_what_begins_so_in_the_order_of_keys(storage: Storage) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # S3 tells whole seconds, by another clock
    for key in ("versions/1.10.json", "versions/1.9.json", "versions/1.9-a.json", "versions2/1.json", "blobs/sha256/a"):
        storage.put(key, key.encode())
    found = list(storage.list("versions/"))
    assert [each.key for each in found] == ["versions/1.10.json", "versions/1.9-a.json", "versions/1.9.json"]
    assert [each.size for each in found] == [18, 19, 17]
    assert all(before <= each.modified <= datetime.now(UTC) + timedelta(seconds=2) for each in found)
    assert list(storage.list("nothing/")) == []
    assert len(list(storage.list(""))) == 5


def test_a_list_is_longer_than_a_page(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(storage, S3):
        paginate = storage.client.get_paginator("list_objects_v2").paginate
        pages = SimpleNamespace(paginate=lambda **words: paginate(**words, PaginationConfig={"PageSize": 3}))
        monkeypatch.setattr(storage.client, "get_paginator", lambda _: pages)
    keys = [f"blobs/sha256/{number:02}" for number in range(8)]
    for key in keys:
        storage.put(key, b"")
    assert [each.key for each in storage.list("blobs/")] == keys


def test_what_is_deleted_is_gone_and_nothing_else(storage: Storage) -> None:
    for key in ("blobs/a", "blobs/b", "blobs/c"):
        storage.put(key, b"x")
    storage.delete(["blobs/a", "blobs/c", "blobs/never-there"])
    storage.delete([])
    assert [each.key for each in storage.list("")] == ["blobs/b"]


# ---- only a real one --------------------------------------------------------------------------


@pytest.fixture
def connected() -> Iterator[list[S3]]:
    made: list[S3] = []
    yield made
    for each in made:
        each.close()


def connect(connected: list[S3], uri: str, endpoint: str | None = None) -> S3:
    connected.append(storages.connect(layout.parse(uri), endpoint=endpoint))
    return connected[-1]


def test_no_such_bucket(connected: list[S3], tmp_path: Path) -> None:
    storage = connect(connected, "s3://no-such-bucket/x")
    found = failure(storage)
    assert found.reason is Reason.BUCKET_NOT_FOUND
    assert "no bucket no-such-bucket at 127.0.0.1:" in found.message
    (tmp_path / "file").write_bytes(b"x")
    calls: list[Callable[[], object]] = [
        lambda: storage.put_if_absent("a", b""),
        lambda: storage.put_file("a", tmp_path / "file", lambda _: None),
        lambda: storage.put("a", b""),
        lambda: storage.delete(["a"]),
        lambda: list(storage.list("")),
    ]
    for write in calls:
        with pytest.raises(Refused) as caught:
            write()
        assert caught.value.reason is Reason.BUCKET_NOT_FOUND


@pytest.mark.parametrize(("name", "value"), [("AWS_SECRET_ACCESS_KEY", "wrong-secret"), ("AWS_ACCESS_KEY_ID", "wrong-key")])
def test_wrong_credentials(
    server: s3.S3, connected: list[S3], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    storage = connect(connected, f"s3://{server.bucket()}/x")
    found = failure(storage)
    assert isinstance(found, Refused)
    assert found.reason is Reason.CREDENTIALS_REFUSED
    assert "wrong-" not in found.message
    assert server.secret_key not in found.message
    assert server.access_key not in found.message
    (tmp_path / "file").write_bytes(b"x")
    calls: list[Callable[[], object]] = [
        lambda: storage.size("a"),
        lambda: storage.put_file("a", tmp_path / "file", lambda _: None),
        lambda: storage.delete(["a"]),
        lambda: list(storage.list("")),
    ]
    for call in calls:
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.reason is Reason.CREDENTIALS_REFUSED


def test_no_credentials(server: s3.S3, connected: list[S3], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = failure(connect(connected, f"s3://{server.bucket()}/x"))
    assert isinstance(found, Refused)
    assert found.reason is Reason.CREDENTIALS_REFUSED
    assert "set AWS_ACCESS_KEY_ID" in found.message


@pytest.mark.parametrize(("code", "reason"), [("AccessDenied", Reason.CREDENTIALS_REFUSED), ("InternalError", Reason.STORAGE_THROTTLED)])
def test_one_of_many_that_is_not_deleted_is_told(real: S3, monkeypatch: pytest.MonkeyPatch, code: str, reason: Reason) -> None:
    answer = {"Errors": [{"Key": "team/digits/blobs/a", "Code": code, "Message": "<Signature=...>"}]}
    monkeypatch.setattr(real.client, "delete_objects", lambda **_: answer)
    with pytest.raises(VolaryError) as caught:
        real.delete(["blobs/a", "blobs/b"])
    assert caught.value.reason is reason
    assert caught.value.message.endswith("blobs/a")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://no-such-host.invalid:9000"])
def test_nothing_listens(connected: list[S3], endpoint: str) -> None:
    found = failure(connect(connected, "s3://models/x", endpoint))
    assert isinstance(found, Transient)
    assert found.reason is Reason.STORAGE_UNREACHABLE
    assert endpoint.removeprefix("http://") in found.message


def test_a_server_that_does_not_answer(connected: list[S3], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("volary.adapters.storage.s3.READ_SECONDS", 0.2)
    with leaking(), socket.create_server(("127.0.0.1", 0)) as silent:
        found = failure(connect(connected, "s3://models/x", f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert isinstance(found, Transient)
    assert found.reason is Reason.STORAGE_UNREACHABLE


@pytest.mark.parametrize("endpoint", ["nonsense", "http://", "ftp://x"])
def test_an_endpoint_that_is_none(connected: list[S3], endpoint: str) -> None:
    with pytest.raises(VolaryError) as caught:
        connect(connected, "s3://models/x", endpoint).read("versions/1.json", 1)
    assert caught.value.reason in (Reason.SPEC_INVALID, Reason.STORAGE_UNREACHABLE)


def test_credentials_in_an_endpoint_are_not_shown(connected: list[S3]) -> None:
    storage = connect(connected, "s3://models/x", "http://user:password@127.0.0.1:1")
    assert "password" not in storage.place
    assert "password" not in failure(storage).message


# ---- the whole way ----------------------------------------------------------------------------


def test_from_the_model_to_a_verified_directory(server: s3.S3, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"s3://{server.bucket()}/team/double"
    bundle, log, models_path = str(tmp_path / "bundle"), str(tmp_path / "log"), str(tmp_path / "models")
    model = str(models.double(tmp_path / "double.onnx"))
    np.save(tmp_path / "x.npy", np.ones((2, 3), np.float32))
    assert main(["pack", model, "--name", "double", "--version", "1.0.0", "--golden", str(tmp_path / "x.npy"), "-o", bundle]) == 0
    capsys.readouterr()
    assert main(["push", bundle, uri]) == 0
    pushed = capsys.readouterr()
    digest = yaml.safe_load(pushed.out.partition("\n")[2])["spec"]["model"]["digest"]
    assert yaml.safe_load(pushed.out.partition("\n")[2]) == {"spec": {"model": {"uri": uri, "version": "1.0.0", "digest": digest}}}
    assert main(["push", bundle, uri]) == 0
    assert "version 1.0.0 is already pushed" in capsys.readouterr().err
    assert main(["push", bundle, uri, "-o", "json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again | {"digest": digest, "uploaded": 0, "already": True} == again
    wanted = ["--uri", uri, "--version", "1.0.0", "--digest", digest, "--model", "double", "--runtime", "onnxruntime"]
    assert main(["preflight", *wanted, "--termination-log", log]) == 0
    assert json.loads(Path(log).read_text())["golden"] == 2
    capsys.readouterr()
    for downloaded in (json.loads(Path(log).read_text())["size"], 0):
        assert main(["pull", uri, "1.0.0", "-d", models_path, "-o", "json"]) == 0
        pulled = json.loads(capsys.readouterr().out)
        assert pulled | {"digest": digest, "downloaded": downloaded, "reused": 0} == pulled
    assert sorted(each.name for each in Path(models_path, "double", "1.0.0").iterdir()) == ["golden.json", "manifest.json", "model.onnx"]
    assert main(["inspect", f"{uri}/1.0.0", "-o", "json"]) == 0
    assert digest in capsys.readouterr().out
    assert main(["inspect", f"{uri}/2.0.0"]) == 1
    assert "there is no version 2.0.0" in capsys.readouterr().err


def test_a_model_that_lies_in_a_bucket_is_packed(server: s3.S3, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bucket, client = server.bucket(), server.client()
    data = models.double(tmp_path / "model.onnx").read_bytes()
    for key in ("team/digits/1/model.onnx", "team/digits/2/model.onnx", "team/one/model.onnx", "team/one/other.onnx", "evil/model.onnx"):
        client.put_object(Bucket=bucket, Key=key, Body=data)
    client.put_object(Bucket=bucket, Key="evil/a name", Body=b"x")
    client.close()
    words = ["--name", "digits", "--version", "1", "-o"]
    for place in ("team/digits", "team/digits/1/", "team/one/model.onnx"):
        output = tmp_path / place.replace("/", "-")
        assert main(["pack", f"s3://{bucket}/{place}", *words, str(output)]) == 0
        assert (output / "model.onnx").read_bytes() == data
    assert f"downloaded {len(data)} bytes from s3://{bucket}/team/one at 127.0.0.1:" in capsys.readouterr().err
    assert main(["pack", f"s3://{bucket}/evil", *words, str(tmp_path / "evil")]) == 1
    assert "the file name 'a name' is not allowed" in capsys.readouterr().err
    assert not (tmp_path / "evil").exists()


def test_from_a_signature_to_a_clean_bucket(server: s3.S3, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri, key, other = f"s3://{server.bucket()}/team/double", keys.pair(tmp_path), keys.pair(tmp_path, "other")
    public = ["--public-key", str(key.public)]

    def volary(*words: str | Path, code: int = 0) -> str:
        capsys.readouterr()
        assert main([str(word) for word in words]) == code
        told = capsys.readouterr()
        return told.out + told.err

    for version, content in (("1.0.0", b"one"), ("2.0.0", b"two")):
        bundles.make(tmp_path / version, version, data={"w.bin": content})
        volary("push", tmp_path / version, uri)
    wanted = ["--uri", uri, "--version", "1.0.0", "--model", "m", "--runtime", "onnxruntime", "--termination-log", tmp_path / "log"]
    assert "(SignatureMissing)" in volary("fetch", uri, "1.0.0", "-d", tmp_path / "models", *public, code=3)
    volary("preflight", *wanted, *public, code=3)
    assert json.loads((tmp_path / "log").read_text())["reason"] == "SignatureMissing"
    volary("sign", f"{uri}/1.0.0", "--private-key", key.private)
    volary("preflight", *wanted, *public)
    volary("preflight", *wanted, "--public-key", other.public, code=3)
    assert json.loads((tmp_path / "log").read_text())["reason"] == "SignatureUntrusted"
    assert "(SignatureUntrusted)" in volary("fetch", uri, "1.0.0", "-d", tmp_path / "models", "--public-key", other.public, code=3)
    assert not (tmp_path / "models").exists()
    volary("fetch", uri, "1.0.0", "-d", tmp_path / "models", *public)
    volary("alias", "set", uri, "prod", "1.0.0")
    assert "signed as you asked" in volary("verify", f"{uri}@prod", *public)
    listed = json.loads(volary("list", uri, "-o", "json"))
    assert {each["version"]: (each["signed"], each["aliases"]) for each in listed} == {"1.0.0": (True, ["prod"]), "2.0.0": (False, [])}
    assert "3 bytes to move" in volary("diff", f"{uri}@prod", f"{uri}/2.0.0", code=1)
    volary("export", f"{uri}@prod", "-o", tmp_path / "remote.zip")
    volary("import", tmp_path / "remote.zip", "-o", tmp_path / "imported", *public)
    volary("export", tmp_path / "imported", "-o", tmp_path / "local.zip")
    assert (tmp_path / "remote.zip").read_bytes() == (tmp_path / "local.zip").read_bytes()
    place = storages.connect(layout.parse(uri))
    place.put(layout.blob_key("0" * 64), b"orphan")
    assert "1 blobs, 6 bytes are too young" in volary("gc", uri)
    assert "deleted 1 blobs, 6 bytes" in volary("gc", uri, "--grace", "0s", "--delete")
    assert not storages.exists(place, layout.blob_key("0" * 64), 6)
    place.delete([layout.blob_key(hashlib.sha256(b"two").hexdigest())])
    place.client.close()
    assert "(FileNotFound)" in volary("verify", f"{uri}/2.0.0", code=1)
    volary("verify", f"{uri}/1.0.0")


def test_a_new_head_moves_the_head_both_ways(server: s3.S3, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes counted on a real storage: 3 MiB of backbone stay where they are, 300 KiB of head move."""
    uri = f"s3://{server.bucket()}/heads"

    def said(*words: str) -> dict[str, Any]:
        assert main([*words, "-o", "json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    for version in ("1", "2"):
        model = str(models.with_head(tmp_path / "head.onnx", seed=int(version)))
        assert main(["pack", model, "--name", "head", "--version", version, "-o", str(tmp_path / version)]) == 0
        capsys.readouterr()
        pushed = said("push", str(tmp_path / version), uri)
        pulled = said("pull", uri, version, "-d", str(tmp_path / "models"))
        assert pushed["uploaded"] == pulled["downloaded"]
        assert pulled["downloaded"] + pulled["reused"] == pulled["size"]
    assert models.HEAD_BYTES <= pushed["uploaded"] <= 1.1 * models.HEAD_BYTES
    assert (tmp_path / "models/head/2/model.onnx").read_bytes() == (tmp_path / "head.onnx").read_bytes()
    nowhere = ("--digest", pulled["digest"], "--endpoint", "http://127.0.0.1:1")
    assert said("pull", uri, "2", "-d", str(tmp_path / "models"), *nowhere)["downloaded"] == 0
