"""`volary list s3://...` and `volary history`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import keys
from tests.unit.trust import bundles
from tests.unit.trust.conftest import Command
from volary import packaging
from volary.adapters.storage import InMemory
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.packaging import signing
from volary.packaging.signing import Signer

URI = "s3://models/digits"
START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def pushed(memory: InMemory, tmp_path: Path) -> InMemory:
    """1.10.0 is newer than 1.9.0, which its name does not tell a sort."""
    for day, (version, content, accuracy) in enumerate((("1.9.0", b"old", "0.91"), ("1.10.0", b"larger", "0.93"))):
        memory.clock = lambda day=day: START + timedelta(days=day)  # type: ignore[misc]
        bundle = bundles.make(tmp_path / version, version, data={"w.bin": content}, build={"accuracy": accuracy})
        if version == "1.10.0":
            signing.sign_bundle(bundle.path, Signer(keys.pair(tmp_path).private))
        packaging.push(bundle.path, URI, storage=memory)
        memory.put(f"versions/{version}.json", memory.objects[f"versions/{version}.json"])  # so that the fake knows when
    return memory


def test_the_versions_by_time(pushed: InMemory, command: Command) -> None:
    command("alias", "set", URI, "prod", "1.10.0")
    found = command("list", URI, "-o", "json")
    assert [each["version"] for each in found] == ["1.9.0", "1.10.0"]
    assert [each["created"] for each in found] == ["2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00"]
    assert [each["signed"] for each in found] == [False, True]
    assert [each["aliases"] for each in found] == [[], ["prod"]]
    assert all(each["digest"].startswith("sha256:") and each["format"] == "onnx" for each in found)
    told = command("list", URI)
    assert told.index("1.9.0") < told.index("1.10.0") < told.index("prod")


def test_what_each_version_changed(pushed: InMemory, command: Command) -> None:
    first, second = command("history", URI, "-o", "json")
    assert first["changes"] == []
    assert (first["bytesNew"], second["bytesNew"]) == (first["size"], len(b"larger"))
    assert [(each["kind"], each["name"]) for each in second["changes"]] == [("file", "w.bin"), ("metadata", "build.accuracy")]
    assert second["build"] == {"accuracy": "0.93"}
    assert "w.bin; build.accuracy 0.91 -> 0.93" in " ".join(command("history", URI).split())


def test_a_place_without_versions(memory: InMemory, command: Command) -> None:
    assert command("list", URI, "-o", "json") == []
    assert command("history", URI, "-o", "json") == []


def test_one_that_cannot_be_read_does_not_hide_the_others(pushed: InMemory, command: Command) -> None:
    pushed.put("versions/1.9.5.json", b"nonsense")
    pushed.put("versions/what is this", b"")
    found = command("list", URI, "-o", "json", code=1)
    assert [(each["version"], each.get("reason")) for each in found] == [("1.9.0", None), ("1.10.0", None), ("1.9.5", "ManifestInvalid")]
    for verb in ("list", "history"):
        told = command(verb, URI, code=1)
        assert "1.10.0" in told
        assert "version 1.9.5 in memory: the manifest is not valid" in told
    assert [each["bytesNew"] for each in command("history", URI, "-o", "json", code=1)][2] == 0


def test_names_of_a_stranger_are_shown_as_they_are_and_steer_no_terminal(pushed: InMemory, command: Command, tmp_path: Path) -> None:
    names = ("x", "\x1b[31mred", "[bold]loud[/bold]", "a\u202eb")
    inputs = tuple(Tensor(name=name, datatype=Datatype.FP32, shape=(-1, 3)) for name in names)
    pushed.clock = lambda: START + timedelta(days=9)
    packaging.push(bundles.make(tmp_path / "3", "3.0.0", inputs=inputs).path, URI, storage=pushed)
    for told in (command("history", URI), command("diff", f"{URI}/1.9.0", f"{URI}/3.0.0", code=1)):
        for shown in ("FP32 [any, 2] -> FP32 [any, 3]", "\\x1b[31mred", "[bold]loud[/bold]", "a\\u202eb"):
            assert shown in " ".join(told.split())
        assert "\x1b" not in told


def test_json_is_of_versions_only(command: Command) -> None:
    assert "(SpecInvalid)" in command("list", "-o", "json", code=1)
