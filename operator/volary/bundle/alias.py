"""An alias: a name that points at a version and may be moved. For people; nothing is served by an alias."""

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from volary.bundle.manifest import VERSION_PATTERN
from volary.common.errors import Refused
from volary.common.reasons import Reason


class Alias(BaseModel):
    """The object `aliases/<name>.json`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", alias_generator=to_camel, validate_by_name=True)

    version: Annotated[str, Field(max_length=64, pattern=VERSION_PATTERN)]
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    updated_at: Annotated[str, Field(max_length=40)]  # RFC 3339, for people: nothing is decided by it


def parse(data: bytes, name: str) -> Alias:
    """Raises Refused (AliasInvalid)."""
    try:
        return Alias.model_validate_json(data)
    except ValidationError:
        raise Refused(
            Reason.ALIAS_INVALID, f"the alias {name} in the storage cannot be read; set it again with `volary alias set`"
        ) from None


def dump(alias: Alias) -> bytes:
    """Canonical JSON."""
    return json.dumps(alias.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":")).encode()
