"""One rule, two judges: the API server evaluates the CEL expression, the models call `holds`.

A rule stands in the `Annotated[...]` of a field, so both come from the same line and say the same.
The message is what `kubectl apply` prints: it says what to do. Length limits are plain `Field`
limits (the API server's own words are clear there, and CEL needs them to bound its cost).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from volary.common import durations

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must satisfy, as CEL and as Python; `bounds` are schema keywords that tell it to editors."""

    expression: str
    message: str
    holds: Callable[[Any], bool]
    bounds: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def cel(self) -> dict[str, str]:
        """An entry of x-kubernetes-validations."""
        return {"rule": self.expression, "message": self.message}

    def check(self, value: Any) -> Any:
        """Pass the value on. Raises with the rule's message."""
        if not self.holds(value):
            raise PydanticCustomError("rule", self.message)
        return value

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after what stands before the rule in `Annotated`."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the CEL rule, and the bounds for tools that read no CEL."""
        found = handler(schema)
        return {**found, **self.bounds, VALIDATIONS: [*found.get(VALIDATIONS, []), self.cel]}


def literal(value: str) -> str:
    """A CEL string; its escapes are JSON's."""
    return json.dumps(value)


def text(pattern: str, message: str) -> Rule:
    """A string of this form. Spell classes out in `pattern`: RE2 and Python differ in those of a backslash, and in `$`."""
    compiled = re.compile(pattern)
    return Rule(
        expression=f"self.matches({literal(pattern)})",
        message=message,
        holds=lambda value: compiled.fullmatch(value) is not None,
    )


def between(minimum: int, maximum: int, message: str) -> Rule:
    """A whole number in this range, both ends included."""
    return Rule(
        expression=f"self >= {minimum} && self <= {maximum}",
        message=message,
        holds=lambda value: minimum <= value <= maximum,
        bounds={"minimum": minimum, "maximum": maximum},
    )


def keys(pattern: str, message: str) -> Rule:
    """A map whose keys have this form."""
    compiled = re.compile(pattern)
    return Rule(
        expression=f"self.all(key, key.matches({literal(pattern)}))",
        message=message,
        holds=lambda mapping: all(compiled.fullmatch(key) for key in mapping),
    )


def keys_without(prefixes: tuple[str, ...], message: str) -> Rule:
    """A map without keys that begin so."""
    begins = " || ".join(f"key.startsWith({literal(prefix)})" for prefix in prefixes)
    return Rule(
        expression=f"self.all(key, !({begins}))",
        message=message,
        holds=lambda mapping: not any(key.startswith(prefixes) for key in mapping),
    )


_SPAN = f'self != "" && self.matches({literal(durations.PATTERN)})'


def span(message: str) -> Rule:
    """A duration; the pattern alone would take no part at all for one."""
    return replace(text(durations.PATTERN, message), expression=_SPAN, holds=_is_span)


def at_least(shortest: str, message: str) -> Rule:
    """A duration not below `shortest`. Its form is another rule's affair: where that fails, this one keeps quiet."""
    least = durations.parse(shortest)
    return Rule(
        expression=f"!({_SPAN}) || duration(self) >= duration({literal(shortest)})",
        message=message,
        holds=lambda value: durations.parse(value) >= least,
    )


def _is_span(value: str) -> bool:
    try:
        durations.parse(value)
    except ValueError:
        return False
    return True


def without_nulls(data: Any) -> Any:
    """Before an object or a map is parsed: the API server drops nulls, then it fills in defaults."""
    return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


@dataclass(frozen=True, slots=True)
class Quantity:
    """Text of this form or a whole number: `cpu: 2` is as good as `cpu: "2"`; the models make text of it."""

    form: Rule

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Turn a number into text first."""
        text_schema = core_schema.no_info_after_validator_function(self.form.check, handler(source))
        return core_schema.no_info_before_validator_function(_spelled, text_schema)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Two types in one node: Kubernetes has a word of its own for that."""
        found = {key: value for key, value in handler(schema).items() if key != "type"}
        rule = {**self.form.cel, "rule": f"type(self) == int ? self >= 0 : {self.form.expression}"}
        return {**found, "x-kubernetes-int-or-string": True, VALIDATIONS: [rule]}


def quantity(pattern: str, message: str) -> Quantity:
    """A resource quantity."""
    return Quantity(text(pattern, message))


def _spelled(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
