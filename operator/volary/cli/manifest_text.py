"""A version in the text of a Kubernetes manifest: replaced where it stands, all else stays byte for byte.

YAML is read twice: for where things stand, and afterwards for proof that nothing but the version and the digest changed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode

from volary.common.errors import Refused
from volary.common.names import GROUP, KIND
from volary.common.reasons import Reason

_PLAIN = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+[A-Za-z0-9.+-]*|v[0-9][A-Za-z0-9.+-]*|sha256:[0-9a-f]{64}")  # no parser takes them for numbers

_STRING = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """Which bundle a manifest asks for."""

    version: str
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One ModelDeployment in a text."""

    name: str
    uri: str
    pin: Pin
    document: int
    model: MappingNode  # spec.model


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


def find(text: str, name: str | None) -> Found:
    """The only ModelDeployment, or that of a name. Raises Refused."""
    found = list(_all(text))
    fitting = [one for one in found if name in {None, one.name}]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(one.name for one in found) or "none"
    if not fitting:
        wanted = f"no ModelDeployment {name}" if name else "no ModelDeployment"
        raise Refused(Reason.SPEC_INVALID, f"there is {wanted} with a spec.model.version; there are: {there}")
    what = "choose one by --name" if name is None else "and all have that name"
    raise Refused(Reason.SPEC_INVALID, f"there are {len(fitting)} ModelDeployments ({there}): {what}")


def replaced(text: str, found: Found, pin: Pin) -> str:
    """The text with another version and digest; without a digest, none is left. Raises Refused where that cannot be done in place."""
    version = _scalar(text, _entry(found.model, "version")[1], "version")
    edits = [_over(version, pin.version)]
    digest = _entries(found.model, "digest")
    if digest and pin.digest:
        edits.append(_over(_scalar(text, digest[0][1], "digest"), pin.digest))
    elif digest:
        edits.append(_without(text, found.model, *digest[0]))
    elif pin.digest:
        edits.append(_beside(text, found.model, version, pin.digest))
    after = text
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        after = after[: edit.start] + edit.text + after[edit.end :]
    _prove(text, after, found, pin)
    return after


# ---- where things stand -----------------------------------------------------------------------


def _all(text: str) -> Iterator[Found]:
    try:
        nodes, values = list(yaml.compose_all(text, yaml.SafeLoader)), list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise Refused(Reason.SPEC_INVALID, f"this is no YAML{where}; templates are no YAML before they are rendered") from None
    for place, (node, value) in enumerate(zip(nodes, values, strict=True)):
        if not _is_model(value) or not isinstance(node, MappingNode):
            continue
        model = _entries(node, "spec", "model")
        written = value["spec"]["model"]
        pin = Pin(version=str(written["version"]), digest=written.get("digest"))
        if not model or not isinstance(model[0][1], MappingNode) or not _entries(model[0][1], "version"):
            raise Refused(Reason.SPEC_INVALID, "spec.model.version comes from another place by an anchor: change it there")
        name = str((value.get("metadata") or {}).get("name", ""))
        yield Found(name=name, uri=str(written.get("uri", "")), pin=pin, document=place, model=model[0][1])


def _is_model(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("kind") != KIND or not str(value.get("apiVersion", "")).startswith(f"{GROUP}/"):
        return False
    spec = value.get("spec")
    model = spec.get("model") if isinstance(spec, dict) else None
    return isinstance(model, dict) and "version" in model


def _entries(node: Node, *path: str) -> list[tuple[ScalarNode, Node]]:
    """Key and value of each entry at a path."""
    if not isinstance(node, MappingNode):
        return []
    mine = [(key, value) for key, value in node.value if isinstance(key, ScalarNode) and key.value == path[0]]
    return mine if len(path) == 1 else [entry for _, value in mine for entry in _entries(value, *path[1:])]


def _entry(node: MappingNode, name: str) -> tuple[ScalarNode, Node]:
    found = _entries(node, name)
    if len(found) != 1:
        raise Refused(Reason.SPEC_INVALID, f"spec.model.{name} stands there {len(found)} times")
    return found[0]


def _scalar(text: str, node: Node, name: str) -> ScalarNode:
    """A value on one line that belongs to this place alone."""
    inside = text[node.start_mark.index : node.end_mark.index]
    if not isinstance(node, ScalarNode) or node.style in {"|", ">"} or "\n" in inside or inside.startswith(("&", "*", "!")):
        raise Refused(Reason.SPEC_INVALID, f"spec.model.{name} is not a plain word in its line: write it as one")
    return node


# ---- what is written --------------------------------------------------------------------------


def _over(node: ScalarNode, value: str) -> _Edit:
    """In the quotes that are there; with quotes where it would be taken for a number without."""
    kept = node.value == value and node.tag == _STRING
    quote = node.style or ("" if kept or _PLAIN.fullmatch(value) else '"')
    return _Edit(node.start_mark.index, node.end_mark.index, f"{quote}{value}{quote}")


def _beside(text: str, model: MappingNode, version: ScalarNode, digest: str) -> _Edit:
    """A digest behind the version: an entry of its own, or a line of its own."""
    if model.flow_style:
        quote = '"' if _entry(model, "version")[0].style == '"' else ""
        return _Edit(version.end_mark.index, version.end_mark.index, f", {quote}digest{quote}: {quote}{digest}{quote}")
    column = _entry(model, "version")[0].start_mark.column
    end = text.find("\n", version.end_mark.index)
    if end < 0:
        return _Edit(len(text), len(text), f"\n{' ' * column}digest: {digest}")
    newline = "\r\n" if text[end - 1] == "\r" else "\n"
    return _Edit(end + 1, end + 1, f"{' ' * column}digest: {digest}{newline}")


def _without(text: str, model: MappingNode, key: ScalarNode, value: Node) -> _Edit:
    """The digest's entry and one comma, or its line."""
    start, end = key.start_mark.index, value.end_mark.index
    if model.flow_style:
        before = re.search(r",\s*$", text[:start])
        behind = re.match(r"\s*,\s*", text[end:])
        if before:
            return _Edit(before.start(), end, "")
        return _Edit(start, end + (behind.end() if behind else 0), "")
    line = text.rfind("\n", 0, start) + 1
    following = text.find("\n", end)
    return _Edit(line, len(text) if following < 0 else following + 1, "")


def _prove(before: str, after: str, found: Found, pin: Pin) -> None:
    """Raises Refused unless the texts mean the same but for the pin."""
    wanted = _unshared(list(yaml.safe_load_all(before)))
    model = wanted[found.document]["spec"]["model"]
    model["version"] = pin.version
    model.pop("digest", None)
    if pin.digest:
        model["digest"] = pin.digest
    try:
        same = list(yaml.safe_load_all(after)) == wanted
    except yaml.YAMLError:
        same = False
    if not same:
        raise Refused(
            Reason.SPEC_INVALID, "this text cannot be changed in place without changing more; write spec.model as a plain mapping"
        )


def _unshared(value: Any) -> Any:
    """A copy in which what an anchor shares is there as often as it is named: a change of one must not be one of the other."""
    match value:
        case dict():
            return {key: _unshared(each) for key, each in value.items()}
        case list():
            return [_unshared(each) for each in value]
        case _:
            return value
