"""Which versions a running pod is to hold, and what share of the requests each gets: the file `revisions.json`.

The operator writes it into a ConfigMap, the agent of each pod reads it. It is the whole truth: a
revision that is not in it is unloaded.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from volary.bundle import layout, limits
from volary.bundle.manifest import NAME_PATTERN, VERSION_PATTERN
from volary.common.errors import Refused
from volary.common.reasons import Reason

SHARES = 3  # stable, canary, and one that is proved before its turn
CARRYING = 2  # of them may have traffic
WHOLE = 100  # percent
_GENERATION = 2**53 - 1  # the largest integer every JSON reader keeps


@dataclass(frozen=True, slots=True)
class Share:
    """One revision in a pod. With weight 0 it is loaded and proved, and gets requests that name it only."""

    revision: str
    version: str
    digest: str  # sha256:<hex> of the manifest
    uri: str  # where its versions are: s3://BUCKET/PREFIX
    weight: int  # percent of the requests that name no version


@dataclass(frozen=True, slots=True)
class Split:
    """All revisions of a pod. The weights add up to 100."""

    generation: int  # grows with every write
    shares: tuple[Share, ...]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class _Share(_Strict):
    revision: Annotated[str, Field(max_length=63, pattern=NAME_PATTERN)]
    version: Annotated[str, Field(max_length=64, pattern=VERSION_PATTERN)]
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    uri: Annotated[str, Field(max_length=limits.URI)]
    weight: Annotated[int, Field(ge=0, le=WHOLE)]


class _Split(_Strict):
    generation: Annotated[int, Field(ge=0, le=_GENERATION)]
    revisions: Annotated[tuple[_Share, ...], Field(min_length=1, max_length=SHARES)]


def parse(data: bytes) -> Split:
    """The content of the file. Raises Refused (SpecInvalid)."""
    if len(data) > limits.REVISIONS_BYTES:
        _invalid(f"it is larger than {limits.show(limits.REVISIONS_BYTES)}")
    try:
        found = _Split.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        _invalid(f"{place}: {first['msg']}" if place else first["msg"])
    split = Split(found.generation, tuple(Share(**share.model_dump()) for share in found.revisions))
    check(split)
    return split


def render(split: Split) -> bytes:
    """Canonical JSON. Raises Refused (SpecInvalid) rather than write what `parse` refuses."""
    revisions = [
        {"revision": share.revision, "version": share.version, "digest": share.digest, "uri": share.uri, "weight": share.weight}
        for share in split.shares
    ]
    data = json.dumps({"generation": split.generation, "revisions": revisions}, sort_keys=True, separators=(",", ":")).encode()
    parse(data)
    return data


def check(split: Split) -> None:
    """The rules between the fields. Raises Refused (SpecInvalid)."""
    shares = split.shares
    if (total := sum(share.weight for share in shares)) != WHOLE:
        _invalid(f"the weights add up to {total}, expected {WHOLE}")
    if (carrying := sum(share.weight > 0 for share in shares)) > CARRYING:
        _invalid(f"{carrying} revisions have a weight above 0, expected at most {CARRYING}")
    for share in shares:
        layout.parse(share.uri)
    if twice := [revision for revision, count in Counter(share.revision for share in shares).items() if count > 1]:
        _invalid(f"the revision {twice[0]} is there twice")
    # A request names a version by its path: one version cannot be two models.
    bundles = {(share.version, share.digest) for share in shares}
    if twice := [version for version, count in Counter(version for version, _ in bundles).items() if count > 1]:
        _invalid(f"the version {twice[0]} has two digests")


def _invalid(message: str) -> NoReturn:
    raise Refused(Reason.SPEC_INVALID, f"the list of revisions is not valid: {message}") from None
