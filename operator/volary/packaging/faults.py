"""What to say when a file that people write by hand is not as expected: field, what was found, what to write."""

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

_ERRORS_SHOWN = 5
_SHOWN = 60  # characters of what was found

# pydantic's types of error -> what to say was expected.
_EXPECTED = {
    "string_type": 'text; put it in quotes, like "1.0"',
    "float_type": "a number",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list, like [a, b]",
    "dict_type": "fields, like {a: b}",
    "model_type": "fields, like {a: b}",
    "finite_number": "a finite number",
}


def explain(place: str, error: ValidationError, model: type[BaseModel]) -> str:
    """`volary.yaml: nmae: there is no such field; did you mean name?`: every fault with its field and what to do."""
    faults = error.errors(include_url=False, include_context=False)
    lines = [_line(fault["loc"], fault["type"], fault["msg"], fault["input"], model) for fault in faults[:_ERRORS_SHOWN]]
    more = f"; and {len(faults) - _ERRORS_SHOWN} more" if len(faults) > _ERRORS_SHOWN else ""
    return f"{place}: " + "; ".join(lines) + more


def show(value: object) -> str:
    """What was found, in words: `1.0 (a number)`."""
    match value:
        case None:
            text = "nothing"
        case bool():
            text = f"{str(value).lower()} (a truth value)"
        case int() | float():
            text = f"{value} (a number)"
        case str():
            text = ascii(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!a}..."
        case list():
            text = "a list"
        case dict():
            text = "fields"
        case _:
            text = f"{value!s:.60} (a {type(value).__name__})"
    return text


def _line(loc: tuple[int | str, ...], kind: str, message: str, found: object, model: type[BaseModel]) -> str:
    where = ".".join(str(part) for part in loc if part != "[key]")
    if kind == "extra_forbidden":
        known = sorted(_fields(model, loc[:-1]))
        near = difflib.get_close_matches(str(loc[-1]), known, 1, cutoff=0.5)
        return f"{where}: there is no such field; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}")
    expected = _EXPECTED.get(kind)
    if expected is None:
        expected = message[:1].lower() + message[1:]
        expected = expected.removeprefix("input should be ").removeprefix("value error, ")
    return f"{where}: found {show(found)}, expected {expected}"


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Names of the fields at a place: of the model, or of one within it."""
    for part in loc:
        for field in model.model_fields.values():
            if field.alias == part and (inner := _model_in(field.annotation)) is not None:
                model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """`dict[str, Tolerance]` and `Needs | None` -> Tolerance, Needs."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in getattr(annotation, "__args__", ()) if (found := _model_in(part)) is not None), None)
