"""A YAML file written by hand: how it is read, and what to say when it is not as expected."""

import difflib
import re
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import BaseModel, ValidationError
from typing_extensions import override

from volary.bundle import limits
from volary.common.errors import Refused
from volary.common.reasons import Reason

_BYTES = limits.MIB
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


class _Loader(yaml.SafeLoader):
    """Plain values only; a key that occurs twice is a mistake, and 1e-4 is a number."""

    @override
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"the field {key.value!r} occurs twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


# YAML 1.1, which PyYAML reads, wants 1.0e-4; people, JSON and YAML 1.2 write 1e-4.
_EXPONENT = re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))


def load(path: Path) -> object:
    """The only document in the file. Raises Refused (FileNotFound, SpecInvalid)."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_BYTES + 1)
    except OSError as error:
        raise Refused(Reason.FILE_NOT_FOUND, f"{path}: {error.strerror}") from None
    if len(data) > _BYTES:
        _invalid(f"{path} is larger than {limits.show(_BYTES)}")
    try:
        return _Loader(data).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}" if mark is not None else ""
        _invalid(f"{path}{place}: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        _invalid(f"{path} is not YAML: {str(error).splitlines()[0]:.200}")


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


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.SPEC_INVALID, message) from None
