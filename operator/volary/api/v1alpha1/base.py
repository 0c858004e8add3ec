"""What the models of the resource have in common."""

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from volary.api import rules
from volary.common import durations


def rule(expression: str, message: str) -> dict[str, str]:
    """One CEL rule of the API server; the message says what to do."""
    return {"rule": expression, "message": message}


def cel(*entries: dict[str, str]) -> dict[str, Any]:
    """Rules for `json_schema_extra`."""
    return {rules.VALIDATIONS: list(entries)}


class Spec(BaseModel):
    """Base of all that users write."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        """As the API server does: it drops nulls and then fills in defaults."""
        return rules.without_nulls(data)


class Status(BaseModel):
    """Base of all that the operator writes."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, use_attribute_docstrings=True
    )


def percent(text: str) -> float:
    """`1%` -> 0.01."""
    return float(text.removesuffix("%")) / 100


def duration(text: str) -> timedelta:
    """`2m` -> 120 s."""
    return durations.parse(text)


def seconds(text: str) -> float:
    """`250ms` -> 0.25; `2s` -> 2."""
    return float(text.removesuffix("ms")) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))
