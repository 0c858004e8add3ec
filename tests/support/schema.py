"""The few words of a structural schema, checked: CEL is left to the API server."""

from __future__ import annotations

from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}

_SIZES: dict[type, tuple[str, ...]] = {str: ("Length",), list: ("Items",), dict: ("Properties",)}


def complaints(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """What is wrong with a value; empty when nothing is."""
    if "x-kubernetes-int-or-string" in schema:
        fits = isinstance(value, str | int) and not isinstance(value, bool)
    else:
        fits = isinstance(value, _TYPES[schema["type"]]) and isinstance(value, bool) == (schema["type"] == "boolean")
    if not fits:
        return [f"{path}: {value!r} is no {schema.get('type')}"]
    return _own(value, schema, path) + _below(value, schema, path)


def _own(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    size = len(value) if isinstance(value, str | list | dict) else value
    limits = [(f"min{word}", f"max{word}") for word in _SIZES.get(type(value), ("imum",))]
    wrong = [low for low, _ in limits if size < schema.get(low, size)] + [high for _, high in limits if size > schema.get(high, size)]
    wrong += ["enum"] if value not in schema.get("enum", [value]) else []
    return [f"{path}: {value!r} breaks {word}" for word in wrong]


def _below(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    if isinstance(value, list):
        return [text for index, item in enumerate(value) for text in complaints(item, schema["items"], f"{path}[{index}]")]
    if not isinstance(value, dict):
        return []
    known = schema.get("properties", {})
    found = [f"{path}.{name}: missing" for name in schema.get("required", ()) if name not in value]
    for name, item in value.items():
        inner = known.get(name, schema.get("additionalProperties"))
        found += complaints(item, inner, f"{path}.{name}") if inner else [f"{path}.{name}: unknown"]
    return found
