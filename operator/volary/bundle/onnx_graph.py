"""What an ONNX model is made of, found without loading it: `check` returns facts or refuses.

Looked at is every place where ONNX can hold a node or a tensor: the main graph, bodies of If, Loop
and Scan, functions and the defaults of their attributes, graphs for training, sparse tensors.
Scanners that looked at the main graph's initializers only have called models clean that read
`/etc/passwd` through a sparse constant.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from volary.bundle import call_graph, limits, onnx_tensor, paths, protobuf
from volary.bundle.call_graph import Body, Key
from volary.bundle.facts import External, Facts, Operator
from volary.bundle.formats import Format
from volary.bundle.onnx_operators import ALLOWED, IR_VERSION, OPSETS, RESERVED
from volary.bundle.onnx_schema import ATTRIBUTE, FUNCTION, GRAPH, MODEL, NODE, OPSET, TRAINING, VALUE
from volary.bundle.protobuf import Reader, Span, Walker
from volary.common.errors import Refused
from volary.common.reasons import Reason

_MAIN: Key = ("the main graph",)


@dataclass(slots=True)
class _Body:
    """A function or the main graph while it is read."""

    nodes: int = 0
    calls: Counter[Key] = field(default_factory=Counter)


@dataclass(slots=True)
class _Found:
    """What was found so far."""

    ir_version: int = 0
    producer: list[str] = field(default_factory=list)
    opsets: dict[str, int] = field(default_factory=dict)
    seen: dict[Key, tuple[int, str]] = field(default_factory=dict)  # operator -> how many nodes, the first of them
    bodies: dict[Key, _Body] = field(default_factory=dict)
    external: list[External] = field(default_factory=list)
    constants: set[str] = field(default_factory=set)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def check(
    reader: Reader,
    size: int,
    name: str,
    files: Mapping[str, int],
    *,
    domains: Collection[str] = (),
    budget: int = limits.GRAPH_BYTES,
) -> Facts:
    """Facts of the model file `name` of `size` bytes, at most `budget` of which are read.

    `files` are the names and sizes of the bundle's data files; `domains` are those of custom operators that the
    caller has libraries for. Raises Refused: ModelInvalid, OperatorNotAllowed, ExternalDataInvalid, LimitExceeded.
    """
    inspection = _Inspection(Walker(reader, size, name, budget=budget), files)
    inspection.model()
    found = inspection.found
    _check_versions(name, found)
    _check_operators(name, found, frozenset(domains))
    call_graph.check(name, {key: Body(body.nodes, body.calls) for key, body in found.bodies.items()})
    return _facts(found)


class _Inspection:
    """One pass over the file. A method reads a message of its name."""

    def __init__(self, walker: Walker, files: Mapping[str, int]) -> None:
        self.found = _Found()
        self._walker = walker
        self._files = files
        self._body = _Body()
        self._text = walker.text

    def model(self) -> None:
        graphs = 0
        self._enter(_MAIN)
        for number, value in self._walker.fields(self._walker.root, MODEL):
            match number, value:
                case 1, int():
                    self.found.ir_version = protobuf.signed(value)
                case ((2 | 3), Span()):
                    self.found.producer.append(self._text(value)[: limits.BUILD_VALUE])
                case 7, Span():
                    graphs += 1
                    self._graph(value, "of the main graph", main=True)
                case 8, Span():
                    self._opset(value)
                case 20, Span():
                    self._training(value)
                case 25, Span():
                    self._function(value)
                    self._body = self.found.bodies[_MAIN]
                case _:
                    pass
        if not graphs:
            raise self._walker.invalid(0, "it has no graph")

    def _training(self, message: Span) -> None:
        for number, value in self._walker.fields(message, TRAINING):
            if number in (1, 2) and isinstance(value, Span):
                self._graph(value, "of a graph for training")

    def _function(self, message: Span) -> None:
        # The key comes in fields before and after the nodes, so those are read before it is known whose they are.
        words = {1: "", 10: "", 13: ""}
        self._body = _Body()
        for number, value in self._walker.fields(message, FUNCTION):
            match number, value:
                case ((1 | 10 | 13), _):
                    words[number] = self._text(value)
                case 7, Span():
                    self._node(value, f"of the function {paths.show(words[1])}")
                case 9, Span():
                    self._opset(value)
                case 11, Span():
                    self._attribute(value, f"of the function {paths.show(words[1])}")
                case _:
                    pass
        key = _key(words[10], words[1], words[13])
        if key in self.found.bodies:
            raise self._walker.invalid(message.start, f"the function {call_graph.show(key)} is defined twice")
        self.found.bodies[key] = self._body

    def _opset(self, message: Span) -> None:
        domain, version = "", 0
        for number, value in self._walker.fields(message, OPSET):
            if number == 1:
                domain = _plain(self._text(value))
            elif isinstance(value, int):
                version = protobuf.signed(value)
        self.found.opsets[domain] = max(version, self.found.opsets.get(domain, version))

    def _graph(self, message: Span, owner: str, *, main: bool = False) -> None:
        for number, value in self._walker.fields(message, GRAPH):
            match number, value:
                case 1, Span():
                    self._node(value, owner)
                case 5, Span():
                    self._tensor(value, owner, constant=main)
                case 15, Span():
                    self.found.external += onnx_tensor.check_sparse(self._walker, value, owner, self._files)
                case 11, Span() if main:
                    self.found.inputs.append(self._name(value))
                case 12, Span() if main:
                    self.found.outputs.append(self._name(value))
                case _:
                    pass

    def _name(self, message: Span) -> str:
        return next((self._text(value) for number, value in self._walker.fields(message, VALUE) if number == 1), "")

    def _tensor(self, message: Span, owner: str, *, constant: bool = False) -> None:
        name, external = onnx_tensor.check(self._walker, message, owner, self._files)
        if external is not None:
            self.found.external.append(external)
        if constant:
            self.found.constants.add(name)

    def _node(self, message: Span, owner: str) -> None:
        words, output = {3: "", 4: "", 7: "", 8: ""}, ""
        for number, value in self._walker.fields(message, NODE):
            match number, value:
                case ((3 | 4 | 7 | 8), _):
                    words[number] = self._text(value)
                case 2, _:
                    output = output or self._text(value)
                case 5, Span():
                    self._attribute(value, f"of the node {paths.show(words[3] or output)}")
                case _:
                    pass
        key = _key(words[7], words[4], words[8])
        self._body.nodes += 1
        self._body.calls[key] += 1
        count, first = self.found.seen.get(key, (0, f"the node {paths.show(words[3] or output)} {owner}"))
        self.found.seen[key] = (count + 1, first)
        if len(self.found.seen) > limits.GRAPH_OPERATORS:
            raise self._walker.beyond(f"has more than {limits.GRAPH_OPERATORS:,} different operators")

    def _attribute(self, message: Span, owner: str) -> None:
        for number, value in self._walker.fields(message, ATTRIBUTE):
            match number, value:
                case ((5 | 10), Span()):
                    self._tensor(value, owner)
                case ((6 | 11), Span()):
                    self._graph(value, owner)
                case ((22 | 23), Span()):
                    self.found.external += onnx_tensor.check_sparse(self._walker, value, owner, self._files)
                case _:
                    pass

    def _enter(self, key: Key) -> None:
        self._body = self.found.bodies[key] = _Body()


def _key(domain: str, name: str, overload: str) -> Key:
    return (_plain(domain), name, overload)


def _plain(domain: str) -> str:
    """The standard's domain has two names."""
    return "" if domain == "ai.onnx" else domain


def _check_versions(name: str, found: _Found) -> None:
    if not 1 <= found.ir_version <= IR_VERSION:
        raise Refused(
            Reason.MODEL_INVALID,
            f"{paths.show(name)} has the IR version {found.ir_version}, expected 1 to {IR_VERSION}; export it for an older one",
        )
    for domain, version in found.opsets.items():
        newest = OPSETS.get(domain)
        if newest is not None and not 1 <= version <= newest:
            raise Refused(
                Reason.OPERATOR_NOT_ALLOWED,
                f"{paths.show(name)} uses opset {version} of {domain or 'ai.onnx'}, ONNX Runtime has 1 to {newest}; export it for one",
            )


def _check_operators(name: str, found: _Found, domains: frozenset[str]) -> None:
    for key, (_, first) in found.seen.items():
        domain, operator, _ = key
        reserved = domain in ALLOWED or domain.startswith(RESERVED)
        if operator in ALLOWED.get(domain, ()) or domain in domains or (not reserved and key in found.bodies):
            continue
        what = f"{paths.show(operator)} of the domain {paths.show(domain or 'ai.onnx')}"
        raise Refused(
            Reason.OPERATOR_NOT_ALLOWED,
            f"{paths.show(name)}: {first} is of the operator {what}, which is not on the list of those that only compute; "
            "export the model without it",
        )


def _facts(found: _Found) -> Facts:
    counts: Counter[tuple[str, str]] = Counter()
    for (domain, operator, _), (count, _first) in found.seen.items():
        counts[domain, operator] += count
    return Facts(
        format=Format.ONNX,
        producer=" ".join(part for part in found.producer if part),
        version=found.ir_version,
        opsets=tuple(sorted(found.opsets.items())),
        operators=tuple(Operator(domain, operator, count) for (domain, operator), count in sorted(counts.items())),
        inputs=tuple(each for each in found.inputs if each not in found.constants),
        outputs=tuple(found.outputs),
        external=tuple(found.external),
        functions=len(found.bodies) - 1,
    )
