import json
from typing import Any, Protocol

import pytest

from volary.adapters.storage import InMemory
from volary.cli.main import main


class Command(Protocol):
    def __call__(self, *words: object, code: int = 0) -> Any: ...


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> InMemory:
    """The storage that every s3:// of the command line means in this test."""
    storage = InMemory()
    monkeypatch.setattr("volary.cli.storage.connect", lambda *_: storage)
    return storage


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """`volary ... -o json`, parsed; standard error where the exit code is not 0 or nothing is printed."""

    def run(*words: object, code: int = 0) -> Any:
        capsys.readouterr()
        assert main([str(word) for word in words]) == code
        told = capsys.readouterr()
        return json.loads(told.out) if told.out.startswith(("{", "[")) else told.out + told.err

    return run
