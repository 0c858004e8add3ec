"""What changed between two bundles."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.unit.bundle import building
from tests.unit.packaging import models
from tests.unit.trust import bundles
from tests.unit.trust.conftest import Command
from volary import packaging
from volary.adapters.storage import InMemory
from volary.bundle import difference
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.packaging import Bundle, weights

URI = "s3://models/digits"


def changes(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["kind"], each["name"]) for each in found["changes"]]


def linear(path: Path, scale: float, extra: bool = False) -> Path:
    made = [numpy_helper.from_array(np.array([scale], np.float32), "w"), numpy_helper.from_array(np.array([1.0], np.float32), "b")]
    nodes = [helper.make_node("Mul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])]
    if extra:
        made.append(numpy_helper.from_array(np.array([7], np.int64), "unused"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return models.write(path, nodes, [models.value("x", ["batch", 3])], [models.value("y", ["batch", 3])], made)


def packed(path: Path, model: Path, version: str) -> Bundle:
    return packaging.pack(model, name="linear", version=version, output=path / version)


def test_the_same_is_0(tmp_path: Path, command: Command) -> None:
    for name in ("a", "b"):
        bundles.make(tmp_path / name)
    assert command("diff", tmp_path / "a", tmp_path / "b", "-o", "json") == {"changes": [], "bytesToMove": 0}
    assert "nothing to move" in command("diff", tmp_path / "a", tmp_path / "b")


def test_another_version_of_the_same_is_0(tmp_path: Path, command: Command) -> None:
    bundles.make(tmp_path / "a")
    bundles.make(tmp_path / "b", "2.0.0")
    assert changes(command("diff", tmp_path / "a", tmp_path / "b", "-o", "json")) == [("metadata", "version")]


def test_schema_files_and_metadata(tmp_path: Path, command: Command) -> None:
    bundles.make(tmp_path / "a", data={"gone.bin": b"gone", "w.bin": b"1"}, build={"volary": "0.1.0"})
    inputs = (Tensor(name="x", datatype=Datatype.FP32, shape=(-1, 3)), Tensor(name="z", datatype=Datatype.INT64, shape=(1,)))
    bundles.make(tmp_path / "b", "2.0.0", data={"new.bin": b"four", "w.bin": b"22"}, build={"volary": "0.2.0"}, inputs=inputs)
    found = command("diff", tmp_path / "a", tmp_path / "b", "-o", "json", code=1)
    assert changes(found) == [
        ("input", "x"),
        ("input", "z"),
        ("file", "gone.bin"),
        ("file", "new.bin"),
        ("file", "w.bin"),
        ("metadata", "build.volary"),
        ("metadata", "version"),
    ]
    assert found["bytesToMove"] == len(b"four") + len(b"22")
    assert found["changes"][1]["before"] is None
    told = command("diff", tmp_path / "a", tmp_path / "b", code=1)
    assert "~ input x: FP32 [any, 2] -> FP32 [any, 3]" in told
    assert "+ file new.bin: data, 4 bytes" in told
    assert "- file gone.bin" in told
    assert "6 bytes to move" in told


def test_a_renamed_file_moves_nothing(tmp_path: Path, command: Command) -> None:
    bundles.make(tmp_path / "a", data={"a.bin": b"content"})
    bundles.make(tmp_path / "b", data={"b.bin": b"content"})
    assert command("diff", tmp_path / "a", tmp_path / "b", "-o", "json", code=1)["bytesToMove"] == 0


def test_weights_by_name(tmp_path: Path, command: Command) -> None:
    packed(tmp_path, linear(tmp_path / "one" / "m.onnx", 2.0), "1.0.0")
    packed(tmp_path, linear(tmp_path / "two" / "m.onnx", 3.0, extra=True), "2.0.0")
    found = command("diff", tmp_path / "1.0.0", tmp_path / "2.0.0", "-o", "json", code=1)
    assert [each for each in changes(found) if each[0] == "tensor"] == [("tensor", "unused"), ("tensor", "w")]
    assert "+ tensor unused: INT64 [1]" in command("diff", tmp_path / "1.0.0", tmp_path / "2.0.0", code=1)


def test_weights_in_a_file_beside_are_read_there(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    bundle = packed(tmp_path, models.external(tmp_path / "in" / "m.onnx"), "1.0.0")
    inside = numpy_helper.from_array(np.arange(3, dtype=np.float32), "w")
    (tmp_path / "in2").mkdir()
    node = helper.make_node("Mul", ["x", "w"], ["y"])
    value = models.value
    plain = models.write(tmp_path / "in2" / "m.onnx", [node], [value("x", ["batch", 3])], [value("y", ["batch", 3])], [inside])
    assert weights.read(bundle) == weights.read(packed(tmp_path, plain, "2.0.0"))


def test_a_model_file_that_cannot_be_read_has_no_weights(tmp_path: Path, command: Command) -> None:
    plain: dict[str, bytes] = {}
    for name, data in (("a", plain), ("b", {"w.bin": b"1"})):
        bundles.make(tmp_path / name, data=data)
        (tmp_path / name / "model.onnx").write_bytes(b"\xff" * len(building.MODEL))
    assert weights.read(packaging.load(tmp_path / "a")) is None
    assert changes(command("diff", tmp_path / "a", tmp_path / "b", "-o", "json", code=1)) == [("file", "w.bin")]


def test_here_and_there(memory: InMemory, tmp_path: Path, command: Command) -> None:
    one, two = bundles.make(tmp_path / "1", "1.0.0"), bundles.make(tmp_path / "2", "2.0.0", data={"w.bin": b"123"})
    for bundle in (one, two):
        packaging.push(bundle.path, URI, storage=memory)
    command("alias", "set", URI, "prod", "1.0.0")
    assert command("diff", f"{URI}/1.0.0", tmp_path / "1", "-o", "json") == {"changes": [], "bytesToMove": 0}
    assert command("diff", f"{URI}@prod", f"{URI}/2.0.0", "-o", "json", code=1)["bytesToMove"] == 3


@pytest.mark.parametrize("words", [["nowhere", "nowhere"], ["s3://models", "nowhere"], [f"{URI}/9.9.9", f"{URI}@none"]])
def test_trouble_is_2(memory: InMemory, words: list[str], command: Command) -> None:
    assert "volary diff: " in command("diff", *words, code=2)


def test_bytes_are_counted_once_however_many_files_have_them(tmp_path: Path) -> None:
    one = bundles.make(tmp_path / "1").manifest
    two = bundles.make(tmp_path / "2", data={"a.bin": b"same", "b.bin": b"same"}).manifest
    assert difference.compare(one, two).move == 4
