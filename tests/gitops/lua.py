"""Lua as Argo CD runs it: 5.1 with the base functions and `table`, no more, and a second at most."""

import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lupa import lua51  # type: ignore[import-untyped]  # it has no types

SECOND = 1.0
# gopher-lua's base library less what a script has no use for; `string`, `math`, `io`, `os` and `debug` are not lent.
_LENT = ("assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawset", "select", "setmetatable")
_LENT_TOO = ("tonumber", "tostring", "type", "unpack", "table")


class Failed(Exception):
    """The script ended with an error."""


@cache
def _runtime() -> tuple[Any, Any]:
    """Lua, and a function that loads a text into a world."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    # Strings have their methods by a metatable: without the library there is none.
    lua.execute("getmetatable('').__index = nil")
    load = lua.eval("function(text, world) local f, e = loadstring(text) if not f then error(e) end setfenv(f, world) return f end")
    return lua, load


def run(script: str, obj: Mapping[str, Any]) -> Any:
    """What the script returns for the object, as JSON would have it. Raises Failed."""
    lua, load = _runtime()
    lent = lua.table_from({name: lua.globals()[name] for name in (*_LENT, *_LENT_TOO)})
    lent["obj"] = _into(lua, obj)
    begun = time.monotonic()
    try:
        result = load(script, lent)()
    except lua51.LuaError as error:
        raise Failed(str(error)) from None
    assert time.monotonic() - begun < SECOND
    return _out(result)


def script(path: Path) -> str:
    return path.read_text("utf-8")


def _into(lua: Any, value: Any) -> Any:
    """As Argo CD's decoder does: null is nil."""
    match value:
        case Mapping():
            return lua.table_from({key: _into(lua, each) for key, each in value.items() if each is not None})
        case list() | tuple():
            return lua.table_from([_into(lua, each) for each in value])
        case _:
            return value


def _out(value: Any) -> Any:
    """As gopher-json does: a table without keys is an empty array, one with 1..n an array."""
    if lua51.lua_type(value) != "table":
        return value
    keys = list(value.keys())
    if keys == list(range(1, len(keys) + 1)):
        return [_out(value[key]) for key in keys]
    return {str(key): _out(value[key]) for key in keys}


def cleaned(new: Any, old: Any) -> Any:
    """What Argo CD puts right after an action: an empty map that came back as an empty array."""
    if isinstance(old, Mapping) and new == []:
        return dict(old)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {key: cleaned(each, old.get(key)) for key, each in new.items()}
    if isinstance(old, list) and isinstance(new, list):
        return [cleaned(each, old[place] if place < len(old) else None) for place, each in enumerate(new)]
    return new
