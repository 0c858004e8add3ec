"""The nodes of a SavedModel as far as it matters who runs what, and what a node is given."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Node:
    """A NodeDef."""

    label: str = ""  # for messages
    operator: str = ""
    inputs: list[str] = field(default_factory=list)  # as written: `name`, `name:0`, `name:output:0`, `^name` for order only
    calls: dict[str, int] = field(default_factory=dict)  # functions its attributes name, and how often
    shared_name: str = ""  # of a resource; nodes of one name mean one variable

    @property
    def data(self) -> list[str]:
        """The inputs that carry a value."""
        return [each for each in self.inputs if not each.startswith("^")]


@dataclass(slots=True)
class Function:
    """A FunctionDef. All its nodes run when it is called."""

    parameters: list[str] = field(default_factory=list)
    lists: bool = False  # whether a parameter takes several inputs, so that the others are not where one would count them
    nodes: dict[str, Node] = field(default_factory=dict)

    @property
    def calls(self) -> Counter[str]:
        """Functions it calls."""
        return total(self.nodes.values())


@dataclass(slots=True)
class Code:
    """A graph, its functions, and which nodes the server asks for when. Of the graph only what these need runs."""

    graph: dict[str, Node] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)  # nodes for requests
    start: list[str] = field(default_factory=list)  # once, after the variables are there
    restore: str = ""  # once, before: reads the variables
    variables: str = ""  # the node that is given the name of the variables' files
    assets: set[str] = field(default_factory=set)  # nodes that are given the names of asset files

    def everything(self) -> Iterator[tuple[str | None, Node]]:
        """All nodes, with the name of their function (None: the graph's own)."""
        yield from ((None, node) for node in self.graph.values())
        for name, function in self.functions.items():
            yield from ((name, node) for node in function.nodes.values())

    def reached(self, roots: Iterable[str]) -> Iterator[tuple[str | None, Node]]:
        """All nodes that run when these of the graph are asked for, as `everything`."""
        nodes, seen, called = list(roots), set[str](), list[str]()
        while nodes:
            name = nodes.pop()
            node = self.graph.get(name)
            if node is None or name in seen:
                continue
            seen.add(name)
            yield None, node
            nodes += map(node_of, node.inputs)
            called += node.calls
        seen.clear()
        while called:
            name = called.pop()
            function = self.functions.get(name)
            if function is None or name in seen:
                continue
            seen.add(name)
            yield from ((name, node) for node in function.nodes.values())
            called += function.calls


def total(nodes: Iterable[Node]) -> Counter[str]:
    """Calls of all of them."""
    found: Counter[str] = Counter()
    for node in nodes:
        if node.calls:
            found.update(node.calls)
    return found


def node_of(tensor: str) -> str:
    """`name`, `name:0`, `name:output:0` and `^name` -> `name`."""
    return tensor.removeprefix("^").partition(":")[0]
