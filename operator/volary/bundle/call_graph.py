"""Functions of a model that call each other: no circles, and no more nodes than a runtime can hold.

Runtimes replace a call by the body of the function. A function that calls itself never ends
(CVE-2022-23591), and 40 functions that each call the next one twice are 2^40 nodes in a file of 2 KB.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from volary.bundle import limits, paths
from volary.common.errors import Refused
from volary.common.reasons import Reason

Key = tuple[str, ...]
_CIRCLE_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Body:
    """Nodes of a function or of the main graph, and how often it calls which function."""

    nodes: int
    calls: Mapping[Key, int]


def check(file: str, bodies: Mapping[Key, Body]) -> None:
    """Raise Refused (ModelInvalid, LimitExceeded). Calls of what is not in `bodies` count for nothing."""
    sizes: dict[Key, int] = {}
    for key in bodies:
        for done in _callees_first(file, bodies, key, sizes):
            body = bodies[done]
            size = body.nodes + sum(count * sizes[callee] for callee, count in body.calls.items() if callee in bodies)
            if size > limits.GRAPH_NODES:
                what = f"more than {limits.GRAPH_NODES:,} nodes when calls are replaced by what they call"
                raise Refused(Reason.LIMIT_EXCEEDED, f"{paths.show(file)}: {show(done)} has {what}; call functions less often")
            sizes[done] = size


def show(key: Key) -> str:
    """For messages."""
    return paths.show("::".join(part for part in key if part))


def _callees_first(file: str, bodies: Mapping[Key, Body], start: Key, done: Mapping[Key, int]) -> Iterator[Key]:
    """Depth first, without recursion: a chain of calls may be as long as the file allows."""
    if start in done:
        return
    path, rests = {start: None}, [iter(bodies[start].calls)]
    while rests:
        callee = next(rests[-1], None)
        if callee is None:
            rests.pop()
            yield path.popitem()[0]
        elif callee in path:
            _refuse_circle(file, [*path, callee])
        elif callee in bodies and callee not in done:
            path[callee] = None
            rests.append(iter(bodies[callee].calls))


def _refuse_circle(file: str, path: list[Key]) -> None:
    circle = path[path.index(path[-1]) :]
    shown = " -> ".join(show(key) for key in circle[:_CIRCLE_SHOWN]) + (" -> ..." if len(circle) > _CIRCLE_SHOWN else "")
    raise Refused(
        Reason.MODEL_INVALID, f"{paths.show(file)}: the function {show(path[-1])} calls itself ({shown}), so it never ends; remove it"
    )
