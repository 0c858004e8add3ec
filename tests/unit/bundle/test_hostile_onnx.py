"""Hostile ONNX models, 40 to 56 of the list of hostile inputs; the models are in `hostile_onnx`."""

import onnx as library
import pytest

from tests.unit.bundle import hostile_onnx as hostile
from tests.unit.bundle import inspecting
from tests.unit.bundle.hostile_onnx import CASES, GOOD, encoded, graph, inside, outside
from tests.unit.bundle.inspecting import Case, onnx, refusal
from tests.unit.bundle.wire import field, message, tag, varint
from volary.bundle import limits, onnx_graph, protobuf
from volary.bundle.facts import External
from volary.bundle.onnx_schema import MODEL
from volary.bundle.protobuf import Schema, Wire
from volary.common.errors import Refused
from volary.common.reasons import Reason


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_hostile_model_is_refused(case: Case) -> None:
    found = refusal(onnx, case.data)
    assert case.text in found.message
    assert found.reason is case.reason
    assert "model.onnx" in found.message


@pytest.mark.parametrize("place", hostile.PLACES)
def test_weights_in_a_data_file_pass_wherever_they_are(place: str) -> None:
    data = hostile.places(outside("weights.bin", offset="8", length="8"))[place]
    facts = onnx(data.replace(b"Custom", b"Gather"))
    assert facts.external == (External("w", "weights.bin", 8, 8),)


@pytest.mark.parametrize("length", range(0, len(GOOD), 3))
def test_55_cut_off_anywhere(length: int) -> None:
    """A model that ends early is refused, unless it ends between two fields: then it is a smaller model."""
    try:
        facts = onnx(GOOD[:length])
    except Refused:
        return
    assert len(library.load_from_string(GOOD[:length]).graph.node) == sum(each.count for each in facts.operators)


def test_56_a_length_is_refused_before_it_is_read() -> None:
    reader = inspecting.counted(hostile.by_hand(more=tag(2, 2) + varint(2**31 - 1)))
    with pytest.raises(Refused, match="claims 2147483647 bytes"):
        onnx_graph.check(reader, reader.size, "model.onnx", {})
    assert reader.total == reader.size


def test_of_two_gigabytes_of_weights_none_are_read() -> None:
    weights = 2**31
    head = field(1, 8) + tag(7, 2)
    tensor = field(1, weights // 4) + field(2, 1) + field(8, "w") + tag(9, 2) + varint(weights)
    main = hostile._GRAPH + tag(5, 2) + varint(len(tensor) + weights) + tensor
    data = head + varint(len(main) + weights) + main
    reader = inspecting.counted(data, len(data) + weights)
    facts = onnx_graph.check(reader, reader.size, "model.onnx", {})
    assert [each.name for each in facts.operators] == ["Add"]
    assert reader.total <= 8 * limits.KIB


def test_more_graph_than_the_budget_is_refused_when_it_is_used_up() -> None:
    data = encoded(graph([library.helper.make_node("Relu", ["x"], [f"z{number}"]) for number in range(5_000)]))
    reader = inspecting.counted(data)
    with pytest.raises(Refused) as caught:
        onnx_graph.check(reader, reader.size, "model.onnx", {}, budget=limits.KIB * 32)
    assert caught.value.reason is Reason.LIMIT_EXCEEDED
    assert reader.total <= 32 * limits.KIB


def test_a_reader_that_ends_early_is_not_believed() -> None:
    with pytest.raises(Refused, match="bytes were asked for and 10 came"):
        onnx_graph.check(lambda _offset, _size: GOOD[:10], len(GOOD), "model.onnx", {})


def test_pages_grow_with_what_is_read_in_one_go() -> None:
    data = encoded(graph([library.helper.make_node("Relu", ["x"], [f"z{number}" * 100]) for number in range(3_000)]))
    reader = inspecting.counted(data)
    onnx_graph.check(reader, reader.size, "model.onnx", {})
    assert len(data) > limits.MIB
    assert reader.total == len(data)
    assert reader.calls < 12


def test_a_forest_of_many_numbers_is_quick() -> None:
    """A million numbers in an attribute are one field: with a field each, the limit on fields would be met by real forests."""
    ids = b"".join(field(8, number) for number in (0, 127, 128, 2**31, -1)) * 200_000
    node = message((4, "TreeEnsembleRegressor"), (5, ids + field(1, "nodes_nodeids")), (7, "ai.onnx.ml"))
    reader = inspecting.counted(hostile.by_hand(hostile._GRAPH + field(1, node)))
    facts = onnx_graph.check(reader, reader.size, "model.onnx", {})
    assert [each.name for each in facts.operators] == ["Add", "TreeEnsembleRegressor"]
    assert reader.size > 4 * limits.MIB


def test_a_custom_domain_that_the_caller_allows_passes() -> None:
    data = encoded(graph([library.helper.make_node("Shell", ["x"], ["z"], domain="mine")]))
    assert onnx(data, domains=("mine",)).operators[-1].domain == "mine"
    with pytest.raises(Refused):
        onnx(data, domains=("other",))


def test_a_good_model_is_described() -> None:
    tensors = [inside([2], float_data=[1.0, 2.0])]
    main = graph(hostile.call("F") + hostile.call("F"), tensors=tensors)
    facts = onnx(encoded(main, opsets={"own": 1}, functions=[hostile.function("F", hostile.call("Relu", ""))]))
    assert facts.producer == "test"
    assert facts.version == 10
    assert facts.opsets == (("", 21), ("own", 1))
    assert [(each.domain, each.name, each.count) for each in facts.operators] == [("", "Add", 1), ("", "Relu", 1), ("own", "F", 2)]
    assert (facts.inputs, facts.outputs, facts.functions) == (("x",), ("y",), 1)


def test_57_a_loop_of_a_trillion_turns_passes_and_is_left_to_the_golden_samples() -> None:
    """Nobody can tell from a graph how long it runs. In a pod it answers no golden sample in time."""
    turns = inside([], library.TensorProto.INT64, int64_data=[10**12])
    node = library.helper.make_node("Loop", ["turns"], ["z"], body=graph())
    assert onnx(encoded(graph([node], tensors=[turns]))).operators[-1].name == "Loop"


@pytest.mark.parametrize("page", [1, 2, 3, 7, 61])
def test_where_a_page_ends_changes_nothing(page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(data: bytes) -> str:
        try:
            return str(onnx(data))
        except Refused as error:
            return error.message

    small = [case.data for case in CASES.values() if len(case.data) < 1000] + [GOOD, *hostile.places(outside("weights.bin")).values()]
    small.append(encoded(graph([library.helper.make_node("Squeeze", ["x"], ["z"], axes=[0, -1, 300, 2**31] * 9)])))
    whole = [said(data) for data in small]
    monkeypatch.setattr(protobuf, "_PAGE", page)
    monkeypatch.setattr(protobuf, "_LARGE_PAGE", page)
    assert [said(data) for data in small] == whole


def test_a_run_of_numbers_is_one_field_whatever_its_tag() -> None:
    schema = Schema("Numbers", {1: Wire.VARINT}, {20: Wire.VARINT, 21: Wire.FIXED32}, bulk=frozenset({20, 21}))
    run, fixed = b"".join(field(20, number) for number in (0, 128, 2**63)), (tag(21, 5) + b"1234") * 3
    packed = field(20, varint(1) + varint(2))
    data = run + field(1, 7) + fixed + packed + run
    walker = protobuf.Walker(inspecting.counted(data), len(data), "numbers")
    found = list(walker.fields(walker.root, schema))
    assert [number for number, _ in found] == [20, 1, 21, 20, 20]
    assert [value if isinstance(value, int) else value.size for _, value in found] == [len(run), 7, len(fixed), 2, len(run)]


def test_limits_on_fields_names_and_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    walker = protobuf.Walker(inspecting.counted(GOOD), len(GOOD), "model.onnx", fields=2)
    with pytest.raises(Refused, match="has more fields") as caught:
        list(walker.fields(walker.root, MODEL))
    assert caught.value.reason is Reason.LIMIT_EXCEEDED
    monkeypatch.setattr(limits, "GRAPH_OPERATORS", 1)
    data = encoded(graph([library.helper.make_node("Relu", ["x"], ["z"])]))
    assert "more than 1 different operators" in refusal(onnx, data).message
    monkeypatch.setattr(protobuf, "_TEXTS", 5)
    assert "names that are too long" in refusal(onnx, GOOD).message


@pytest.mark.parametrize(
    ("value", "signed", "small"),
    [(0, 0, 0), (2**63 - 1, 2**63 - 1, -1), (2**63, -(2**63), 0), (2**64 - 1, -1, -1), (2**32 + 1, 2**32 + 1, 1)],
)
def test_numbers(value: int, signed: int, small: int) -> None:
    assert protobuf.signed(value) == signed
    assert protobuf.small(value) == small
