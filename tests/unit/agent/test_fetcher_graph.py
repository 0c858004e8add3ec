"""Bundles in order but for their graph or their size: nothing of them is published."""

from pathlib import Path

import pytest

from tests.unit.agent.test_fetcher import models as models  # noqa: PLC0414 -- a fixture
from tests.unit.agent.test_fetcher import refusal
from tests.unit.bundle import building, hostile_onnx
from tests.unit.bundle.inspecting import DATA
from volary.agent import store
from volary.agent.retry import Patience
from volary.bundle import limits
from volary.bundle.formats import Role
from volary.bundle.manifest import File
from volary.common.reasons import Reason

ONE_OF_EACH = {name.split()[0]: name for name in reversed(hostile_onnx.CASES) if name[:2].isdigit()}
WEIGHTS = {path: bytes(size) for path, size in DATA.items()}


@pytest.mark.parametrize("name", ONE_OF_EACH.values())
def test_a_hostile_graph_is_not_published(models: Path, patience: Patience, name: str) -> None:
    case = hostile_onnx.CASES[name]
    files = (building.file("model.onnx", case.data, Role.MODEL), *(building.file(path, data) for path, data in WEIGHTS.items()))
    storage, _ = building.stored(building.manifest(golden=None, files=files), case.data, *WEIGHTS.values())
    found = refusal(storage, models, patience)
    assert found.reason is case.reason
    assert case.text in found.message


def test_59_a_text_file_for_a_model(models: Path, patience: Patience) -> None:
    text = b"name,size\n"
    storage, _ = building.stored(building.manifest(golden=None, files=(building.file("model.onnx", text, Role.MODEL),)), text)
    assert refusal(storage, models, patience).reason is Reason.MODEL_INVALID


def test_38_50_gibibytes_of_zeros_are_refused_before_the_first_byte(
    models: Path, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "free", lambda _: 10 * limits.GIB)
    zeros = File(path="zeros", role=Role.DATA, sha256="0" * 64, size=50 * limits.GIB)
    storage, _ = building.stored(building.manifest(files=(*building.manifest().files, zeros)))
    found = refusal(storage, models, patience)
    assert found.reason is Reason.DISK_FULL
    assert "the bundle needs 50 GiB, the disk has 10 GiB left" in found.message
    assert storage.reads == []
