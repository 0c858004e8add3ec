"""How many CPUs a container has."""

import os
from pathlib import Path

import pytest

from volary.serving import cores


@pytest.fixture(autouse=True)
def _eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", 8), ("50000 100000", 1), ("100000 100000", 1), ("250000 100000", 3), ("1600000 100000", 8), ("", 8)],
)
def test_version_2(tmp_path: Path, text: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{text}\n")
    assert cores.available(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", 8), ("150000", 2)])
def test_version_1(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert cores.available(tmp_path) == expected


def test_without_cgroups(tmp_path: Path) -> None:
    assert cores.available(tmp_path) == 8
