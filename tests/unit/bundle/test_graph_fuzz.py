"""The inspector against chance: spoilt models, made-up messages, and agreement with the library on good ones.

Short here; `HYPOTHESIS_PROFILE=thorough` (`make test-thorough`) takes minutes.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx as library
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.unit.bundle import hostile_onnx, hostile_saved_model
from tests.unit.bundle.hostile_onnx import OPSET, inside, outside, sparse
from tests.unit.bundle.inspecting import DATA, onnx, spoilt, tensorflow
from tests.unit.bundle.wire import field, tag, varint
from volary.bundle import call_graph, limits
from volary.bundle.call_graph import Body
from volary.bundle.facts import Facts
from volary.common.errors import Refused
from volary.common.reasons import Reason

QUICK = os.environ.get("HYPOTHESIS_PROFILE", "quick") == "quick"
often = settings(
    max_examples=100 if QUICK else 20_000,
    derandomize=QUICK,
    deadline=None if QUICK else 2_000,  # milliseconds: looking into a small file is bounded
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
pytestmark = pytest.mark.timeout(60 if QUICK else 3600)
REASONS = {Reason.MODEL_INVALID, Reason.OPERATOR_NOT_ALLOWED, Reason.EXTERNAL_DATA_INVALID, Reason.LIMIT_EXCEEDED}
Look = Callable[[bytes], Facts]


def look(at: Look, data: bytes) -> Facts | None:
    """Facts, or one of the four reasons; any other exception fails the test."""
    try:
        return at(data)
    except Refused as error:
        refused = error
    assert refused.reason in REASONS
    assert refused.message.isascii()
    assert refused.message.isprintable()
    return None


def _fields(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(st.builds(field, st.integers(1, 26), inner), max_size=6).map(b"".join)


numbers = st.sampled_from([0, 1, 2, 7, 8, 127, 128, 2**31 - 1, 2**32, 2**63, 2**64 - 1])
leaves = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([b"location", b"weights.bin", b"../x", b"Add", b"If", b"", b"own", b"serve", b"Relu", b"StatefulPartitionedCall"]),
    st.lists(st.builds(lambda number, value: tag(number, 0) + varint(value), st.integers(1, 26), numbers), max_size=4).map(b"".join),
)
messages = st.recursive(leaves, _fields, max_leaves=30)

ONNX = [hostile_onnx.GOOD, *(case.data for case in hostile_onnx.CASES.values() if len(case.data) < limits.KIB * 8)]
ONNX += list(hostile_onnx.places(outside("weights.bin", offset="8", length="8")).values())
SAVED = [file.read_bytes() for file in sorted((Path(__file__).parent / "saved_models").glob("*.pb"))]
SAVED += [hostile_saved_model.GOOD, *(case.data for case in hostile_saved_model.CASES.values())]


@often
@given(spoilt(ONNX))
def test_a_spoilt_onnx_model_is_described_as_the_library_reads_it_or_refused(data: bytes) -> None:
    facts = look(onnx, data)
    if facts is not None:
        agree(facts, data)


@often
@given(spoilt(SAVED))
def test_a_spoilt_saved_model_is_described_or_refused(data: bytes) -> None:
    look(tensorflow, data)


@often
@given(messages)
def test_made_up_messages_are_described_or_refused(data: bytes) -> None:
    for whole in (data, hostile_onnx.by_hand(data), hostile_onnx.by_hand(hostile_onnx._GRAPH, more=data)):
        facts = look(onnx, whole)
        if facts is not None:
            agree(facts, whole)
    for whole in (data, hostile_saved_model.model(hostile_saved_model.Y, data), hostile_saved_model.saved(data)):
        look(tensorflow, whole)


# ---- agreement with the library: it parses, and its own description of the messages leads to every node and tensor


def everything(message: Any) -> Iterator[Any]:
    """A message and all below it, by reflection: nothing is forgotten because nothing is named."""
    yield message
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for each in value if descriptor.is_repeated else [value]:
                yield from everything(each)


def agree(facts: Facts, data: bytes) -> None:
    """The same operators and the same files as the library finds, where it can parse the model at all."""
    try:
        model = library.load_from_string(data)
    except Exception:  # noqa: BLE001 -- protobuf has several errors, and being stricter is no disagreement
        return
    found = list(everything(model))
    nodes = Counter((_plain(each.domain), _text(each.op_type)) for each in found if isinstance(each, library.NodeProto))
    assert {(each.domain, each.name): each.count for each in facts.operators} == dict(nodes)
    outside_ = Counter(_reference(each) for each in found if isinstance(each, TensorProto) and each.data_location == TensorProto.EXTERNAL)
    assert Counter((each.tensor, each.location, each.offset) for each in facts.external) == outside_
    assert not [
        each for each in found if isinstance(each, TensorProto) and each.external_data and each.data_location != TensorProto.EXTERNAL
    ]


def _reference(tensor: Any) -> tuple[str, str, int]:
    entries = {each.key: each.value for each in tensor.external_data}
    assert set(entries) <= {"location", "offset", "length", "checksum"}
    assert entries["location"] in DATA
    return _text(tensor.name), entries["location"], int(entries.get("offset", "0"))


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else _text(domain)


def _text(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


tensors = st.one_of(
    st.builds(lambda offset: outside("weights.bin", offset=str(offset), length="8"), st.integers(0, 56)),
    st.builds(lambda: outside("sub/more")),
    st.lists(st.floats(width=32), max_size=4).map(lambda data: inside([len(data)], float_data=data)),
    st.lists(st.integers(0, 255), max_size=4).map(lambda data: inside([len(data)], TensorProto.UINT8, raw_data=bytes(data))),
    st.lists(st.text(max_size=3), max_size=3).map(
        lambda data: inside([len(data)], TensorProto.STRING, string_data=[t.encode() for t in data])
    ),
)
domains = st.sampled_from(["", "ai.onnx"])
plain = st.builds(
    lambda name, domain, ints: helper.make_node(name, ["x"], ["y"], domain=domain, axes=ints),
    st.sampled_from(["Relu", "Add", "Squeeze"]),
    domains,
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=200),
)
constants = tensors.map(lambda tensor: helper.make_node("Constant", [], ["c"], value=tensor))
sparse_constants = tensors.map(lambda tensor: helper.make_node("Constant", [], ["c"], sparse_value=sparse(tensor)))
calls = st.builds(lambda number: helper.make_node(f"F{number}", ["a"], ["b"], domain="own"), st.integers(0, 2))


def _holders(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda kind, graph: helper.make_node(kind, ["x"], ["y"], body=graph), st.sampled_from(["Loop", "Scan", "If"]), _graphs(inner)
    )


def _graphs(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda nodes, tensors, more: helper.make_graph(nodes, "g", [], [], tensors, sparse_initializer=[sparse(each) for each in more]),
        st.lists(nodes, max_size=4),
        st.lists(tensors, max_size=2),
        st.lists(tensors, max_size=1),
    )


some_nodes = st.recursive(st.one_of(plain, constants, sparse_constants, calls), _holders, max_leaves=12)


@st.composite
def models(draw: st.DrawFn) -> bytes:
    """Valid for the inspector: a function calls only those after it."""
    functions = []
    for number in range(3):
        nodes = draw(st.lists(st.one_of(plain, constants), max_size=3))
        nodes += [helper.make_node(f"F{callee}", ["a"], ["b"], domain="own") for callee in range(number + 1, 3) if draw(st.booleans())]
        functions.append(helper.make_function("own", f"F{number}", ["a"], ["b"], nodes, [helper.make_opsetid("", OPSET)]))
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("own", 1)]
    made = helper.make_model(draw(_graphs(some_nodes)), opset_imports=imports, functions=functions, ir_version=10)
    content: bytes = made.SerializeToString()
    return content


@settings(often, max_examples=40 if QUICK else 5_000)
@given(models())
def test_a_good_model_is_described_as_the_library_reads_it(data: bytes) -> None:
    agree(onnx(data), data)


# ---- calls


@often
@given(st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=1, max_size=8))
def test_circles_of_calls_are_found_and_nothing_else(callees: list[list[int]]) -> None:
    bodies = {(str(number),): Body(1, Counter((str(callee),) for callee in found)) for number, found in enumerate(callees)}
    reached = [set(found) for found in callees]
    for _ in callees:
        reached = [found.union(*(reached[each] for each in found if each < len(callees))) for found in reached]
    if any(number in found for number, found in enumerate(reached)):
        with pytest.raises(Refused, match="calls itself"):
            call_graph.check("f", bodies)
    else:
        call_graph.check("f", bodies)


def test_a_long_chain_of_calls_is_no_circle() -> None:
    call_graph.check("f", {(str(number),): Body(1, {(str(number + 1),): 1}) for number in range(20_000)})
