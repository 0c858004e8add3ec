"""A model in memory and on disk. Whatever the tools leave to chance is put in order: the same graph gives the same bytes."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

from volary.common.errors import Refused, first_line
from volary.common.reasons import Reason
from volary.packaging.optimise.options import LINEAGE

# Protobuf cannot say more than 2 GiB in one message, and some tools copy a model as one: half of it is on the safe side.
WHOLE_BYTES = 1024**3
_BESIDE_BYTES = 1024  # tensors smaller than this stay in the model's file


def load(path: Path) -> Any:
    """The model with all its weights. An initializer that is listed as an input becomes a constant. Raises Refused (FormatUnsupported)."""
    try:
        model = onnx.load(path)
    except Exception as error:  # noqa: BLE001 -- protobuf and onnx each have their own
        raise Refused(Reason.FORMAT_UNSUPPORTED, f"{path} is not an ONNX model: {first_line(error)}") from None
    constants = {tensor.name for tensor in model.graph.initializer}
    _replace(model.graph.input, [value for value in model.graph.input if value.name not in constants])
    for tensor in tensors(model.graph):
        if tensor.float_data:  # one number a protobuf field, as skl2onnx writes them: they cannot be kept beside
            tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    model.ir_version = max(model.ir_version, 4)  # before 4 every initializer had to be an input too
    return model


def save(model: Any, path: Path, *, beside: bool) -> None:
    """Write it; with `beside`, its weights go into `<name>.data` next to it. The model in memory is spent then."""
    if beside:
        onnx.save_model(
            model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=_BESIDE_BYTES, convert_attribute=False
        )
        if (data := path.with_name(f"{path.name}.data")).exists():  # not where all weights are small
            data.chmod(path.stat().st_mode)  # onnx lets only its owner read it
    else:
        path.write_bytes(model.SerializeToString(deterministic=True))


def is_large(model: Any) -> bool:
    """Whether the weights must stay out of the file."""
    return sum(len(tensor.raw_data) for tensor in tensors(model.graph)) > WHOLE_BYTES


def lineage(model: Any) -> tuple[str, ...]:
    """The steps that it went through before."""
    found = next((each.value for each in model.metadata_props if each.key == LINEAGE), "")
    return tuple(word for word in found.split(",") if word)


def face(model: Any) -> Any:
    """All of it but nodes and weights: what the optimised model must keep, without holding large weights twice."""
    found = type(model)(producer_name=model.producer_name, producer_version=model.producer_version)
    found.graph.name = model.graph.name
    for field in ("input", "output"):
        getattr(found.graph, field).extend(getattr(model.graph, field))
    found.metadata_props.extend(model.metadata_props)
    return found


def finish(model: Any, original: Any, facts: dict[str, str]) -> None:
    """Give the model the face of the original (names, schema, producer, metadata), `facts`, and one order of everything.

    Raises Refused (FormatUnsupported) where a tool changed the inputs or outputs.
    """
    for field in ("input", "output"):
        wanted, found = getattr(original.graph, field), getattr(model.graph, field)
        if [value.name for value in wanted] != [value.name for value in found]:
            names = [value.name for value in found]
            raise Refused(Reason.FORMAT_UNSUPPORTED, f"the {field}s would become {names}; leave out steps until they stay as they are")
        _replace(found, wanted)
    model.producer_name, model.producer_version, model.graph.name = original.producer_name, original.producer_version, original.graph.name
    kept = {each.key: each.value for each in original.metadata_props} | facts
    del model.metadata_props[:]
    for key in sorted(kept):
        model.metadata_props.add(key=key, value=kept[key])
    _imports(model)
    _tidy(model)
    _sort(model.graph)


def graphs(graph: Any) -> Iterator[Any]:
    """The graph, its branches and loop bodies."""
    yield graph
    for node in graph.node:
        for inner in inner_graphs(node):
            yield from graphs(inner)


def inner_graphs(node: Any) -> Iterator[Any]:
    """Branches and bodies of one node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def tensors(graph: Any) -> Iterator[Any]:
    """The initializers everywhere."""
    for each in graphs(graph):
        yield from each.initializer


def _imports(model: Any) -> None:
    """ONNX Runtime imports all domains it knows; other runtimes know fewer."""
    nodes = [node for graph in graphs(model.graph) for node in graph.node] + [node for each in model.functions for node in each.node]
    used = {_domain(node.domain) for node in nodes} | {""}
    found = {_domain(each.domain): each.version for each in model.opset_import}
    _replace(model.opset_import, [onnx.helper.make_opsetid(domain, found[domain]) for domain in sorted(found) if domain in used])


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _tidy(model: Any) -> None:
    """Without what is not needed to run it: notes of exporters hold paths and stack traces, inferred shapes can be inferred again."""
    for each in graphs(model.graph):
        del each.value_info[:]
        _without_notes(each, *each.node, *each.initializer)
    for function in model.functions:
        _without_notes(function, *function.node)
    model.ClearField("doc_string")


def _without_notes(*parts: Any) -> None:
    for part in parts:
        part.ClearField("doc_string")
        del part.metadata_props[:]


def _sort(graph: Any) -> None:
    """Initializers by name; nodes after those they read, else as they were (fp16 appends its casts at the end, which ONNX forbids)."""
    graph.initializer.sort(key=lambda tensor: tensor.name)
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs = [{makers[name] for name in _reads(node) if name in makers} - {index} for index, node in enumerate(graph.node)]
    readers: dict[int, list[int]] = {}
    for index, needed in enumerate(needs):
        for maker in needed:
            readers.setdefault(maker, []).append(index)
    missing = [len(needed) for needed in needs]
    ready = [index for index, count in enumerate(missing) if not count]
    order = []
    while ready:
        order.append(heapq.heappop(ready))
        for reader in readers.get(order[-1], ()):
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    _replace(graph.node, [graph.node[index] for index in order])
    for node in graph.node:
        for inner in inner_graphs(node):
            _sort(inner)


def _reads(node: Any) -> Iterator[str]:
    """What a node needs, its branches included: they see the names around them."""
    yield from node.input
    for inner in inner_graphs(node):
        for each in inner.node:
            yield from _reads(each)
        yield from (value.name for value in inner.output)


def _replace(field: Any, values: Any) -> None:
    kept = [type(value).FromString(value.SerializeToString()) for value in values]  # they may be in the field that is emptied
    del field[:]
    field.extend(kept)
