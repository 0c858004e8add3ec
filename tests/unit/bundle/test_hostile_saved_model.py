"""Hostile SavedModels, 63 to 74 of the list of hostile inputs; the models are in `hostile_saved_model`."""

from pathlib import Path

import pytest

from tests.unit.bundle import building, inspecting
from tests.unit.bundle.hostile_saved_model import (
    CALL,
    CASES,
    CREATE,
    GOOD,
    SERVING,
    TABLE,
    VARIABLE,
    Y,
    function,
    meta,
    model,
    node,
    saved,
    signature,
    with_table,
)
from tests.unit.bundle.inspecting import Case, refusal, tensorflow
from tests.unit.bundle.wire import entries, field, message, tag, varint
from volary.bundle import graph, limits, saved_model
from volary.bundle import manifest as manifests
from volary.bundle.formats import Format, Role
from volary.bundle.saved_model_operators import ALLOWED, RESTORE, SAVE, SAVER, TABLES
from volary.common.errors import Refused
from volary.common.reasons import Reason


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_hostile_model_is_refused(case: Case) -> None:
    found = refusal(tensorflow, case.data)
    assert case.text in found.message
    assert found.reason is case.reason
    assert "saved_model.pb" in found.message


def test_a_good_model_is_described() -> None:
    facts = tensorflow(GOOD)
    assert facts.producer == "tensorflow 2.21.0"
    assert (facts.inputs, facts.outputs, facts.functions) == (("serving_default.x",), ("serving_default.y",), 3)
    assert [(each.name, each.count) for each in facts.operators] == [
        ("AssignVariableOp", 1),
        ("Identity", 1),
        ("MergeV2Checkpoints", 1),
        ("Placeholder", 2),
        ("Relu", 1),
        ("RestoreV2", 1),
        ("SaveV2", 1),
        ("ShardedFilename", 1),
        ("StatefulPartitionedCall", 3),
        ("StringJoin", 1),
    ]


PASSES: dict[str, bytes] = {
    "an asset of the bundle": saved(meta(Y, assets=["words.txt"])),
    "a graph for training beside it": saved(meta(Y), meta(Y, tags=["train"])),
    "a function called twice": model(CALL, node("z", "PartitionedCall", calls=["f"]), functions=[function("f", node("n", "NoOp"))]),
    "a call of what is not there": model(CALL),
    "saving as TensorFlow 1 writes it": model(
        Y, node("save/SaveV2", "SaveV2", "save/Const"), node("save/control_dependency", "Identity", "save/SaveV2")
    ),
    "an init signature": saved(meta(Y, node("init", "NoOp"), signatures=SERVING | {"__saved_model_init_op": signature({}, {"a": "init"})})),
    "a collection of bytes": saved(meta(Y, collections={"variables": field(2, field(1, b"\x00"))})),
    "a table of an asset": with_table(node("init", TABLE, "t", "a")),
    "a table of an asset, by a function": with_table(
        node("init", "StatefulPartitionedCall", "a", "t", calls=["create"]), functions=[CREATE]
    ),
    "a table of an asset, by a function of a function": with_table(
        node("same", "Identity", "a"),
        node("init", "StatefulPartitionedCall", "same", "t", calls=["outer"]),
        functions=[CREATE, function("outer", node("c", "PartitionedCall", "q", "r", calls=["create"]), parameters=["q", "r"])],
    ),
    "a table of an asset whose name is in a variable": with_table(*VARIABLE, functions=[CREATE]),
    "restoring as TensorFlow 1 writes it": saved(
        meta(
            Y,
            node("save/Const", "PlaceholderWithDefault", "save/filename/input"),
            node("save/RestoreV2", "RestoreV2", "save/Const", "names", "slices"),
            node("save/restore_all", "NoOp", "^save/RestoreV2"),
            saver=message((1, "save/Const:0"), (2, "save/control_dependency:0"), (3, "save/restore_all")),
        )
    ),
    "lists of numbers": model(Y + entries(5, {"strides": field(1, field(3, 1) + field(3, 1) + field(4, b"1234"))})),
}


@pytest.mark.parametrize("data", PASSES.values(), ids=PASSES)
def test_an_ordinary_model_passes(data: bytes) -> None:
    assert tensorflow(data).outputs == ("serving_default.y",)


@pytest.mark.parametrize(("name", "operator", "functions"), [("tf2", "StatelessWhile", 9), ("tf1", "Assign", 2)])
def test_what_tensorflow_writes_passes(name: str, operator: str, functions: int) -> None:
    """Real ones, with variables, a table of an asset, and a loop or a branch; `saved_models/make.py` tells how they were made."""
    data = (Path(__file__).parent / "saved_models" / f"{name}.pb").read_bytes()
    facts = tensorflow(data, files=("assets/words.txt",))
    assert facts.inputs == ("serving_default.words", "serving_default.x")
    assert facts.outputs == ("serving_default.ids", "serving_default.y")
    assert {operator, "InitializeTableFromTextFileV2", "SaveV2", "RestoreV2", "MatMul"} <= {each.name for each in facts.operators}
    assert facts.functions == functions
    found = refusal(lambda data: tensorflow(data, files=()), data)
    assert "the bundle has no assets/words.txt" in found.message


def test_of_a_gigabyte_of_constants_none_is_read() -> None:
    size = 2**30
    value = tag(8, 2) + varint(size)
    attribute = message((1, "value")) + tag(2, 2) + varint(len(value) + size) + value
    head = message((1, "c"), (2, "Const")) + tag(5, 2) + varint(len(attribute) + size) + attribute
    graph_ = field(1, Y) + field(1, node("x", "Placeholder")) + tag(1, 2) + varint(len(head) + size) + head
    info = field(1, field(4, "serve")) + entries(5, SERVING)
    body = info + tag(2, 2) + varint(len(graph_) + size) + graph_
    data = field(1, 1) + tag(2, 2) + varint(len(body) + size) + body
    reader = inspecting.counted(data, len(data) + size)
    assert len(saved_model.check(reader, reader.size, "saved_model.pb", ()).operators) == 3
    assert reader.total <= 8 * limits.KIB


def test_the_lists_do_not_overlap() -> None:
    assert not ALLOWED & (SAVE | RESTORE | SAVER | TABLES)
    assert len(ALLOWED) > 700


def bundle_of(*paths: str) -> bytes:
    files = [
        {"path": path, "role": "model" if path.endswith(".pb") else "data", "sha256": f"{number:064x}", "size": 1}
        for number, path in enumerate(paths)
    ]
    found = building.fields(format="tensorflow-savedmodel", files=files)
    del found["golden"]
    return building.encoded(found)


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["1/saved_model.pb", "2/saved_model.pb"], Reason.FORMAT_UNSUPPORTED),
        (["saved_model.pb", "2/saved_model.pb"], Reason.FORMAT_UNSUPPORTED),
        (["saved_model.pb", "2/variables/variables.index"], Reason.FORMAT_UNSUPPORTED),
        (["saved_model.pb", "assets/../x"], Reason.NAME_INVALID),
    ],
    ids=["74 two versions", "74 a version in a version", "74 variables of another version", "71 asset ../"],
)
def test_a_directory_that_is_no_saved_model_is_refused(paths: list[str], reason: Reason) -> None:
    with pytest.raises(Refused) as caught:
        manifests.parse(bundle_of(*paths))
    assert caught.value.reason is reason


def test_a_bundle_is_inspected_by_its_format() -> None:
    tf = building.manifest(golden=None, format=Format.TENSORFLOW_SAVEDMODEL, files=(building.file("saved_model.pb", GOOD, Role.MODEL),))
    assert graph.check(tf, lambda _: inspecting.counted(GOOD)).format is Format.TENSORFLOW_SAVEDMODEL
    onnx = building.manifest(golden=None)
    assert graph.check(onnx, lambda _: inspecting.counted(building.MODEL)).format is Format.ONNX
    with pytest.raises(Refused):
        graph.check(onnx.model_copy(update={"files": tf.files}), lambda _: inspecting.counted(GOOD))


def test_more_nodes_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GRAPH_WRITTEN", 5)
    assert "has more than 5 nodes" in refusal(tensorflow, GOOD).message
