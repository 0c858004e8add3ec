"""What a TensorFlow SavedModel is made of, found without loading it: `check` returns facts or refuses.

TensorFlow says of itself that a model is a program: its operators read and write files, open
connections and call Python with the rights of the server. So every node is looked at, in the graph
and in each function, and its operator must be on a list of those that compute.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from volary.bundle import call_graph, limits, paths, saved_model_files
from volary.bundle.call_graph import Body, Key
from volary.bundle.facts import Facts, Operator
from volary.bundle.formats import Format
from volary.bundle.protobuf import Reader, Schema, Span, Walker
from volary.bundle.saved_model_code import Code, Function, Node, node_of, total
from volary.bundle.saved_model_operators import ALLOWED, RESTORE, SAVE, SAVER, TABLES
from volary.bundle.saved_model_schema import (
    ANY,
    ANY_LIST,
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
    PARAMETER,
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
_ASSETS = "saved_model_assets"
_INIT = "__saved_model_init_op"  # a signature that the server runs, and no request names


@dataclass(slots=True)
class _Meta:
    """One meta graph."""

    tags: set[str] = field(default_factory=set)
    producer: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    code: Code = field(default_factory=Code)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)  # names of files


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
        _check_calls(name, meta.code)
        saved_model_files.check(walker.name, meta.code)
        _check_assets(walker.name, meta, files)
    return _facts(_served(walker.name, metas))


class _Inspection:
    """One pass over a meta graph. A method reads a message of its name."""

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self._text = walker.text
        self._meta = _Meta()
        self._collected: set[str] = set()
        self._nodes_left = limits.GRAPH_WRITTEN

    def meta_graph(self, message: Span) -> _Meta:
        own = False
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
                    own = True
                    self._asset(value, self._meta.code.assets)
                case _:
                    pass
        if not own:  # TensorFlow looks into the collection, where version 1 put them, only then
            self._meta.code.assets = self._collected
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
                self._node(value, self._meta.code.graph, "of the graph")
            elif number == 2:
                for kind, item in self._spans(value, LIBRARY):
                    if kind == 1:
                        self._function(item)

    def _function(self, message: Span) -> None:
        function, name = Function(), ""
        for number, value in self._spans(message, FUNCTION):
            if number == 1:
                name = self._operator(value, function)
            elif number == 3:
                self._node(value, function.nodes, f"of the function {paths.show(name)}")
        if _is_known(name):  # TensorFlow would call the function where a node of the operator stands
            raise self._walker.invalid(message.start, f"the function {paths.show(name)} has the name of an operator")
        if name in self._meta.code.functions:
            raise self._walker.invalid(message.start, f"the function {paths.show(name)} is defined twice")
        self._meta.code.functions[name] = function

    def _operator(self, message: Span, function: Function) -> str:
        """The signature of a function: its name."""
        name = ""
        for number, value in self._spans(message, OPERATOR):
            if number == 1:
                name = self._text(value)
            elif number == 2:
                fields = dict(self._spans(value, PARAMETER))
                function.parameters.append(self._text(fields[1]) if 1 in fields else "")
                function.lists |= 5 in fields or 6 in fields  # number_attr, type_list_attr
        return name

    def _node(self, message: Span, nodes: dict[str, Node], owner: str) -> None:
        node, name = Node(), ""
        for number, value in self._spans(message, NODE):
            match number:
                case 1:
                    name = self._text(value)
                case 2:
                    node.operator = self._text(value)
                case 3:
                    node.inputs.append(self._text(value))
                case 5:
                    self._attribute_of(value, node)
                case _:
                    pass
        node.label = f"the node {paths.show(name)} {owner}"
        node.shared_name = node.shared_name or name  # as TensorFlow does
        _check_operator(self._walker.name, node)
        if name in nodes:
            raise self._walker.invalid(message.start, f"two nodes are named {paths.show(name)}")
        nodes[name] = node
        self._meta.counts[node.operator] += 1
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise self._walker.beyond(f"has more than {limits.GRAPH_WRITTEN:,} nodes")

    def _attribute_of(self, entry: Span, node: Node, *, of_call: bool = False) -> None:
        """An entry of a map of attributes: of the node, or of a call one of its attributes makes."""
        found = dict(self._spans(entry, ENTRY))  # a key may follow its value
        name = self._text(found[1]) if 1 in found else ""
        for number, value in self._spans(found[2], ATTRIBUTE) if 2 in found else ():
            match number:
                case 2 if name == "shared_name" and not of_call:
                    if node.shared_name:
                        raise self._walker.invalid(entry.start, "a node has the attribute shared_name twice")
                    node.shared_name = self._text(value)
                case 10:
                    self._call(value, node)
                case 1:
                    for kind, item in self._spans(value, LIST):
                        if kind == 9:
                            self._call(item, node)
                case _:
                    pass

    def _call(self, message: Span, node: Node) -> None:
        """A function, whose name counts, and its attributes, which may name functions in turn."""
        for number, value in self._spans(message, CALL):
            if number == 1:
                name = self._text(value)
                node.calls[name] = node.calls.get(name, 0) + 1
            else:
                self._attribute_of(value, node, of_call=True)

    def _saver(self, message: Span) -> None:
        for number, value in self._spans(message, SAVER_SCHEMA):
            if number == 1:
                self._meta.code.variables = node_of(self._text(value))
            elif number == 3:
                self._meta.code.restore = node_of(self._text(value))

    def _asset(self, message: Span, nodes: set[str]) -> None:
        for number, value in self._spans(message, ASSET):
            if number == 1:
                nodes.update(map(node_of, self._tensor_info(value)))
            else:
                self._meta.assets.append(self._text(value))

    def _collection(self, entry: Span) -> None:
        """All nodes that a collection names: the server runs those of some (`saved_model_main_op`), and it may be any."""
        found = dict(self._spans(entry, ENTRY))
        name = self._text(found[1]) if 1 in found else ""
        for kind, items in self._spans(found[2], COLLECTION) if 2 in found else ():
            if kind == 1:
                self._meta.code.start += [node_of(self._text(each)) for _, each in self._spans(items, NODE_LIST)]
            elif kind == 5 and name == _ASSETS:
                for _, each in self._spans(items, ANY_LIST):
                    for number, value in self._spans(each, ANY):
                        if number == 2:
                            self._asset(value, self._collected)

    def _signature(self, entry: Span) -> None:
        found = dict(self._spans(entry, ENTRY))
        name = self._text(found[1]) if 1 in found else ""
        for side, tensor in self._spans(found[2], SIGNATURE) if 2 in found else ():
            if side in (1, 2):
                self._tensor(name, tensor, self._meta.inputs if side == 1 else self._meta.outputs)

    def _tensor(self, signature: str, entry: Span, names: list[str]) -> None:
        # By its name a request can ask for the start's signature too, but asset names are given to it at the start only.
        roots = self._meta.code.start if signature == _INIT else self._meta.code.requests
        for number, value in self._spans(entry, ENTRY):
            if number == 2:
                roots += map(node_of, self._tensor_info(value))
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


def _is_known(operator: str) -> bool:
    return any(operator in names for names in (ALLOWED, SAVER, RESTORE, SAVE, TABLES))


def _check_operator(file: str, node: Node) -> None:
    if _is_known(node.operator):
        return
    raise Refused(
        Reason.OPERATOR_NOT_ALLOWED,
        f"{file}: {node.label} is of the operator {paths.show(node.operator)}, which is not on the list of those that only compute; "
        "export the model without it",
    )


def _check_calls(file: str, code: Code) -> None:
    bodies: dict[Key, Body] = {(name,): Body(len(each.nodes), _keys(each.calls)) for name, each in code.functions.items()}
    bodies["", "the graph"] = Body(len(code.graph), _keys(total(code.graph.values())))
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
        functions=len(meta.code.functions),
    )
