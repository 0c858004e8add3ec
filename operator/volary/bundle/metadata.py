"""What a bundle says of its model beside the model itself: labels, licence, scores, origin, needs.

All of it is optional, bounded and text or numbers: it is shown and searched, never acted upon by a pod.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from volary.bundle import limits

# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_LABEL_KEY = re.compile(rf"((?P<prefix>{_DNS_LABEL}(\.{_DNS_LABEL})*)/)?{_LABEL_NAME}")
_LABEL_VALUE = re.compile(rf"({_LABEL_NAME})?")
_LABEL_PREFIX = 253  # characters

# https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/; whether a licence of that name exists is not asked: the list grows.
_LICENSE_WORD = re.compile(r"[()]|[^\s()]+")
_LICENSE_ID = re.compile(r"(DocumentRef-[A-Za-z0-9.-]+:)?[A-Za-z0-9.-]+\+?")
_LICENSE_OPERATORS = ("AND", "OR", "WITH")


def _label_key(text: str) -> str:
    match = _LABEL_KEY.fullmatch(text)
    if match is None or len(match["prefix"] or "") > _LABEL_PREFIX:
        raise ValueError("a label's key is [PREFIX/]NAME: up to 63 letters, digits, '-', '_' and '.', as in Kubernetes")
    return text


def _label_value(text: str) -> str:
    if not _LABEL_VALUE.fullmatch(text):
        raise ValueError("a label's value has up to 63 letters, digits, '-', '_' and '.', as in Kubernetes")
    return text


def _license(text: str) -> str:
    """Names with an operator between each two, parentheses in pairs."""
    depth, name_is_due = 0, True
    for word in _LICENSE_WORD.findall(text):
        if word == "(":
            fits, depth = name_is_due, depth + 1
        elif word == ")":
            fits, depth = not name_is_due and depth > 0, depth - 1
        elif word in _LICENSE_OPERATORS:
            fits, name_is_due = not name_is_due, True
        else:
            fits, name_is_due = name_is_due and _LICENSE_ID.fullmatch(word) is not None, False
        if not fits:
            raise ValueError(f"{word!r} does not fit here; write an SPDX expression, such as Apache-2.0 or MIT OR GPL-3.0-only")
    if name_is_due or depth:
        raise ValueError("it ends too early; write an SPDX expression, such as Apache-2.0 or MIT OR GPL-3.0-only")
    return text


Labels = Annotated[
    dict[Annotated[str, AfterValidator(_label_key)], Annotated[str, AfterValidator(_label_value)]], Field(max_length=limits.LABELS)
]
License = Annotated[str, Field(max_length=limits.LICENSE), AfterValidator(_license)]
Metrics = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@/-]{0,62}$")], Annotated[float, Field(allow_inf_nan=False)]],
    Field(max_length=limits.METRICS),
]
Facts = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=limits.BUILD_KEY)],
        Annotated[str, Field(max_length=limits.BUILD_VALUE)],
    ],
    Field(max_length=limits.BUILD_ENTRIES),
]


class Requirements(BaseModel):
    """The least a runtime must offer. What is absent is not asked for."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    opset: Annotated[int, Field(ge=1, le=limits.OPSET)] | None = None  # of the default domain of ONNX
    memory: Annotated[int, Field(ge=1, le=limits.TOTAL_BYTES)] | None = None  # bytes for model and one request
    # Any of these execution providers of ONNX Runtime, the best first.
    providers: Annotated[tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,40}ExecutionProvider$")], ...], Field(max_length=8)] = Field(
        default=(), exclude_if=lambda found: not found
    )
