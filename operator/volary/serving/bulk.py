"""Requests of many numbers: JSON whose numbers go into buffers and never become Python objects. Pure.

Only what is beyond doubt is read here: numbers of one kind, flat or nested as the shape says. All else, whatever is
wrong with it included, is left to the careful way, which takes three times as long and says what it found.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import simdjson

from volary.bundle.tensors import Datatype

WORTH = 4096  # bytes of a body, and more: below, the careful way is as fast

_ROWS = 4096  # lists within a list: each costs a look
_KINDS: Mapping[str, tuple[Literal["d", "i", "u"], type[np.generic]]] = MappingProxyType(
    {
        **dict.fromkeys((Datatype.FP16, Datatype.BF16, Datatype.FP32, Datatype.FP64), ("d", np.float64)),
        **dict.fromkeys((Datatype.INT8, Datatype.INT16, Datatype.INT32, Datatype.INT64), ("i", np.int64)),
        **dict.fromkeys((Datatype.UINT8, Datatype.UINT16, Datatype.UINT32, Datatype.UINT64), ("u", np.uint64)),
    }
)


def loads(body: bytes) -> dict[str, Any] | None:
    """The request, as orjson would read it but for the `data` of numeric inputs: arrays of one axis, FP64, INT64 or UINT64.

    None where that cannot be, or is not sure to be right.
    """
    try:
        # A parser of its own for each: one that is kept would keep the memory of the largest body it ever saw.
        return _request(simdjson.Parser().parse(body), body.count(b"["))
    except (ValueError, TypeError, LookupError, RuntimeError):  # the last: integers beyond 64 bits
        return None


def _request(document: Any, brackets: int) -> dict[str, Any] | None:
    if not isinstance(document, simdjson.Object):
        return None
    request = _members(document)
    inputs = request.get("inputs")
    if not isinstance(inputs, simdjson.Array):
        return None
    lists = 1
    found = []
    for item in inputs:
        one, within = _input(item)
        found.append(one)
        lists += within
    others = {key: value for key, value in request.items() if key != "inputs"}
    lists += sum(isinstance(value, simdjson.Array) for value in others.values())
    # A buffer holds the numbers of all lists within a list: there must be none that was not looked at.
    if lists != brackets:
        return None
    return {key: _plain(value) for key, value in others.items()} | {"inputs": found}


def _input(item: Any) -> tuple[Any, int]:
    """An input, and how many lists are in it."""
    if not isinstance(item, simdjson.Object):
        raise TypeError
    found = {key: value if key == "data" else _plain(value) for key, value in _members(item).items()}
    lists = sum(isinstance(value, (list, simdjson.Array)) for value in found.values())
    data = found.get("data")
    if not isinstance(data, simdjson.Array):
        found["data"] = _plain(data)
    elif (kind := _KINDS.get(str(found.get("datatype")))) is None:
        found["data"] = data.as_list()
    else:
        letter, dtype = kind
        found["data"] = np.frombuffer(data.as_buffer(of_type=letter), dtype)
        if isinstance(next(iter(data), None), simdjson.Array):
            lists += _nest(data, found["shape"]) - 1
    return found, lists


def _members(of: simdjson.Object) -> dict[str, Any]:
    """Raises ValueError where a key is there twice: this parser would take the first, the careful one takes the last."""
    keys = list(of.keys())
    members = {key: of[key] for key in keys}
    if len(members) < len(keys):
        raise ValueError
    return members


def _nest(data: Any, shape: Any) -> int:
    """How many lists there are, itself included. Raises ValueError where a list has not the length of its axis."""
    if len(data) != shape[0]:
        raise ValueError
    if len(shape) == 1:
        return 1
    if len(data) > _ROWS:
        raise ValueError
    return 1 + sum(_nest(row, shape[1:]) for row in data)


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value.as_dict() if isinstance(value, simdjson.Object) else value
