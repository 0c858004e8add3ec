from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.unit.packaging.optimise.given import Given
from volary.common.errors import Refused
from volary.common.reasons import Reason
from volary.packaging.optimise import graph


def value(name: str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2])


def chain(order: list[int], **more: Any) -> Any:
    """x -> h1 -> ... -> y with its nodes in the given order."""
    names = ["x", *(f"h{index}" for index in range(1, len(order))), "y"]
    nodes = [helper.make_node("Relu", [names[index]], [names[index + 1]]) for index in range(len(order))]
    found = helper.make_graph([nodes[index] for index in order], "chain", [value("x")], [value("y")])
    return helper.make_model(found, opset_imports=[helper.make_opsetid("", 21)], ir_version=10, **more)


def finished(model: Any, original: Any, facts: dict[str, str] | None = None) -> Any:
    graph.finish(model, original, facts or {})
    return model


@given(st.permutations(range(6)))
def test_nodes_come_after_those_they_read(order: list[int]) -> None:
    wanted = chain(list(range(6)))
    assert list(finished(chain(order), wanted).graph.node) == list(wanted.graph.node)


def test_a_branch_reads_what_is_around_it() -> None:
    """The If has no such input, yet it must come after the node that its branch reads."""
    branches = [
        helper.make_graph(
            [helper.make_node("Neg", ["h"], [name])], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)]
        )
        for name in ("a", "b")
    ]
    nodes = [
        helper.make_node("If", ["which"], ["y"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Relu", ["x"], ["h"]),
    ]
    inputs = [value("x"), helper.make_tensor_value_info("which", TensorProto.BOOL, [])]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, [value("y")]))
    assert [node.op_type for node in finished(model, model).graph.node] == ["Relu", "If"]


def test_notes_and_paths_of_tools_go_the_authors_metadata_stays() -> None:
    original = chain([0], producer_name="trainer", producer_version="1")
    original.metadata_props.add(key="author", value="me")
    model = chain([0], producer_name="onnx.quantize", doc_string="made in /home/me")
    model.graph.node[0].metadata_props.add(key="stack", value="/home/me/model.py:3")
    model.graph.node[0].doc_string = "/home/me"
    model.metadata_props.add(key="onnx.infer", value="onnxruntime.quant")
    model.opset_import.extend([helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("ai.onnx.ml", 3)])
    finished(model, original, {"volary.optimised": "simplify"})
    assert b"/home/me" not in model.SerializeToString()
    assert model.producer_name == "trainer"
    assert {each.key: each.value for each in model.metadata_props} == {"author": "me", "volary.optimised": "simplify"}
    assert [each.domain for each in model.opset_import] == [""]
    assert graph.lineage(model) == ("simplify",)


def test_names_that_a_tool_changed_are_refused() -> None:
    model = chain([0])
    model.graph.output[0].name = "other"
    with pytest.raises(Refused, match=r"the outputs would become \['other'\]") as caught:
        graph.finish(model, chain([0]), {})
    assert caught.value.reason is Reason.FORMAT_UNSUPPORTED


def test_weights_beside_the_model_are_read_and_written(convolutions: Given, tmp_path: Path) -> None:
    whole = graph.load(convolutions.path)
    graph.save(graph.load(convolutions.path), tmp_path / "m.onnx", beside=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    read = graph.load(tmp_path / "m.onnx")
    assert [numpy_helper.to_array(tensor).tobytes() for tensor in read.graph.initializer] == [
        numpy_helper.to_array(tensor).tobytes() for tensor in whole.graph.initializer
    ]


def test_an_initializer_that_is_an_input_too_becomes_a_constant(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones(2, np.float32), "w")
    nodes = [helper.make_node("Mul", ["x", "w"], ["y"])]
    listed = helper.make_tensor_value_info("w", TensorProto.FLOAT, [2])
    model = helper.make_model(helper.make_graph(nodes, "old", [value("x"), listed], [value("y")], [weight]), ir_version=3)
    onnx.save(model, tmp_path / "m.onnx")
    assert [each.name for each in graph.load(tmp_path / "m.onnx").graph.input] == ["x"]


def test_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"<html>")
    with pytest.raises(Refused, match="is not an ONNX model"):
        graph.load(tmp_path / "m.onnx")
