"""Files made from the models are up to date, here and in whatever folder they are written to."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.install import REPOSITORY
from volary.api import reference
from volary.api.v1alpha1 import ModelDeployment
from volary.cli import crd as verb
from volary.common.reasons import Reason

if TYPE_CHECKING:
    from pathlib import Path

NO_DEPLOYMENT = ("storage-secret.yaml", "volary.yaml")
EXAMPLES = [path for path in sorted((REPOSITORY / "manifests" / "examples").glob("*.yaml")) if path.name not in NO_DEPLOYMENT]


def call(*arguments: str) -> int:
    """`volary crd ARGUMENTS`."""
    parser = argparse.ArgumentParser()
    verb.configure(parser)
    return verb.run(parser.parse_args(arguments))


def test_repository_is_up_to_date() -> None:
    assert verb.stale(REPOSITORY) == []


def test_root_is_here_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("--check") == 1
    assert call("--write") == 0
    assert call("--check") == 0


def test_print(capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 0
    assert capsys.readouterr().out == verb.definition()


def test_check_names_what_is_stale_and_write_mends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--write", str(tmp_path)) == 0
    assert call("--check", str(tmp_path)) == 0
    (tmp_path / "docs" / "reasons.md").write_text("old")
    capsys.readouterr()
    assert call("--check", str(tmp_path)) == 1
    assert "reasons.md is stale: run `make generate`" in capsys.readouterr().err
    assert call("--write", str(tmp_path)) == 0
    assert call("--check", str(tmp_path)) == 0


def test_every_reason_is_on_the_page() -> None:
    page = reference.reasons()
    assert [reason for reason in Reason if page.count(f"| `{reason}` |") != 1] == []


@pytest.mark.parametrize("page", [reference.fields(), reference.reasons()], ids=["fields", "reasons"])
def test_tables_are_whole(page: str) -> None:
    """Each row has as many cells as the head of its table."""
    for table in page.split("\n\n"):
        rows = [line.replace("\\|", "") for line in table.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_good(path: Path) -> None:
    for body in yaml.safe_load_all(path.read_text("utf-8")):
        ModelDeployment.model_validate(body)
