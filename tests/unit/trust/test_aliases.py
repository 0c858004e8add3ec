"""Aliases are for people: they are set, listed, followed by verbs that look, and never served."""

import json
from pathlib import Path

import pytest

from tests.unit.trust import bundles
from tests.unit.trust.conftest import Command
from volary import packaging
from volary.adapters import repository
from volary.adapters.storage import InMemory
from volary.agent import source
from volary.agent.source import Wanted
from volary.bundle import layout
from volary.cli.main import main
from volary.common.errors import Refused, Transient
from volary.common.reasons import Reason

URI = "s3://models/digits"


@pytest.fixture
def pushed(memory: InMemory, tmp_path: Path) -> InMemory:
    for version in ("1.0.0", "1.1.0"):
        packaging.push(bundles.make(tmp_path / version, version, data={"w.bin": version.encode()}).path, URI, storage=memory)
    return memory


def test_set_list_move_remove(pushed: InMemory, command: Command) -> None:
    command("alias", "set", URI, "prod", "1.0.0")
    command("alias", "set", URI, "canary", "1.1.0")
    found = command("alias", "list", URI, "-o", "json")
    assert [(each["alias"], each["version"]) for each in found] == [("canary", "1.1.0"), ("prod", "1.0.0")]
    assert found[1]["digest"] == repository.version(pushed, "1.0.0").digest
    command("alias", "set", URI, "prod", "1.1.0")
    assert command("inspect", f"{URI}@prod", "-o", "json")["manifest"]["version"] == "1.1.0"
    command("alias", "remove", URI, "prod")
    assert "prod" not in command("alias", "list", URI)
    assert "there is canary" in command("alias", "remove", URI, "prod", code=1)


@pytest.mark.parametrize(
    ("alias", "version", "reason"),
    [
        ("prod", "9.9.9", "VersionNotFound"),
        ("../prod", "1.0.0", "SpecInvalid"),
        ("a/b", "1.0.0", "SpecInvalid"),
        ("", "1.0.0", "SpecInvalid"),
        ("x" * 65, "1.0.0", "SpecInvalid"),
        ("prod\n", "1.0.0", "SpecInvalid"),
        ("prod", "../1.0.0", "SpecInvalid"),
        ("1.1.0", "1.0.0", "NameConflict"),
    ],
)
def test_what_cannot_be_set(pushed: InMemory, command: Command, alias: str, version: str, reason: str) -> None:
    before = dict(pushed.objects)
    assert f"({reason})" in command("alias", "set", URI, alias, version, code=1)
    assert pushed.objects == before


def test_no_pod_takes_an_alias_for_a_version(pushed: InMemory, command: Command) -> None:
    command("alias", "set", URI, "latest", "1.1.0")
    with pytest.raises(Refused) as caught:
        source.find(pushed, Wanted("latest"))
    assert caught.value.reason is Reason.VERSION_NOT_FOUND
    assert "latest is an alias of version 1.1.0" in caught.value.message
    assert "is an alias of" not in str(command("inspect", f"{URI}/9.9.9", code=1))


def test_fetch_takes_no_alias(pushed: InMemory, command: Command, tmp_path: Path) -> None:
    command("alias", "set", URI, "prod", "1.0.0")
    assert "is an alias of version 1.0.0" in command("fetch", URI, "prod", "-d", tmp_path / "out", code=3)
    assert "(SpecInvalid)" in command("fetch", URI, "@prod", "-d", tmp_path / "out", code=3)
    assert not (tmp_path / "out").exists()


def test_preflight_takes_no_alias(pushed: InMemory, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("volary.common.logs.configure", lambda *_: None)
    command("alias", "set", URI, "latest", "1.1.0")
    words = ["preflight", "--uri", URI, "--version", "latest", "--model", "m", "--runtime", "onnxruntime"]
    assert main([*words, "--termination-log", str(tmp_path / "log")]) == 3
    outcome = json.loads((tmp_path / "log").read_text())
    assert outcome["reason"] == "VersionNotFound"
    assert "alias of version 1.1.0" in outcome["message"]


def test_the_hint_does_not_hide_the_first_trouble(pushed: InMemory) -> None:
    pushed.objects[layout.alias_key("latest")] = b"nonsense"
    with pytest.raises(Refused) as caught:
        source.find(pushed, Wanted("latest"))
    assert caught.value.reason is Reason.VERSION_NOT_FOUND


def test_an_alias_that_cannot_be_read_is_told(pushed: InMemory, command: Command) -> None:
    for data in (b"", b"{}", b'{"version":"../x","digest":"sha256:' + b"0" * 64 + b'","updatedAt":""}'):
        pushed.objects[layout.alias_key("prod")] = data
        assert "(AliasInvalid)" in command("inspect", f"{URI}@prod", code=1)


def test_a_version_that_was_exchanged_behind_an_alias_is_told(pushed: InMemory, command: Command, tmp_path: Path) -> None:
    command("alias", "set", URI, "prod", "1.0.0")
    pushed.objects[layout.version_key("1.0.0")] = bundles.make(tmp_path / "other", "1.0.0").data
    assert "(ManifestDigestMismatch)" in command("inspect", f"{URI}@prod", code=1)


def test_no_such_alias(pushed: InMemory, command: Command) -> None:
    assert "there is no alias prod" in command("inspect", f"{URI}@prod", code=1)


def test_trouble_of_the_storage_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(InMemory):
        def read(self, key: str, limit: int) -> bytes:
            raise Transient(Reason.STORAGE_UNREACHABLE, f"{key} {limit}")

    with pytest.raises(Transient):
        repository.resolve(Away(), "prod")


def test_inspect_shows_the_graph_of_what_is_in_the_storage(pushed: InMemory, command: Command, tmp_path: Path) -> None:
    found = command("inspect", f"{URI}/1.1.0", "-o", "json")["graph"]
    assert found == command("inspect", tmp_path / "1.1.0", "-o", "json")["graph"]
    assert [each["name"] for each in found["operators"]] == ["Add"]
