"""What a TensorFlow SavedModel is made of, found without loading it: `check` returns facts or refuses.

TensorFlow says of itself that a model is a program: its operators read and write files, open
connections and call Python with the rights of the server. So every node is looked at, in the graph
and in each function, and its operator must be on a list of those that compute.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from volary.bundle import call_graph, limits, paths
from volary.bundle.call_graph import Body, Key
from volary.bundle.facts import Facts, Operator
from volary.bundle.formats import Format
from volary.bundle.protobuf import Reader, Schema, Span, Walker
from volary.bundle.saved_model_operators import ALLOWED, RESTORE, SAVE, SAVER
from volary.bundle.saved_model_schema import (
    ASSET,
    ATTRIBUTE,
    CALL,
    COLLECTION,
    COMPOSITE,
    ENTRY,
    FUNCTION,
    GRAPH,
    LIBRARY,
    LIST,
    META_GRAPH,
    META_INFO,
    NODE,
    NODE_LIST,
    OPERATOR,
    SAVED_MODEL,
    SIGNATURE,
    SPARSE,
    TENSOR_INFO,
)
from volary.bundle.saved_model_schema import SAVER as SAVER_SCHEMA
from volary.common.errors import Refused
from volary.common.reasons import Reason

TAG = "serve"
_SCHEMA_VERSION = 1
_INIT = "__saved_model_init_op"  # a signature that the server runs, and no request names


@dataclass(slots=True)
class _Code:
    """Nodes that run together: a function, or one node of the main graph."""

    operators: dict[str, str] = field(default_factory=dict)  # those of the saver, with a node that is of it
    inputs: list[str] = field(default_factory=list)  # names of nodes; of the main graph only
    calls: Counter[str] = field(default_factory=Counter)
    nodes: int = 0


@dataclass(slots=True)
class _Meta:
    """One meta graph."""

    tags: set[str] = field(default_factory=set)
    producer: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    graph: dict[str, _Code] = field(default_factory=dict)
    functions: dict[str, _Code] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)  # nodes that a request or the start of the server asks for
    restore: str = ""  # the node that reads the variables
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)


def check(reader: Reader, size: int, name: str, files: Collection[str], *, budget: int = limits.GRAPH_BYTES) -> Facts:
    """Facts of `saved_model.pb` of `size` bytes, at most `budget` of which are read; `files` are all names of the bundle.

    Raises Refused: ModelInvalid, OperatorNotAllowed, ExternalDataInvalid, LimitExceeded.
    """
    walker = Walker(reader, size, name, budget=budget)
    version, metas = 0, list[_Meta]()
    for number, value in walker.fields(walker.root, SAVED_MODEL):
        if number == 1 and isinstance(value, int):
            version = value
        elif isinstance(value, Span):
            metas.append(_Inspection(walker).meta_graph(value))
    if version != _SCHEMA_VERSION:
        raise walker.invalid(0, f"its schema version is {version}, expected {_SCHEMA_VERSION}")
    for meta in metas:
        _check_saver(walker.name, meta)
        _check_calls(name, meta)
        _check_assets(walker.name, meta, files)
    return _facts(_served(walker.name, metas))


class _Inspection:
    """One pass over a meta graph. A method reads a message of its name."""

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self._text = walker.text
        self._meta = _Meta()

    def meta_graph(self, message: Span) -> _Meta:
        for number, value in self._spans(message, META_GRAPH):
            match number:
                case 1:
                    self._info(value)
                case 2:
                    self._graph(value)
                case 3:
                    self._saver(value)
                case 4:
                    self._collection(value)
                case 5:
                    self._signature(value)
                case 6:
                    self._meta.assets += [self._text(name) for key, name in self._spans(value, ASSET) if key == 2]
                case _:
                    pass
        return self._meta

    def _info(self, message: Span) -> None:
        for number, value in self._spans(message, META_INFO):
            if number == 4:
                self._meta.tags.add(self._text(value))
            elif number == 5:
                self._meta.producer = f"tensorflow {self._text(value)[: limits.BUILD_VALUE]}"

    def _graph(self, message: Span) -> None:
        for number, value in self._spans(message, GRAPH):
            if number == 1:
                name, code = self._node(value, _Code(), "of the graph")
                if name in self._meta.graph:
                    raise self._walker.invalid(value.start, f"two nodes are named {paths.show(name)}")
                self._meta.graph[name] = code
                if len(self._meta.graph) > limits.GRAPH_WRITTEN:
                    raise self._walker.beyond(f"has more than {limits.GRAPH_WRITTEN:,} nodes outside of functions")
            elif number == 2:
                for kind, item in self._spans(value, LIBRARY):
                    if kind == 1:
                        self._function(item)

    def _function(self, message: Span) -> None:
        code, name = _Code(), ""
        for number, value in self._spans(message, FUNCTION):
            if number == 1:
                name = next((self._text(item) for key, item in self._spans(value, OPERATOR) if key == 1), "")
            elif number == 3:
                self._node(value, code, f"of the function {paths.show(name)}")
        code.inputs.clear()  # all nodes of a function run, whatever their inputs
        if name in self._meta.functions:
            raise self._walker.invalid(message.start, f"the function {paths.show(name)} is defined twice")
        self._meta.functions[name] = code

    def _node(self, message: Span, code: _Code, owner: str) -> tuple[str, _Code]:
        """Add a node to the code it is part of; its name, and the code."""
        name = operator = ""
        for number, value in self._spans(message, NODE):
            match number:
                case 1:
                    name = self._text(value)
                case 2:
                    operator = self._text(value)
                case 3:
                    code.inputs.append(_node_of(self._text(value)))
                case 5:
                    self._attribute_of(value, code)
                case _:
                    pass
        _check_operator(self._walker.name, operator, f"the node {paths.show(name)} {owner}")
        if operator in RESTORE | SAVE:
            code.operators.setdefault(operator, f"the node {paths.show(name)} {owner}")
        code.nodes += 1
        self._meta.counts[operator] += 1
        return name, code

    def _attribute_of(self, entry: Span, code: _Code) -> None:
        """The value of an entry of a map of attributes."""
        for number, value in self._spans(entry, ENTRY):
            if number == 2:
                self._attribute(value, code)

    def _attribute(self, message: Span, code: _Code) -> None:
        """Which functions it names. Those have attributes in turn."""
        for number, value in self._spans(message, ATTRIBUTE):
            if number == 10:
                self._call(value, code)
            elif number == 1:
                for kind, item in self._spans(value, LIST):
                    if kind == 9:
                        self._call(item, code)

    def _call(self, message: Span, code: _Code) -> None:
        for number, value in self._spans(message, CALL):
            if number == 1:
                code.calls[self._text(value)] += 1
            else:
                self._attribute_of(value, code)

    def _saver(self, message: Span) -> None:
        for number, value in self._spans(message, SAVER_SCHEMA):
            if number == 3:
                self._meta.restore = _node_of(self._text(value))

    def _collection(self, entry: Span) -> None:
        """All nodes that a collection names: the server runs those of some (`saved_model_main_op`), and it may be any."""
        for number, value in self._spans(entry, ENTRY):
            if number == 2:
                lists = [item for kind, item in self._spans(value, COLLECTION) if kind == 1]
                self._meta.served += [_node_of(self._text(name)) for item in lists for _, name in self._spans(item, NODE_LIST)]

    def _signature(self, entry: Span) -> None:
        name = ""
        for number, value in self._spans(entry, ENTRY):
            if number == 1:
                name = self._text(value)
                continue
            for side, tensor in self._spans(value, SIGNATURE):
                if side in (1, 2):
                    self._tensor(name, tensor, self._meta.inputs if side == 1 else self._meta.outputs)

    def _tensor(self, signature: str, entry: Span, names: list[str]) -> None:
        for number, value in self._spans(entry, ENTRY):
            if number == 2:
                self._meta.served += map(_node_of, self._tensor_info(value))
            elif signature != _INIT:
                names.append(f"{signature}.{self._text(value)}")

    def _tensor_info(self, message: Span) -> Iterator[str]:
        """The names of the tensors it is made of."""
        for number, value in self._spans(message, TENSOR_INFO):
            match number:
                case 1:
                    yield self._text(value)
                case 4:
                    yield from (self._text(item) for _, item in self._spans(value, SPARSE))
                case 5:
                    for kind, item in self._spans(value, COMPOSITE):
                        if kind == 2:
                            yield from self._tensor_info(item)
                case _:
                    pass

    def _spans(self, message: Span, schema: Schema) -> Iterator[tuple[int, Span]]:
        """The fields that are no numbers."""
        for number, value in self._walker.fields(message, schema):
            if isinstance(value, Span):
                yield number, value


def _node_of(tensor: str) -> str:
    """`name`, `name:0` and `^name` (a dependency without data) -> `name`."""
    return tensor.removeprefix("^").partition(":")[0]


def _check_operator(file: str, operator: str, node: str) -> None:
    if operator in ALLOWED or operator in SAVER or operator in RESTORE or operator in SAVE:
        return
    raise Refused(
        Reason.OPERATOR_NOT_ALLOWED,
        f"{file}: {node} is of the operator {paths.show(operator)}, which is not on the list of those that only compute; "
        "export the model without it",
    )


def _check_saver(file: str, meta: _Meta) -> None:
    """What saves and restores variables is in every SavedModel, and must not be where requests lead to."""
    served, restored = _reached(meta, meta.served), _reached(meta, [meta.restore])
    for reached, forbidden in ((served, RESTORE | SAVE), (restored, SAVE)):
        for code in reached:
            for operator, node in code.operators.items():
                if operator in forbidden:
                    raise Refused(
                        Reason.OPERATOR_NOT_ALLOWED,
                        f"{file}: {node} is of the operator {paths.show(operator)}, and the server would run it; "
                        "it is allowed only where TensorFlow saves variables; export the model without it",
                    )


def _reached(meta: _Meta, roots: Iterable[str]) -> list[_Code]:
    """All code that runs when these nodes of the main graph are asked for."""
    nodes, functions, found = list(roots), list[str](), list[_Code]()
    seen_nodes, seen_functions = set[str](), set[str]()
    while nodes or functions:
        if nodes:
            name, known, seen = nodes.pop(), meta.graph, seen_nodes
        else:
            name, known, seen = functions.pop(), meta.functions, seen_functions
        code = known.get(name)
        if code is None or name in seen:
            continue
        seen.add(name)
        found.append(code)
        nodes += code.inputs
        functions += code.calls
    return found


def _check_calls(file: str, meta: _Meta) -> None:
    main = Counter[str]()
    for code in meta.graph.values():
        main.update(code.calls)
    bodies: dict[Key, Body] = {(name,): Body(code.nodes, _keys(code.calls)) for name, code in meta.functions.items()}
    bodies["", "the graph"] = Body(len(meta.graph), _keys(main))
    call_graph.check(file, bodies)


def _keys(calls: Mapping[str, int]) -> dict[Key, int]:
    return {(name,): count for name, count in calls.items()}


def _check_assets(file: str, meta: _Meta, files: Collection[str]) -> None:
    for asset in meta.assets:
        try:
            paths.check(asset)
        except Refused as error:
            raise Refused(Reason.EXTERNAL_DATA_INVALID, f"{file} names the asset {paths.show(asset)}: {error.message}") from None
        if f"assets/{asset}" not in files:
            raise Refused(
                Reason.EXTERNAL_DATA_INVALID,
                f"{file} names the asset {paths.show(asset)}, but the bundle has no assets/{asset}; pack it again",
            )


def _served(file: str, metas: list[_Meta]) -> _Meta:
    """The one that a server loads."""
    found = [meta for meta in metas if meta.tags == {TAG}]
    if len(found) != 1:
        tags = "; ".join(", ".join(sorted(meta.tags)) or "none" for meta in metas) or "none"
        raise Refused(
            Reason.MODEL_INVALID,
            f"{file} has {len(found)} graphs with just the tag {TAG!r}, expected 1; the tags of its graphs are {ascii(tags)[1:-1][:200]}; "
            "save it with tf.saved_model.save",
        )
    return found[0]


def _facts(meta: _Meta) -> Facts:
    return Facts(
        format=Format.TENSORFLOW_SAVEDMODEL,
        producer=meta.producer,
        version=_SCHEMA_VERSION,
        opsets=(),
        operators=tuple(Operator("", operator, count) for operator, count in sorted(meta.counts.items())),
        inputs=tuple(sorted(meta.inputs)),
        outputs=tuple(sorted(meta.outputs)),
        functions=len(meta.functions),
    )
