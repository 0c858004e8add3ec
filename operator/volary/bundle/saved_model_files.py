"""The operators of a SavedModel that open a file after all, and when, and which file.

Every SavedModel restores its variables, holds the means to save them, and may fill tables from its
asset files. The names of those files come from the server, which puts them into the graph in place
of certain nodes. So the name each of these operators is given is followed back, through identities,
parameters of functions and the variables TensorFlow keeps asset names in, and must begin at such a
node: then it cannot be `/etc/passwd`, nor `gs://`. What cannot be followed is refused.
"""

from collections import defaultdict
from collections.abc import Collection

from volary.bundle.saved_model_code import Code, Node, node_of
from volary.bundle.saved_model_operators import RESTORE, SAVE, TABLES
from volary.common.errors import Refused
from volary.common.reasons import Reason

_FED = frozenset({"Const", "Placeholder", "PlaceholderWithDefault"})  # what the server can replace
_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})  # those whose inputs are the function's parameters, in order
_NAME = {**dict.fromkeys(RESTORE, 0), **dict.fromkeys(TABLES, 1)}  # operator -> which input is the file's name
Scope = str | None  # the function a node is in; None: the graph


def check(file: str, code: Code) -> None:
    """Raise Refused (OperatorNotAllowed, ExternalDataInvalid). Circles of calls must have been refused before."""
    origins = _Origins(code)
    for roots, when, allowed in (
        (code.requests, "requests", frozenset[str]()),
        (code.start, "the start of the server", TABLES),
        ([code.restore], "restoring variables", RESTORE),
    ):
        for scope, node in code.reached(roots):
            if node.operator not in _NAME and node.operator not in SAVE:
                continue
            if node.operator not in allowed:
                raise Refused(
                    Reason.OPERATOR_NOT_ALLOWED,
                    f"{file}: {node.label} is of the operator {node.operator!r}, and {when} would run it; "
                    "it is allowed only where TensorFlow puts it; export the model without it",
                )
            # What a request may replace is not the server's alone.
            sources = (code.assets if node.operator in TABLES else {code.variables}).difference(code.requests)
            if not origins.only(scope, node.data[_NAME[node.operator] :][:1], sources):
                what = "a name of its assets" if node.operator in TABLES else "the name of its variables"
                raise Refused(
                    Reason.EXTERNAL_DATA_INVALID,
                    f"{file}: {node.label} is of the operator {node.operator!r}, and the file it reads is not {what} for certain; "
                    "save the model anew with tf.saved_model.save",
                )


class _Origins:
    """Where values come from."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._callers: defaultdict[str, list[tuple[Scope, Node]]] = defaultdict(list)
        self._users: defaultdict[str, list[tuple[Node, int]]] = defaultdict(list)  # node of the graph -> who takes it as which input
        self._handles: defaultdict[str, int] = defaultdict(int)  # name of a variable -> nodes that open it
        for scope, node in code.everything():
            for callee in node.calls:
                self._callers[callee].append((scope, node))
            if node.operator == "VarHandleOp":
                self._handles[node.shared_name] += 1
            if scope is None:
                for index, tensor in enumerate(node.data):
                    self._users[node_of(tensor)].append((node, index))

    def only(self, scope: Scope, tensors: list[str], sources: Collection[str]) -> bool:
        """Whether these values (of nodes in `scope`) can be nothing but what the server gives to `sources`."""
        left: list[tuple[Scope, str]] = [(scope, tensor) for tensor in tensors]
        seen: set[tuple[Scope, str]] = set()
        found = False
        while left:
            at = left.pop()
            if self._is_source(*at, sources):
                found = True
            elif at not in seen:
                seen.add(at)
                before = self._before(*at)
                if not before:
                    return False
                left += before
        return found

    def _is_source(self, scope: Scope, tensor: str, sources: Collection[str]) -> bool:
        name = node_of(tensor)
        node = self._code.graph.get(name) if scope is None else None
        return node is not None and name in sources and node.operator in _FED

    def _before(self, scope: Scope, tensor: str) -> list[tuple[Scope, str]]:
        """The values this one is made of; none where that is not known."""
        name = node_of(tensor)
        if scope is not None and name in self._code.functions[scope].parameters:
            return self._arguments(scope, name)
        node = (self._code.graph if scope is None else self._code.functions[scope].nodes).get(name)
        if node is None or not node.data:
            return []
        if node.operator == "Identity":
            return [(scope, node.data[0])]
        if node.operator == "ReadVariableOp" and scope is None:
            return [(None, value) for value in self._assigned(node_of(node.data[0]))]
        return []

    def _arguments(self, function: str, parameter: str) -> list[tuple[Scope, str]]:
        """What its callers pass for a parameter."""
        code = self._code.functions[function]
        index, found = code.parameters.index(parameter), list[tuple[Scope, str]]()
        for scope, node in self._callers[function]:
            plain = node.operator in _CALLS and node.calls == {function: 1} and index < len(node.data)
            if not plain or code.lists or parameter in code.nodes or code.parameters.count(parameter) > 1:
                return []
            found.append((scope, node.data[index]))
        return found

    def _assigned(self, handle: str) -> list[str]:
        """What is written into a variable that only the graph itself uses."""
        node = self._code.graph.get(handle)
        if node is None or node.operator != "VarHandleOp" or self._handles[node.shared_name] != 1:
            return []
        found = []
        for user, index in self._users[handle]:
            match user.operator, index:
                case "AssignVariableOp", 0 if len(user.data) == 2:
                    found.append(user.data[1])
                case (("ReadVariableOp" | "VarIsInitializedOp"), _):
                    pass
                case _:
                    return []
        return found
